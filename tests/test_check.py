"""The checker: its own arithmetic agrees with the library's, and a fault in each of its inputs is seen and named."""

import ast
import math
import random
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import pytest
import torch

import gradlaws as gl
from gradlaws import check
from gradlaws.flows.gradient import GradientFlow
from gradlaws.laws.closure import bracket
from gradlaws.laws.proof import expanded_potential, holds_by_expansion, layer_law
from gradlaws.models.network import Network
from tests.certificates import certificate, document, mutant, save, sealed, verdict
from tests.samplers import FIELD, SMALL_NETWORKS, spec_of


def twin(network):
    """The same network as the checker reads it."""
    model = {"kind": "network", "activation": network.activation, "widths": list(network.widths)}
    return check.read_model({**model, "bias": network.bias, "output_bias": network.output_bias})


def as_potentials(network):
    """The same network as explicit potentials, one for each monomial in the instance, and how to find their factors."""
    phis = {}
    for monomial, c in expanded_potential(network).terms.items():
        theta = tuple(v for v in monomial if v < network.dimension)
        phis.setdefault(monomial[len(theta) :], []).append((c, theta))
    monomials = [tuple(v - network.dimension for v in monomial) for monomial in phis]
    return check.Potentials(
        [str(i) for i in range(network.dimension)], [tuple(phi) for phi in phis.values()]
    ), monomials


def numbers(count, seed):
    source = random.Random(seed)
    return [source.choice([-3, -2, -1, 1, 2, 3]) for _ in range(count)]


def library_bracket(network, word, theta, samples):
    """By the jets of the library, modulo its prime."""
    flow = GradientFlow(network)
    sizes = [math.prod(shape) for shape in network.instance.values()]
    letters = []
    for number in word:
        pieces = torch.tensor(samples[number], dtype=torch.float64).split(sizes)
        named = zip(network.instance.items(), pieces, strict=True)
        letters.append({name: FIELD.reduce(piece).view(1, *shape) for (name, shape), piece in named})
    point = FIELD.reduce(torch.tensor(theta, dtype=torch.float64)).view(1, 1, -1)
    return bracket(flow, letters, point, FIELD)[0, 0].long().tolist()


@pytest.mark.parametrize("network", SMALL_NETWORKS, ids=spec_of)
def test_names_and_sizes_agree_with_the_library(network):
    model = twin(network)
    assert sum(model.sizes) == network.dimension == len(list(model.names()))
    assert model.sample_size == sum(math.prod(shape) for shape in network.instance.values())
    assert model.degree >= network.degree
    first = gl.laws(network, degree=2).laws[0]
    assert list(model.names()) == first.names


@pytest.mark.parametrize("word", [[0], [0, 1], [2, 0, 1], [0, 1, 2, 1], [2, 2]], ids=str)
@pytest.mark.parametrize("network", SMALL_NETWORKS, ids=spec_of)
def test_brackets_agree_with_the_library(network, word):
    model = twin(network)
    theta, samples = numbers(network.dimension, 1), [numbers(model.sample_size, seed) for seed in (2, 3, 4)]
    mine = check.bracket(model, word, theta, samples)
    assert [entry % FIELD.prime for entry in mine] == library_bracket(network, word, theta, samples)
    assert any(mine) or len(set(word)) == 1 or network.activation == "linear"


@pytest.mark.parametrize("network", SMALL_NETWORKS, ids=spec_of)
def test_explicit_potentials_give_the_brackets_of_the_network(network):
    model, (explicit, monomials) = twin(network), as_potentials(network)
    theta, samples = numbers(network.dimension, 5), [numbers(model.sample_size, seed) for seed in (6, 7)]
    factors = [[math.prod(sample[v] for v in monomial) for monomial in monomials] for sample in samples]
    for word in ([0], [0, 1], [1, 0, 1]):
        assert check.bracket(explicit, word, theta, factors) == check.bracket(model, word, theta, samples)


def forgetful(self, other):
    """Planted fault: a product rule that forgets one half."""
    if isinstance(other, check.Dual):
        return check.Dual(self.value * other.value, self.value * other.slope)
    return check.Dual(self.value * other, self.slope * other)


def test_a_wrong_product_rule_is_seen(monkeypatch):
    """Three layers: in two, no product that it spoils is part of a bracket of two fields."""
    network, word = Network("relu", (2, 2, 2, 2)), [0, 1]
    model = twin(network)
    theta, samples = numbers(network.dimension, 1), [numbers(model.sample_size, seed) for seed in (2, 3)]
    monkeypatch.setattr(check.Dual, "__mul__", forgetful)
    mine = check.bracket(model, word, theta, samples)
    assert [entry % FIELD.prime for entry in mine] != library_bracket(network, word, theta, samples)


def test_a_bracket_in_the_wrong_order_is_seen():
    """Planted fault: a word read backwards. Lengths 2 and 3, where the sign and the value change."""
    network = Network("relu", (2, 3, 2))
    model = twin(network)
    theta, samples = numbers(network.dimension, 1), [numbers(model.sample_size, seed) for seed in (2, 3, 4)]
    for word in ([0, 1], [0, 1, 2]):
        mine = check.bracket(model, word[::-1], theta, samples)
        assert [entry % FIELD.prime for entry in mine] != library_bracket(network, word, theta, samples)


@pytest.mark.parametrize("expand", [True, False])
@pytest.mark.parametrize("network", SMALL_NETWORKS, ids=spec_of)
def test_conserved_on_a_part_is_conserved_on_the_whole(monkeypatch, network, expand):
    """The chain rule argument of `part`, against the expansion of the whole network by the library."""
    if not expand:
        monkeypatch.setattr(check, "MAX_TERMS", 1)
    model, psi, seen = twin(network), expanded_potential(network), set()
    for layer in range(1, network.depth):
        for scalar in layer_law(network, layer).polynomials(network.parameters):
            terms = tuple((c, monomial) for monomial, c in scalar.terms.items())
            for altered in [terms, *((*terms[:i], (2 * c, m), *terms[i + 1 :]) for i, (c, m) in enumerate(terms))]:
                law = type(scalar)({m: c for c, m in altered})
                seen.add(holds_by_expansion(psi, law))
                assert conserved(model, altered) == holds_by_expansion(psi, law)
    assert seen == {True, False}


def conserved(model, law):
    try:
        check.conserved(model, law, "it", {})
    except check.Failed:
        return False
    return True


def test_laws_too_long_to_expand_are_tested_at_random_numbers_and_it_says_so(monkeypatch):
    monkeypatch.setattr(check, "MAX_TERMS", 1)
    said = verdict(document("relu 2-3-2"))
    assert said.startswith("CERTAIN(")
    assert "or vanishes at random numbers, where a false one would with chance" in said
    assert 0 < float(said[len("CERTAIN(") : said.index(")")]) < 1e-30
    wrong = mutant(document("relu 2-3-2"), ("laws", 0, 0, 0), "2")
    assert verdict(sealed(wrong)).startswith("NOT PROVED: law 0 is not conserved")


@pytest.mark.parametrize("rows", [[[1, 2], [3, 4]], [[0, 0, 5], [0, 7, 1], [2, 0, 0]], [[101, 1], [1, 1]], []])
def test_independent_rows_pass(rows):
    check.require_independent(rows, 101, "rows", "row")


@pytest.mark.parametrize(
    ("rows", "number"),
    [([[1, 2], [2, 4]], 1), ([[0, 0]], 0), ([[1, 2, 3], [4, 5, 6], [5, 7, 9]], 2), ([[102, 0], [1, 0]], 1)],
)
def test_the_first_dependent_row_is_named(rows, number):
    with pytest.raises(check.Failed, match=f"row {number} adds nothing"):
        check.require_independent(rows, 101, "rows", "row")


@pytest.mark.parametrize("prime", [2, 101, 2**31 - 1])
def test_elimination_agrees_with_determinants(prime):
    """Random square matrices, half of them singular; digits as large as the packing must carry."""
    for seed in range(40):
        size = 1 + seed % 7
        source = random.Random(seed)
        rows = [[source.randrange(prime) for _ in range(size)] for _ in range(size)]
        if seed % 2:
            rows[-1] = [sum(column) for column in zip(*rows[:-1], strict=True)] or [0]
        try:
            check.require_independent(rows, prime, "rows", "row")
            regular = True
        except check.Failed:
            regular = False
        assert regular == (determinant(rows) % prime != 0)


def determinant(rows):
    """By expansion along the first row of a reduced matrix, over the rationals."""
    rows, result = [[Fraction(entry) for entry in row] for row in rows], Fraction(1)
    for j in range(len(rows)):
        pivot = next((i for i in range(j, len(rows)) if rows[i][j]), None)
        if pivot is None:
            return 0
        rows[j], rows[pivot] = rows[pivot], rows[j]
        result *= rows[j][j] if pivot == j else -rows[j][j]
        for i in range(j + 1, len(rows)):
            factor = rows[i][j] / rows[j][j]
            rows[i] = [a - factor * b for a, b in zip(rows[i], rows[j], strict=True)]
    return int(result)


def with_dependent_law(good):
    laws = [good["laws"][0], good["laws"][0], *good["laws"][2:]]
    return {**good, "laws": laws}


def with_law_missing(good):
    return {**good, "laws": good["laws"][1:], "claim": {**good["claim"], "laws": 2}}


FAULTS = {
    "a wrong sign": (
        lambda good: mutant(good, ("laws", 1, 0, 0), "-1"),
        "NOT PROVED: law 1 is not conserved: its derivative along the fields is not the zero polynomial",
    ),
    "a wrong factor": (
        lambda good: mutant(good, ("laws", 0, 0), ["1", "W1[0,0]", "W1[0,1]"]),
        "NOT PROVED: law 0 is not conserved",
    ),
    "a law twice": (with_dependent_law, "NOT PROVED: the laws are dependent at the point modulo 1048573: law 1"),
    "a law that is missing": (with_law_missing, "NOT PROVED: the bounds do not meet: 2 laws and 5 brackets for 8"),
    "a claim": (
        lambda good: mutant(good, ("claim", "laws"), 4),
        "NOT PROVED: the claim {'parameters': 8, 'laws': 4, 'lie_dimension': 5} is not what the certificate holds",
    ),
    "a composite modulus": (
        lambda good: mutant(good, ("prime",), 1048575),
        "NOT PROVED: the modulus 1048575 is not prime: 3 divides it",
    ),
    "a singular minor": (
        lambda good: mutant(good, ("words", 1), good["words"][0]),
        "NOT PROVED: the rows of the minor are dependent at the point modulo 1048573: word 1 adds nothing",
    ),
    "a bracket that vanishes": (
        lambda good: mutant(good, ("words", 4), [5, 5]),
        "NOT PROVED: the rows of the minor are dependent at the point modulo 1048573: word 4",
    ),
    "a field for a bracket": (
        lambda good: mutant(good, ("words", 4), [5]),
        "NOT PROVED: the rows of the minor are dependent at the point modulo 1048573: word 4",
    ),
    "a point at which laws are dependent": (
        lambda good: {**good, "point": [0] * 8},
        "NOT PROVED: the laws are dependent at the point modulo 1048573: law 0",
    ),
    "another network": (
        lambda good: mutant(good, ("model", "activation"), "square"),
        "NOT PROVED: law 0 is not conserved",
    ),
    "a prime that divides a coefficient": (
        lambda good: {**mutant(good, ("laws", 0), scaled(good["laws"][0], "1031")), "prime": 1031},
        "NOT PROVED: the laws are dependent at the point modulo 1031: law 0",
    ),
}


def scaled(law, factor):
    return [[factor.join(("-" * c.startswith("-"), "")), *rest] for c, *rest in law]


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_seen_and_named(fault):
    plant, sentence = FAULTS[fault]
    assert verdict(sealed(plant(document("linear 2-2-2")))).startswith(sentence)


def test_a_law_may_have_fractions():
    """A multiple of a law is a law: one half of it, written in lowest terms."""
    good = document("linear 2-2-2")
    assert verdict(sealed({**good, "laws": [scaled(good["laws"][0], "1/2"), *good["laws"][1:]]})).startswith("PROVED")


def test_the_statement_is_the_theorem():
    assert verdict(document("relu 2-2-2-1 bias")) == (
        "PROVED: the number of independent conservation laws of gradient flow on the relu network of widths 2-2-2-1 "
        "with hidden biases, free gates (every pattern of gates is taken to occur) is 4. The certificate lists them: "
        "each is constant along training, for every data set and every loss, because its derivative along every "
        "field, expanded, is the zero polynomial; at the point of the certificate their gradients are independent "
        "modulo 1048573, and so are fields and brackets of fields, 10 in number, hence near almost every point. "
        "4 + 10 = 14, the number of parameters, so there every conserved function is a function of these laws "
        "(Frobenius)."
    )


def test_the_checker_imports_the_standard_library_only():
    tree = ast.parse(Path(check.__file__).read_text())
    names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert {name.split(".")[0] for name in names} <= sys.stdlib_module_names


def test_the_checker_runs_alone(tmp_path):
    """Isolated: no site packages, no environment, another working directory, a copy of the one file."""
    alone = tmp_path / "check.py"
    alone.write_text(Path(check.__file__).read_text())
    good = tmp_path / "good.json"
    certificate("relu 2-3-2").save(good)
    wrong = save(tmp_path / "wrong.json", sealed(mutant(document("relu 2-3-2"), ("laws", 0, 0, 0), "2")))
    for path, status, word in ((good, 0, "PROVED: "), (wrong, 1, "NOT PROVED: law 0"), (tmp_path / "none", 2, "")):
        run = subprocess.run(
            [sys.executable, "-I", "-S", alone, path], capture_output=True, text=True, check=False, cwd=tmp_path
        )
        assert run.returncode == status
        assert run.stdout.startswith(word)
        assert ("check: cannot read" in run.stderr) == (status == 2)
