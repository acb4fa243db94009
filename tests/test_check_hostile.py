"""Hostile files: refused with one sentence, in bounded time and memory; nothing in them is ever executed."""

import json
import os
import resource
import subprocess
import sys
import time

import pytest

from gradlaws import check
from tests.certificates import document, mutant, sealed, verdict

SECONDS, BYTES = 20, 2**30
LIMITED = f"""
import resource, sys
resource.setrlimit(resource.RLIMIT_AS, ({BYTES}, {BYTES}))
resource.setrlimit(resource.RLIMIT_CPU, ({SECONDS}, {SECONDS}))
import runpy
sys.argv = ["check.py", sys.argv[1]]
runpy.run_path({check.__file__!r}, run_name="__main__")
"""


def run(path):
    """The checker alone, in a process that may use a gigabyte and some seconds; nothing else may be printed."""
    return subprocess.run(
        [sys.executable, "-I", "-S", "-c", LIMITED, path],
        capture_output=True,
        text=True,
        check=False,
        timeout=3 * SECONDS,
    )


def refused(path, words=""):
    """One sentence on the error stream and exit status 2."""
    done = run(path)
    assert done.returncode == 2, done
    assert done.stdout == ""
    assert done.stderr.startswith("check: ")
    assert done.stderr.count("\n") == 1
    assert "Traceback" not in done.stderr
    assert len(done.stderr) < 1_000
    assert words in done.stderr
    return True


GOOD = json.dumps(document("linear 2-2-2"))


def with_text(old, new):
    """The good file with one piece of text replaced."""
    assert old in GOOD
    return GOOD.replace(old, new, 1).encode()


def forged(old, new):
    """The same with a hash that fits."""
    return json.dumps(sealed(json.loads(with_text(old, new)))).encode()


FILES = {
    "nothing": (b"", "Expecting value"),
    "a zero": (b"0", "the certificate is not of type dict"),
    "a null": (b"null", "the certificate is not of type dict"),
    "a list": (b"[]", "the certificate is not of type dict"),
    "an empty object": (b"{}", "the certificate lacks key 'format'"),
    "half a file": (GOOD.encode()[:500], "as a certificate"),
    "two documents": (GOOD.encode() * 2, "Extra data"),
    "Latin 1": (b'{"format": "\xe9"}', "utf-8"),
    "UTF-16": (GOOD.encode("utf-16"), "utf-8"),
    "a byte order mark": (b"\xef\xbb\xbf" + GOOD.encode(), "BOM"),
    "bytes": (bytes(range(256)) * 100, "utf-8"),
    "zeros": (bytes(10**6), "as a certificate"),
    "a lone surrogate as a key": (b'{"\\ud800": 1}', "the certificate lacks key 'format'"),
    "a lone surrogate as a name": (forged('"W1[0,0]"', '"\\ud800"'), "is not a new product of parameters"),
    "a number of a million digits": (with_text("1048573", "1" * 10**6), "is not a whole number of at most 30 digits"),
    "a negative one": (with_text("1048573", "-" + "1" * 5000), "is not a whole number of at most 30 digits"),
    "a float": (with_text("1048573", "1048573.0"), "1048573.0 is not a whole number"),
    "an exponent": (with_text("1048573", "1e999999999"), "1e999999999 is not a whole number"),
    "not a number": (with_text("1048573", "NaN"), "NaN is not a whole number"),
    "infinity": (with_text("1048573", "-Infinity"), "-Infinity is not a whole number"),
    "a coefficient of a million digits": (forged('"1"', f'"{"1" * 10**6}"'), "entry 0 of entry 0 of entry 0"),
    "a coefficient of 99 digits": (forged('"1"', f'"{"1" * 99}"'), "is not a nonzero fraction"),
    "a coefficient that divides by zero": (forged('"1"', '"1/0"'), "is not a nonzero fraction"),
    "a coefficient that is code": (forged('"1"', "\"__import__('os').abort()\""), "is not a nonzero fraction"),
    "a thousand brackets": (b"[" * 10**3 + b"]" * 10**3, ""),
    "a million brackets": (b"[" * 10**6, "as a certificate"),
    "a million braces": (b'{"a":' * 10**6, "as a certificate"),
    "deep software": (with_text('"software": {', '"software": {"a":' + "[" * 10**5 + "]" * 10**5 + ","), ""),
    "a deep model": (with_text('"model": {', '"model": {"a":' + "[" * 900 + "]" * 900 + ","), ""),
    "a key twice": (with_text('"prime"', '"version": 1, "prime"'), "a key occurs twice"),
    "a key twice inside": (with_text('"bias"', '"bias": true, "bias"'), "a key occurs twice"),
    "five million empty lists": (b"[" + b"[]," * (5 * 10**6) + b"[]]", "the certificate is not of type dict"),
    "seventeen million spaces": (b" " * (17 * 10**6) + GOOD.encode(), "has more than 16777216 bytes"),
}


@pytest.mark.parametrize("title", FILES)
def test_hostile_files_are_refused(tmp_path, title):
    content, words = FILES[title]
    path = tmp_path / "hostile.json"
    path.write_bytes(content)
    assert refused(path, words)


def test_what_is_no_file_is_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    for path, words in (
        (tmp_path, "is not a file"),
        (tmp_path / "pipe", "is not a file"),
        (tmp_path / "loop", "symbolic links"),
        (tmp_path / "none.json", "No such file"),
        ("/dev/zero", "is not a file"),
        ("", "No such file"),
        ("x" * 10**4, "File name too long"),
    ):
        assert refused(path, words)


def test_a_gigabyte_is_refused_without_reading_it(tmp_path):
    path = tmp_path / "large.json"
    with path.open("wb") as file:
        file.truncate(2**30)
    assert refused(path, "has more than 16777216 bytes")


def claims():
    """Documents that promise far more than they hold, sealed with a hash that fits."""
    good = document("linear 2-2-2")
    names = [f"p{i}" for i in range(4_000)]
    degree = {"kind": "potentials", "parameters": ["u"], "potentials": [[["1", *["u"] * 2_000]]]}
    yield "wide", mutant(good, ("model", "widths"), [5_000] * 30), "'point' has 8 entries for 725000000 parameters"
    yield "wider", mutant(good, ("model", "widths"), [10**9, 10**9]), "entry 0 of 'widths' is 1000000000"
    yield "deep", mutant(good, ("model", "widths"), [1] * 10**5), "at most 98 widths between"
    yield "square", {**good, "model": {**good["model"], "activation": "square", "widths": [1] * 99}}, "degree"
    yield "a claim of a billion", mutant(good, ("claim", "parameters"), 10**9), "'parameters' is 1000000000"
    yield "a long word", mutant(good, ("words", 0), [0, 1] * 10), "a word is too long to be evaluated"
    yield "a very long word", mutant(good, ("words", 0), [0] * 10**5), "a word is too long to be evaluated"
    yield "a letter", mutant(good, ("words", 0, 0), 10**5), "a word has a letter that numbers no sample"
    yield "a huge prime", mutant(good, ("prime",), 2**61 - 1), "'prime' is 2305843009213693951: expected 2 to"
    yield "a huge point", mutant(good, ("point", 0), 10**29), "expected -1000000 to 1000000"
    yield "long point", {**good, "point": [1] * 10**6}, "'point' has more than 5000 entries"
    yield "degree", {**good, "model": degree}, "is not a new product of parameters"
    yield "names", {**good, "model": {**degree, "parameters": names, "potentials": []}}, "has no potentials"


def programs():
    """The same for programs: each with the steps of a small one replaced."""
    good = document("norm and linear")
    last = len(good["point"]) + len(good["samples"][0])

    def with_steps(steps):
        return mutant(good, ("model", "steps"), steps)

    squares = [["dot", last - 1 + i, last - 1 + i] for i in range(10_000)]
    sums = [["sum", 0, 1], *(["dot", last + i, last + i] for i in range(10_000))]
    yield "no steps", with_steps([]), "the program has no steps"
    yield "an empty step", with_steps([[]]), "entry 0 of 'steps' is empty"
    yield "a step that is no list", with_steps(["sum"]), "entry 0 of 'steps' is not of type list"
    yield "a step without a name", with_steps([[0, 1]]), "step 0 of the program is no step"
    yield "a name that is no text", with_steps([[["sum"], 1]]), "step 0 of the program is no step"
    yield "an unknown function", with_steps([["__import__", 0]]), "step 0 of the program is no step: ['__import__', 0]"
    yield "its own operand", with_steps([["sum", last]]), "step 0 of the program is no step"
    yield "a negative operand", with_steps([["sum", -1]]), "step 0 of the program is no step"
    yield "a true operand", with_steps([["sum", True]]), "step 0 of the program is no step"
    yield "half a product", with_steps([["dot", 0, 1, 2]]), "step 0 of the program is no step"
    yield "two operands of a function", with_steps([["exp", 0, 1]]), "step 0 of the program is no step"
    yield "a nested operand", with_steps([["sum", [[[[0]]]]]]), "step 0 of the program is no step"
    yield "a long number", with_steps([["number", "1" * 10**5]]), "step 0 of the program is no step"
    yield "a number that is code", with_steps([["number", "abs(1)"]]), "step 0 of the program is no step"
    yield "a number that divides by zero", with_steps([["number", "1/0"]]), "step 0 of the program is no step"
    yield "a long step", with_steps([["sum", *[0] * 300_000]]), "has more than 200000 steps, operands and entries"
    yield "many steps", with_steps([["sum", 0]] * 150_000), "has more than 200000 steps, operands and entries"
    yield "many samples", mutant(good, ("model", "sample"), ["x"] * 300_000), "has more than 200000 steps"
    yield "two of a name", mutant(good, ("model", "parameters", 1), "0.weight[0]"), "two parameters of the same name"
    no_token = "a sample has no token where 'tokens' has one"
    yield "a token of one entry", mutant(good, ("model", "tokens"), [[0]]), "'tokens' are not pairs"
    yield "a token beyond the sample", mutant(good, ("model", "tokens"), [[last, 1]]), "'tokens' are not pairs"
    yield "a negative token", mutant(good, ("model", "tokens"), [[-1, 1]]), "expected 0 to 5000"
    yield "a number that is no token", mutant(good, ("model", "tokens"), [[0, 1]]), no_token
    words = document("tokens")
    at, size = words["model"]["tokens"][0]
    two = [*words["samples"][0][:at], *[1] * size, *words["samples"][0][at + size :]]
    yield "two tokens at one place", mutant(words, ("samples", 0), two), no_token
    yield "a huge degree", with_steps(squares), "the degrees in the program are too large"
    yield "a huge degree and many terms", with_steps(sums), "the degrees in the program are too large"
    yield "a long word", mutant(good, ("words", 0), [0, 1] * 10), "a word is too long to be evaluated"


CLAIMS = [*claims(), *(("program: " + title, altered, words) for title, altered, words in programs())]


@pytest.mark.parametrize(("title", "altered", "words"), [pytest.param(*c, id=c[0]) for c in CLAIMS])
def test_claims_beyond_what_the_file_holds_are_refused_at_once(title, altered, words):
    started = time.process_time()
    said = verdict(sealed(altered))
    assert said.startswith("check: ")
    assert words in said
    assert len(said) < 1_000
    assert time.process_time() - started < 5


def test_the_types_of_all_places_are_checked():
    """Every place of a certificate filled with a value of every other type."""
    others = [None, True, 0, -1, "x", "", [], [[]], {}, {"a": 1}, [None], ["x"]]

    def places(value, where=()):
        yield where
        inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
        for key, part in inner:
            yield from places(part, (*where, key))

    for good in (document("relu 1-1-1"), tiny_program()):
        try_all(good, places(good), others)


def tiny_program():
    """The network 1-1-1 as a program: ``c u gate w x``."""
    good, names = document("relu 1-1-1"), ["W1[0,0]", "W2[0,0]"]
    steps = [["dot", 0, 2], ["dot", 4, 5], ["dot", 1, 6], ["dot", 3, 7]]
    model = {
        "kind": "program",
        "title": "it",
        "parameters": names,
        "sample": ["x", "c", "gate"],
        "tokens": [],
        "steps": steps,
    }
    return sealed({**good, "model": model})


def try_all(good, places, others):
    """No value of another type is accepted, but where it is for the reader only."""
    assert verdict(good).startswith("PROVED")
    for where in places:
        for other in others:
            altered = mutant(good, where, other)
            if isinstance(altered, dict) and "hash" in altered and where != ("hash",):
                altered = sealed(altered)
            if verdict(altered).startswith("PROVED"):
                assert altered == good or harmless(where, other)


def harmless(where, other):
    """Numbers among the evidence, texts for the reader, and other operands, which tests of mutations look at."""
    return (
        where[0] in ("software", "point", "samples")
        or where[1:2] in (("title",), ("sample",))
        or (where[1:2] == ("steps",) and type(other) is int)
    )


def powers(count, degree, names):
    """So many different monomials in two parameters."""
    exponents = [(i, d - i) for d in range(degree, 0, -1) for i in range(d + 1)][:count]
    return [["1", *[names[0]] * i, *[names[1]] * j] for i, j in exponents]


def test_a_product_that_would_fill_the_memory_is_tested_at_random_numbers_instead():
    """Thousands of terms of degree 60, in the law and in the potential: their product is not written out."""
    long = powers(1_100, 60, "uv")
    model = {"kind": "potentials", "parameters": ["u", "v"], "potentials": [long]}
    good = document("relu 1-1-1")
    altered = {**good, "model": model, "laws": [long], "samples": [[1]]}
    started = time.process_time()
    assert verdict(sealed(altered)).startswith("NOT PROVED: law 0 is not conserved")
    assert time.process_time() - started < SECONDS


def test_words_are_bounded_by_the_price_of_a_field():
    """Two parameters only, but a potential with many terms."""
    long = powers(1_100, 60, "uv")
    model = {"kind": "potentials", "parameters": ["u", "v"], "potentials": [long]}
    good = {**document("relu 1-1-1"), "model": model, "samples": [[1]], "laws": [[["1", "u"]]]}
    assert verdict(sealed({**good, "words": [[0] * 6]})) == "check: a word is too long to be evaluated"


def test_checking_ends(monkeypatch):
    good = document("relu 2-3-2")
    monkeypatch.setattr(check, "MAX_SECONDS", -1)
    assert verdict(good) == "check: checking takes more than MAX_SECONDS = -1"


def test_the_limits_of_these_tests_hold():
    """A planted hunger is stopped by the limits that the other tests rely on."""
    hungry = f"import resource; resource.setrlimit(resource.RLIMIT_AS, ({BYTES}, {BYTES})); bytes(2 * {BYTES})"
    done = subprocess.run([sys.executable, "-I", "-S", "-c", hungry], capture_output=True, text=True, check=False)
    assert "MemoryError" in done.stderr
    assert resource.getrlimit(resource.RLIMIT_AS)[0] != BYTES
