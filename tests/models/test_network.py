"""Networks as families of potentials: value, degree, size, and the signs that leave them alone."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gradlaws.exact import linalg
from gradlaws.flows.gradient import GradientFlow
from gradlaws.laws.law import unflatten
from gradlaws.laws.proof import expanded_potential
from gradlaws.laws.search import _monomials, polynomial_laws
from gradlaws.models.network import ACTIVATIONS, Network
from tests.oracles import float_count, symbolic_count
from tests.oracles.layout import forward
from tests.samplers import FIELD, SMALL_NETWORKS, generator, networks, residues, spec_of

SEEDS = st.integers(0, 100)


def instance(network, seed, draw=residues):
    return {name: draw(shape, seed + i) for i, (name, shape) in enumerate(network.instance.items())}


def as_integers(x):
    return [int(entry) for entry in x.flatten()]


def exact_potential(network, theta, s):
    """The twin, on Python integers."""
    gates = [as_integers(s[f"gate{layer}"]) for layer in range(1, network.depth)] if network.gated else []
    outputs = forward(network, as_integers(theta), as_integers(s["x"]), gates)
    return sum(c * y for c, y in zip(as_integers(s["c"]), outputs, strict=True))


def small_integers(shape, seed):
    return torch.randint(-3, 4, shape, generator=generator(seed)).double()


@given(networks(), SEEDS)
def test_potential_over_integers_agrees_with_the_twin(network, seed):
    theta, s = small_integers((network.dimension,), seed), instance(network, seed + 1, small_integers)
    value = network.potential(unflatten(theta, network.parameters), s)
    assert int(value) == exact_potential(network, theta, s)


@given(networks(), SEEDS)
def test_potential_over_floats_agrees_with_the_float_twin(network, seed):
    theta, s = small_integers((network.dimension,), seed), instance(network, seed + 1, small_integers)
    gates = [s[f"gate{layer}"] for layer in range(1, network.depth)] if network.gated else []
    flat = torch.cat([s["x"], s["c"], *gates])
    assert float_count.potential(network, theta, flat) == network.potential(unflatten(theta, network.parameters), s)


@pytest.mark.parametrize("network", SMALL_NETWORKS, ids=spec_of)
def test_expansion_agrees_with_sympy(network):
    expanded, twin = expanded_potential(network), symbolic_count.potential(network)
    # the twin orders x, c, gates as the instance does
    assert list(network.instance)[:2] == ["x", "c"]
    exponents = {tuple(m.count(v) for v in range(twin.ring.ngens)): c for m, c in expanded.terms.items()}
    assert exponents == {m: int(c) for m, c in twin.terms()}


@given(networks(largest=16))
def test_degree_and_monomials_bound_the_expansion(network):
    expanded = symbolic_count.potential(network)
    assert max(map(sum, expanded.itermonoms())) == network.degree
    assert len(expanded) <= network.monomials


@given(networks())
def test_dimension_is_the_number_of_parameters(network):
    pairs = list(zip(network.widths, network.widths[1:], strict=False))
    biases = network.bias * sum(network.widths[1:-1]) + network.output_bias * network.widths[-1]
    assert network.dimension == sum(a * b for a, b in pairs) + biases


@pytest.mark.parametrize("network", SMALL_NETWORKS, ids=spec_of)
def test_every_sign_change_permutes_the_potentials(network):
    """Flipping parameters multiplies each component of the path lifting by 1 or -1: its span stays."""
    for change in network.sign_changes():
        for phi in symbolic_count.components(network):
            signs = {(-1) ** sum(exponents[v] for v in change) for exponents in phi.itermonoms()}
            assert len(signs) == 1


@pytest.mark.parametrize("network", SMALL_NETWORKS, ids=spec_of)
def test_a_planted_wrong_sign_change_is_seen(network):
    """The sign of one parameter alone: where components are sums of paths, some get both signs."""
    mixed = [
        len({exponents[v] % 2 for exponents in phi.itermonoms()}) > 1
        for v in range(network.dimension)
        for phi in symbolic_count.components(network)
    ]
    # free gates tell all paths apart, so there every sign of every parameter is a symmetry
    assert any(mixed) == (not network.gated)


class Blind(Network):
    """The same network without its signs."""

    __slots__ = ()

    def sign_changes(self):
        return []


class Mistaken(Network):
    """Planted fault: every single parameter is said to change sign freely."""

    __slots__ = ()

    def sign_changes(self):
        return [[v] for v in range(self.dimension)]


def law_space(network, degree):
    """Dimension of the space that the search finds, and its vectors in the monomial basis."""
    laws = polynomial_laws(GradientFlow(network), degree, FIELD, generator(1))
    where = {m: i for i, m in enumerate(_monomials(network.dimension, degree))}
    rows = torch.zeros(len(laws), len(where), dtype=torch.float64)
    for row, law in zip(rows, laws, strict=True):
        for monomial, c in zip(law.monomials, law.coefficients, strict=True):
            row[where[monomial]] = FIELD.residue(c)
    return rows


@pytest.mark.parametrize("network", SMALL_NETWORKS, ids=spec_of)
def test_blocks_lose_no_law(network):
    blocks = law_space(network, 2)
    whole = law_space(Blind(network.activation, network.widths, network.bias, network.output_bias), 2)
    assert len(blocks) == len(whole)
    assert linalg.rank(torch.cat([blocks, whole]), FIELD) == len(whole)


def test_a_planted_wrong_sign_change_loses_laws():
    right, wrong = Network("linear", (2, 2, 2)), Mistaken("linear", (2, 2, 2))
    assert (len(law_space(right, 2)), len(law_space(wrong, 2))) == (3, 2)


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("kind", ACTIVATIONS)
def test_a_shrunk_network_keeps_its_shape(kind, bias):
    network = Network(kind, (784, 512, 512, 10), bias=bias)
    small = network.shrunk(1000)
    assert small.dimension <= 1000
    assert (small.activation, small.bias, small.depth) == (kind, bias, 3)
    assert min(small.widths) >= 2


def test_layers_of_width_one_stay():
    assert Network("relu", (300, 1, 300)).shrunk(50).widths[1] == 1


def test_only_gated_networks_assume_anything():
    assert not Network("linear", (2, 2, 2)).assumptions
    assert not Network("square", (2, 2, 2)).assumptions
    (assumption,) = Network("leaky", (2, 2, 2)).assumptions
    assert assumption.startswith("free gates: on each cell a leaky unit")
