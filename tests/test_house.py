"""The house rules, read off the syntax tree: which way imports go, no cycles, files and functions one can read."""

import ast
from itertools import pairwise
from pathlib import Path

import pytest

import gradlaws

SOURCE = Path(gradlaws.__file__).parent
TESTS = Path(__file__).parent

# a room may import those before it and itself; rooms on one floor do not see each other
FLOORS = [
    {"errors", "progress"},
    {"exact"},
    {"models"},
    {"flows"},
    {"laws"},
    {"symmetry", "geometry"},
    {"training"},
    {"report"},
    {"__init__"},
    {"survey"},
    {"commands"},
    {"cli"},
]
FLOOR = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}
FOREIGN = {"flint": "exact/linalg.py", "transformers": None, "lightning": None, "pytorch_lightning": None}
CHECKERS: dict[str, set[str]] = {"check": set(), "check_program": {"check"}}  # what the independent checkers may import
LONGEST_FILE, LONGEST_FUNCTION = 400, 60
LONGEST_CHECKER = 500  # one file that a sceptic reads in an evening


def files(root):
    return sorted(root.rglob("*.py"))


def module_of(path, root):
    """gradlaws.laws.law, or gradlaws.laws for its __init__."""
    parts = [root.name, *path.relative_to(root).with_suffix("").parts]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(path, root):
    """Every module that a file names, wherever in the file; ``from package import module`` names the module."""
    modules = {module_of(other, root) for other in files(root)}
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            yield from {name if name in modules else node.module for name in names}


def room_of(module):
    return module.split(".")[1] if "." in module else "__init__"


def wrong_arrows(root):
    """Imports that go up the house, or across a floor."""
    for path in files(root):
        here = room_of(module_of(path, root))
        for module in imports(path, root):
            if module.split(".")[0] != root.name:
                continue
            there = room_of(module)
            if here in CHECKERS:
                down = there in CHECKERS[here]
            else:
                down = FLOOR[here] > FLOOR.get(there, 0 if there in CHECKERS else len(FLOORS))
            if here != there and not down:
                yield f"{path.relative_to(root)} imports {module}"


def cycles(root):
    """Groups of files that import each other, found by taking away what imports nothing left."""
    graph = {module_of(path, root): set(imports(path, root)) for path in files(root)}
    graph = {module: uses & graph.keys() - {module} for module, uses in graph.items()}
    while leaves := {module for module, uses in graph.items() if not uses}:
        graph = {module: uses - leaves for module, uses in graph.items() if module not in leaves}
    return sorted(graph)


def foreign_imports(root):
    """Libraries that only one file may import, or none."""
    for path in files(root):
        for module in imports(path, root):
            library = module.split(".")[0]
            if library in FOREIGN and str(path.relative_to(root)) != FOREIGN[library]:
                yield f"{path.relative_to(root)} imports {library}"


def too_long(root):
    """Files and functions that are longer than one can read."""
    for path in files(root):
        text = path.read_text()
        longest = LONGEST_CHECKER if path.parent == root and path.stem in CHECKERS else LONGEST_FILE
        if len(text.splitlines()) > longest:
            yield f"{path.relative_to(root)} has more than {longest} lines"
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef) and node.end_lineno - node.lineno >= LONGEST_FUNCTION:
                yield f"{path.relative_to(root)}: {node.name} has more than {LONGEST_FUNCTION} lines"


RULES = [wrong_arrows, cycles, foreign_imports, too_long]


@pytest.mark.parametrize("rule", RULES)
def test_the_source_keeps_the_rule(rule):
    assert list(rule(SOURCE)) == []


def test_the_tests_are_short_too():
    assert list(too_long(TESTS)) == []


def test_every_room_has_a_floor():
    rooms = {room_of(module_of(path, SOURCE)) for path in files(SOURCE)}
    assert rooms <= {*FLOOR, *CHECKERS}


def house(root, **contents):
    """A small house: room__file="source"."""
    root = root / "small"
    for name, text in contents.items():
        path = root / (name.replace("__", "/") + ".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


FAULTS = {
    "an arrow up": (wrong_arrows, {"exact__field": "from small.laws.law import Law", "laws__law": ""}),
    "an arrow up inside a function": (
        wrong_arrows,
        {"exact__field": "def f():\n    import small.models.spec\n", "models__spec": ""},
    ),
    "an arrow up by the package": (wrong_arrows, {"models__spec": "from small import laws", "laws__law": ""}),
    "an arrow across": (wrong_arrows, {"symmetry__act": "import small.geometry.b", "geometry__b": ""}),
    "a checker that is not alone": (wrong_arrows, {"check": "from small.errors import E", "errors": ""}),
    "a program checker that is not alone": (
        wrong_arrows,
        {"check_program": "from small.errors import E", "errors": ""},
    ),
    "a room that no one knows": (wrong_arrows, {"laws__law": "import small.cellar.a", "cellar__a": ""}),
    "a cycle of two": (cycles, {"laws__a": "import small.laws.b", "laws__b": "from small.laws import a"}),
    "a cycle of three": (
        cycles,
        {f"laws__{a}": f"from small.laws.{b} import f" for a, b in pairwise(["a", "b", "c", "a"])},
    ),
    "flint in the wrong file": (foreign_imports, {"exact__field": "import flint"}),
    "transformers at all": (foreign_imports, {"models__module": "from transformers import AutoModel"}),
    "a long file": (too_long, {"cli": "\n" * 401}),
    "a long checker": (too_long, {"check": "\n" * 501}),
    "a long file that is not the checker": (too_long, {"laws__check": "\n" * 401}),
    "a long function": (too_long, {"cli": "def f():\n" + "    pass\n" * 60}),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_seen(tmp_path, fault):
    rule, contents = FAULTS[fault]
    assert list(rule(house(tmp_path, **contents))) != []


@pytest.mark.parametrize("rule", RULES)
def test_a_house_in_order_passes(tmp_path, rule):
    contents = {
        "errors": "",
        "exact__linalg": "import flint\nfrom small.errors import E",
        "laws__law": "from small.exact import linalg",
        "report__text": "from small.laws.law import Law",
        "cli": "from small.report.text import show\nfrom small.check import check",
        "check": "import json",
    }
    assert list(rule(house(tmp_path, **contents))) == []
