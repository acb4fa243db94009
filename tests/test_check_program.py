"""The checker of programs: its arithmetic agrees with the library's, and faults in programs are seen and named."""

import ast
import random
import subprocess
import sys
from fractions import Fraction
from pathlib import Path
from typing import ClassVar

import pytest
import torch

from gradlaws import check, check_program
from gradlaws.exact import formal
from gradlaws.exact.constants import Residues
from gradlaws.exact.field import PrimeField
from gradlaws.flows.gradient import GradientFlow
from gradlaws.laws.closure import bracket
from gradlaws.laws.points import flat_samples, small_samples, spelled, vocabularies
from gradlaws.laws.unroll import unroll
from gradlaws.models.module import from_module
from tests.certificates import MODULES, asked, certificate, document, mutant, save, sealed, verdict
from tests.steps import FUNCTIONS

FIELD = PrimeField(1048571)
"""3 modulo 4, as the checker needs it for roots."""


class LibraryValues(check_program.Residues):
    """Residues whose unknown values are those that the library draws."""

    angles: ClassVar[dict[int, float]] = {}

    def generic(self, name):
        size = Residues(FIELD)._number(float(name.removeprefix("angle ")))
        if name.startswith("angle "):
            self.angles[size] = float(name.removeprefix("angle "))
        return size

    def call(self, name, u):
        if isinstance(u, check.Dual):
            return super().call(name, u)
        if u in self.angles:
            points = Residues(FIELD).circle(torch.tensor([self.angles[u]], dtype=torch.float64))
            return int(points[name == "cosine"])
        function, place = FUNCTIONS[name]
        return int(function.start(torch.tensor([float(u % self.prime)], dtype=torch.float64), FIELD)[place])


def instance_of(family, sample):
    """A sample of a program as an instance of the library: one-hot rows without their last entry are tokens."""
    shapes = spelled(family)
    sizes = [torch.Size(shape).numel() for shape in shapes.values()]
    pieces = torch.tensor(sample, dtype=torch.float64).split(sizes)
    drawn = {}
    for (name, shape), piece in zip(shapes.items(), pieces, strict=True):
        values = FIELD.reduce(piece).view(1, *shape)
        if name in vocabularies(family):
            values = torch.cat([values, 1 - values.sum(-1, keepdim=True)], -1).argmax(-1).double()
        drawn[name] = values
    return drawn


def library_bracket(family, word, theta, samples):
    """By the jets of the library."""
    flow, letters = GradientFlow(family), []
    for number in word:
        drawn = instance_of(family, samples[number])
        settled = family.confined({name: formal.constant(values, FIELD) for name, values in drawn.items()})
        letters.append({name: values.coefficients[0] for name, values in settled.items()})
    point = FIELD.reduce(torch.tensor(theta, dtype=torch.float64)).view(1, 1, -1)
    return bracket(flow, letters, point, FIELD)[0, 0].long().tolist()


def program_of(family):
    return check_program.read_model({"model": unroll(family), "prime": FIELD.prime})


@pytest.mark.parametrize("title", MODULES)
def test_brackets_agree_with_the_library(monkeypatch, title):
    """The whole way: the tape, the numbering, forwards, backwards, differential equations, dual numbers."""
    monkeypatch.setattr(check_program, "Residues", LibraryValues)
    family = from_module(*asked(title))
    program, source = program_of(family), random.Random(1)
    generator = torch.Generator().manual_seed(1)
    theta, samples = [], []
    while len(samples) < 3:  # tokens are few: where their radicands are not square at a point, another is tried
        if not samples:
            theta = [source.randrange(1, 999) for _ in program.parameters]
        sample = flat_samples(small_samples(family, 1, 999, generator, None, None))[0]
        if all_square(family, theta, sample):
            samples.append(sample)
    for word in ([0], [0, 1], [2, 0, 1]):
        mine = check.bracket(program, word, theta, samples)
        assert [entry % FIELD.prime for entry in mine] == library_bracket(family, word, theta, samples)
        assert any(mine)


def all_square(family, theta, sample):
    flags = family.squares(torch.tensor([theta], dtype=torch.float64), instance_of(family, sample), FIELD)
    return all(bool(flag.all()) for flag in flags)


@pytest.mark.parametrize("name", check_program.EQUATIONS)
def test_differential_equations_are_those_of_the_library(monkeypatch, name):
    """Two nilpotents over residues that the library draws: values, slopes and mixed derivatives."""
    function, place = FUNCTIONS[name]
    field, source = LibraryValues(FIELD.prime), random.Random(2)
    a, b, c, d = next(
        row
        for row in ([source.randrange(1, FIELD.prime) for _ in range(4)] for _ in range(99))
        if bool(formal.is_square(torch.tensor([float(row[0])], dtype=torch.float64), FIELD))
    )
    mine = field.reduce(field.call(name, check.Dual(check.Dual(a, b), check.Dual(c, d))))
    u = formal.Jet(torch.tensor([a, b, c, d], dtype=torch.float64).view(4, 1), FIELD)
    theirs = function(u)[place].coefficients.flatten().long().tolist()
    assert [mine.value.value, mine.value.slope, mine.slope.value, mine.slope.slope] == theirs


@pytest.mark.parametrize("u", [1, 5, 1048570, 524286, 0])
def test_values_have_their_symmetries(u):
    field = check_program.Residues(FIELD.prime)
    p = FIELD.prime
    f = {name: field.call(name, u) for name in check_program.MIRROR if name != "angle"}
    g = {name: field.call(name, p - u) for name in f}
    assert f["exp"] * g["exp"] % p == 1
    assert (f["tanh"] + g["tanh"]) % p == (f["erf"] + g["erf"]) % p == 0
    assert (f["sigmoid"] + g["sigmoid"]) % p == (f["normal"] + g["normal"]) % p == 1
    assert (f["density"], f["gauss"]) == (g["density"], g["gauss"])
    assert (f["softplus"] - g["softplus"] - u) % p == 0
    s, c = field.call("sine", u), field.call("cosine", u)
    assert (s * s + c * c) % p == 1
    assert (field.call("sine", p - u) + s) % p == (field.call("cosine", p - u) - c) % p == 0


def test_roots_and_reciprocals_are_what_they_are_or_refused():
    field = check_program.Residues(FIELD.prime)
    assert field.call("root", 9) ** 2 * 9 % FIELD.prime == 1
    assert field.call("reciprocal", 9) * 9 % FIELD.prime == 1
    with pytest.raises(check.Failed, match=f"the inverse root of {FIELD.prime - 1} modulo .* not a square"):
        field.call("root", FIELD.prime - 1)
    for name in ("root", "reciprocal"):
        with pytest.raises(check.Failed, match="divides by zero"):
            field.call(name, 0)


def test_the_large_modulus_passes_the_test_of_lucas_and_lehmer():
    """For exponents p, 2^p - 1 is prime exactly if s_(p-2) = 0, with s_0 = 4 and s_(i+1) = s_i^2 - 2."""
    exponent, s = check_program.LARGE_PRIME.bit_length(), 4
    assert 2**exponent - 1 == check_program.LARGE_PRIME
    for _ in range(exponent - 2):
        s = (s * s - 2) % check_program.LARGE_PRIME
    assert s == 0


def polynomial_law(terms):
    return tuple((c, tuple(factors)) for c, factors in terms)


def program(steps, parameters=2, sample=1):
    names = [f"p{i}" for i in range(parameters)]
    return check_program.Program("it", names, sample, steps, FIELD.prime)


def chance(model, law):
    """What `conserved` says; None where the law is false."""
    try:
        return check_program.conserved(model, law, "it", {})
    except check.Failed:
        return None


CIRCLE = polynomial_law([(1, (0, 0)), (1, (1, 1))])
HYPERBOLA = polynomial_law([(1, (0, 0)), (-1, (1, 1))])


def test_programs_of_sums_and_products_are_expanded():
    product = program([["generic", "a"], ["number", "-2/3"], ["dot", 0, 1], ["dot", 5, 3, 5, 4], ["dot", 6, 2]])
    assert chance(product, HYPERBOLA) == 0.0
    assert chance(product, CIRCLE) is None


def test_programs_with_functions_are_tested_at_random():
    """A function of the product, and one of the angle, written with a root."""
    smooth = program([["dot", 0, 1], ["tanh", 3], ["dot", 4, 2]])
    assert 0 < chance(smooth, HYPERBOLA) < 1e-100
    assert chance(smooth, CIRCLE) is None
    norm = program([["dot", 0, 0, 1, 1], ["root", 3], ["dot", 4, 0], ["dot", 5, 2]])
    assert 0 < chance(norm, CIRCLE) < 1e-100
    assert chance(norm, HYPERBOLA) is None


def test_long_expansions_are_tested_at_random(monkeypatch):
    monkeypatch.setattr(check_program, "MAX_TERMS", 1)
    product = program([["dot", 0, 1], ["dot", 3, 2]])
    assert 0 < chance(product, HYPERBOLA) < 1e-100
    assert chance(product, CIRCLE) is None


def test_the_chance_grows_with_the_degree():
    def squares(count):
        steps = [["dot", 0, 1], ["exp", 3], *(["dot", 4 + i, 4 + i] for i in range(count))]
        model = program([*steps, ["dot", 4 + count, 2]])
        bounds, bound = check_program.change(model, HYPERBOLA, "bounds", {})
        return bounds.passing(bound) * check_program.LARGE_PRIME if count < 3 else bound.above

    assert squares(500) > 2**500
    with pytest.raises(check.Unreadable, match="degrees in the program are too large to test a law at random"):
        squares(5_000)


def test_degrees_bound_what_they_say():
    """((a b + c) / (a c))^2 + 1/b has degrees at most 6 over 5."""
    a = check_program.Bound(1, 0, 1)
    bounds = check_program.Bounds()
    quotient = (a * a + a) * bounds.call("reciprocal", a * a)
    whole = quotient * quotient + bounds.call("reciprocal", a)
    assert (quotient.above, quotient.below) == (2, 2)
    assert whole.above >= 5
    assert whole.below >= 5
    assert bounds.passing(whole) == float(Fraction(5 + 4 * 2**2 * 2, check_program.LARGE_PRIME))


FAULTS = {
    "a wrong sign": (
        lambda good: mutant(good, ("laws", 0, 0, 0), "-1"),
        "NOT PROVED: law 0 is not conserved: its derivative along the fields is not zero",
    ),
    "a singular minor": (
        lambda good: mutant(good, ("words", 1), good["words"][0]),
        "NOT PROVED: the rows of the minor are dependent at the point modulo 1048571: word 1 adds nothing",
    ),
    "a step of another kind": (
        lambda good: mutant(good, ("model", "steps"), with_a_sum(good)),
        "NOT PROVED: law 0 is not conserved",
    ),
    "an operand that is not there yet": (
        lambda good: mutant(good, ("model", "steps", 0, 1), 10**6),
        "check: step 0 of the program is no step: ['sum', 1000000",
    ),
    "a modulus without easy roots": (
        lambda good: {**good, "prime": 1048573},
        "check: the modulus 1048573 is not 3 modulo 4, as programs with roots need it",
    ),
    "a claim": (lambda good: mutant(good, ("claim", "laws"), 4), "NOT PROVED: the claim {'parameters': 14, 'laws': 4"),
}


def with_a_sum(good):
    """The product of a gain and a normalised entry becomes their sum."""
    steps = [list(step) for step in good["model"]["steps"]]
    at = next(i for i, step in enumerate(steps) if step[0] == "dot" and 0 in step)
    steps[at] = ["sum", *steps[at][1:]]
    return steps


def test_a_stop_that_is_left_out_is_seen():
    """The padding of the tokens would be trained, and the layer behind the stop would train what is before it."""
    good = document("tokens")
    assert verdict(good).startswith("CERTAIN(")
    assert "2 places of a sample hold a token" in verdict(good)
    for at, step in enumerate(good["model"]["steps"]):
        if step[0] == "still":
            flowing = mutant(good, ("model", "steps", at), ["sum", *step[1:]])
            assert verdict(sealed(flowing)).startswith("NOT PROVED: law"), step


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_seen_and_named(fault):
    plant, sentence = FAULTS[fault]
    said = verdict(sealed(plant(document("norm and linear"))))
    assert said.startswith(sentence), said


def forgotten(f, u):
    """Planted fault: tanh' = 1."""
    return 1


def test_a_wrong_differential_equation_is_seen(monkeypatch):
    monkeypatch.setitem(check_program.EQUATIONS, "sigmoid", ("sigmoid' = 1", forgotten))
    monkeypatch.setattr(check_program, "Residues", LibraryValues)
    family = from_module(*asked("swiglu"))
    model = program_of(family)
    theta, samples = [2 + i for i in range(len(model.parameters))], [[1 + i for i in range(model.sample_size)]]
    assert check.bracket(model, [0], theta, samples) != library_bracket(family, [0], theta, samples)


def test_the_checker_imports_the_standard_library_and_its_neighbour_only():
    tree = ast.parse(Path(check_program.__file__).read_text())
    names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert {name.split(".")[0] for name in names} - sys.stdlib_module_names == {"check", "gradlaws"}


def test_two_files_are_enough(tmp_path):
    """No site packages, no library: copies of the two files in an empty folder."""
    for module in (check, check_program):
        path = Path(module.__file__)
        (tmp_path / path.name).write_text(path.read_text())
    good = tmp_path / "good.json"
    certificate("norm and linear").save(good)
    network = tmp_path / "network.json"
    certificate("relu 1-1-1").save(network)
    altered = mutant(document("norm and linear"), ("laws", 0, 0, 0), "7")
    wrong = save(tmp_path / "wrong.json", sealed(altered))
    for name, path, status, word in (
        ("check_program.py", good, 0, "CERTAIN("),
        ("check_program.py", network, 0, "PROVED: "),
        ("check_program.py", wrong, 1, "NOT PROVED: law 0"),
        ("check_program.py", tmp_path / "none", 2, ""),
        ("check.py", good, 2, ""),
    ):
        run = subprocess.run(
            [sys.executable, "-I", "-S", tmp_path / name, path], capture_output=True, text=True, check=False, cwd="/"
        )
        assert run.returncode == status, run
        assert run.stdout.startswith(word)
    assert run.stderr == "check: the model is a program: use check_program.py, with this file beside it\n"
