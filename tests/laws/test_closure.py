"""The closure: its brackets are right at every level, and its bound does not depend on luck."""

import pytest
import torch

from gradlaws.errors import TooLargeError
from gradlaws.exact import linalg
from gradlaws.exact.field import DEFAULT_PRIMES, PrimeField
from gradlaws.flows.gradient import GradientFlow
from gradlaws.laws import closure
from gradlaws.laws.closure import bracket, close, memory_needed, memory_total
from gradlaws.laws.law import gradients, unflatten
from gradlaws.laws.proof import layer_law
from gradlaws.models.network import Network
from gradlaws.models.spec import read_spec
from tests.asserts import assert_annihilates_brackets, bracket_slopes
from tests.cases import counts_7_1
from tests.oracles import symbolic_count
from tests.samplers import FIELD, GUARDED, SMALL_NETWORKS, generator, residues, spec_of

DEEP = [Network("linear", (2, 3, 3, 2)), Network("linear", (1, 2, 2, 1)), *SMALL_NETWORKS]


@pytest.mark.parametrize("length", [1, 2, 3, 4])
@pytest.mark.parametrize("network", DEEP, ids=spec_of)
def test_known_laws_annihilate_every_bracket(network, length):
    for layer in range(1, network.depth):
        assert_annihilates_brackets(layer_law(network, layer), GradientFlow(network), length, GUARDED)


@pytest.mark.parametrize("length", [1, 2, 3])
def test_a_planted_wrong_law_does_not(length):
    # three layers: in two, brackets of even length rotate, and keep either Gram matrix by itself
    network = Network("linear", (2, 3, 3, 2))
    right = layer_law(network, 1)
    wrong = type(right)(tuple((part, abs(c)) for part, c in right.parts), right.width, right.selection)
    assert bracket_slopes(wrong, GradientFlow(network), length, GUARDED, seed=0).any()
    with pytest.raises(AssertionError, match="moves along brackets"):
        assert_annihilates_brackets(wrong, GradientFlow(network), length, GUARDED)


def symbolic_bracket(network, instances, theta):
    """The bracket of expanded potentials at fixed instances, evaluated modulo p."""
    psi = symbolic_count.potential(network)
    variables, field = psi.ring.gens[: network.dimension], None
    for letter in instances:
        s = [int(value) for values in letter.values() for value in values[0]]
        fixed = psi.evaluate(list(zip(psi.ring.gens[network.dimension :], s, strict=True))).set_ring(psi.ring)
        x = [fixed.diff(variable) for variable in variables]
        x += [psi.ring.zero] * (psi.ring.ngens - len(x))
        field = x if field is None else symbolic_count.bracket(x, field)
    point = [(variable, int(value)) for variable, value in zip(psi.ring.gens, theta, strict=False)]
    return [int(entry.evaluate(point).as_expr()) % FIELD.prime for entry in field[: network.dimension]]


@pytest.mark.parametrize("length", [1, 2, 3])
@pytest.mark.parametrize("network", SMALL_NETWORKS, ids=spec_of)
def test_brackets_agree_with_symbols(network, length):
    flow, random = GradientFlow(network), generator(3)
    theta = residues((1, network.dimension), 4)
    word = [flow.draw(theta, FIELD, random) for _ in range(length)]
    fast = bracket(flow, word, theta.unsqueeze(0), FIELD)[0, 0]
    assert fast.tolist() == symbolic_bracket(network, word, theta[0])


@pytest.mark.parametrize("length", [2, 3])
def test_brackets_of_jets_are_derivatives_of_brackets(length):
    """The coefficient of one epsilon is linear in the direction, and zero for no direction."""
    flow, random = GradientFlow(Network("linear", (2, 3, 2))), generator(1)
    theta, a, b = (residues((1, flow.dimension), seed) for seed in (2, 3, 4))
    word = [flow.draw(theta, GUARDED, random) for _ in range(length)]

    def along(direction):
        return bracket(flow, word, torch.stack([theta, direction]), GUARDED)[1]

    assert torch.equal(along(GUARDED.reduce(a + b)), GUARDED.reduce(along(a) + along(b)))
    assert not along(torch.zeros_like(theta)).any()


def test_a_bracket_of_a_field_with_itself_is_zero():
    flow = GradientFlow(Network("relu", (2, 3, 2)))
    point = residues((1, 3, flow.dimension), 2)
    letter = flow.draw(point[0], FIELD, generator(1))
    assert not bracket(flow, [letter, letter], point, FIELD).any()


@pytest.mark.parametrize("case", [case for case in counts_7_1() if case.parameters <= 100], ids=str)
def test_two_primes_and_two_points_agree(case):
    flow = GradientFlow(read_spec(case.spec))
    fields = [PrimeField(prime) for prime in DEFAULT_PRIMES[:2]]
    bounds = {close(flow, field, generator(seed)).upper for field in fields for seed in (1, 2)}
    assert bounds == {case.upper}


@pytest.mark.parametrize("network", DEEP, ids=spec_of)
def test_a_stagnant_closure_keeps_the_gradients_of_the_laws(network):
    found = close(GradientFlow(network), FIELD, generator(1))
    theta = unflatten(found.point, network.parameters)
    assert found.stagnated
    for layer in range(1, network.depth):
        rows = gradients(layer_law(network, layer), theta, FIELD)
        stacked = torch.cat([found.covectors, rows.T], dim=1)
        assert linalg.rank(stacked, FIELD) == linalg.rank(found.covectors, FIELD) == found.upper


def test_levels_record_how_the_bound_came_down():
    found = close(GradientFlow(Network("linear", (2, 2, 2))), FIELD, generator(1))
    assert [(level.length, level.rank, level.remaining) for level in found.levels] == [(1, 4, 4), (2, 1, 3), (3, 0, 3)]


def test_the_closure_stops_when_it_meets_a_lower_bound():
    found = close(GradientFlow(Network("linear", (2, 2, 2))), FIELD, generator(1), lower=3)
    assert [level.remaining for level in found.levels] == [4, 3]
    assert not found.stagnated


def test_a_closure_that_gives_up_still_bounds(monkeypatch):
    monkeypatch.setattr(closure, "MAX_LEVEL", 1)
    found = close(GradientFlow(Network("linear", (2, 2, 2))), FIELD, generator(1))
    assert (found.upper, found.stagnated) == (4, False)


def test_chunks_do_not_change_the_answer(monkeypatch):
    flow = GradientFlow(Network("linear", (2, 3, 2)))
    whole = close(flow, FIELD, generator(1)).upper
    monkeypatch.setattr(closure, "_CHUNK_BYTES", 1)
    assert close(flow, FIELD, generator(1)).upper == whole


def test_progress_is_heard_and_ends_at_one():
    heard = {}
    close(GradientFlow(Network("relu", (2, 3, 2))), FIELD, generator(1), on_progress=heard.__setitem__)
    assert list(heard) == ["brackets of length 1", "elimination 1", "brackets of length 2", "elimination 2"]
    assert set(heard.values()) == {1.0}


def test_what_cannot_fit_is_refused_with_an_estimate(monkeypatch):
    monkeypatch.setattr(closure, "memory_total", lambda: 2**30)
    with pytest.raises(
        TooLargeError, match=r"of 20000 parameters needs about 8.9 GiB and this machine has 1.0 GiB: cou"
    ):
        close(GradientFlow(Network("linear", (100, 100, 100))), FIELD, generator(1))


def test_the_estimate_is_three_dense_matrices():
    assert memory_needed(1000) == 3 * 8 * 10**6
    assert memory_total() > 2**28
