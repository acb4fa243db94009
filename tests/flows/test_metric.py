"""Metrics: the same function over jets, polynomials and floats, where they are defined, and what they refuse."""

from fractions import Fraction

import numpy as np
import pytest
import torch

from gradlaws.errors import InputError
from gradlaws.exact.jet import Jet
from gradlaws.exact.polynomial import Polynomial, all_variables, variable
from gradlaws.flows.gradient import GradientFlow
from gradlaws.flows.metric import ENTROPY, EUCLIDEAN, FLAT, Geometry, Hessian, Hypentropy, Power, mirror, rates
from gradlaws.models.network import Network
from tests.asserts import assert_residues
from tests.oracles.slow_jet import SlowJet
from tests.samplers import GUARDED, residues

P = GUARDED.prime
POWERS = [EUCLIDEAN, ENTROPY, Power(2), Power(3, Fraction(2, 5)), Power(0, Fraction(1, 3))]
INVERSE = [Power(-1, Fraction(1, 2)), Power(-2)]
ROOTS = [Hypentropy(), Hypentropy(Fraction(2, 3))]


def slow(x, entry):
    return SlowJet({s: int(c) for s, c in enumerate(x[:, 0, entry])}, P)


def slow_power(metric, x, g):
    for _ in range(metric.exponent):
        g = g * x
    return g * GUARDED.residue(metric.rate)


@pytest.mark.parametrize("order", [0, 1, 2, 3])
@pytest.mark.parametrize("metric", POWERS, ids=lambda m: m.name)
def test_powers_of_jets_agree_with_slow_jets(metric, order):
    x, g = residues((2**order, 1, 2), 1), residues((2**order, 1, 2), 2)
    fast = metric.apply(Jet(x, GUARDED), Jet(g, GUARDED)).coefficients
    assert_residues(fast, GUARDED)
    for entry in range(2):
        twin = slow_power(metric, slow(x, entry), slow(g, entry))
        assert fast[:, 0, entry].tolist() == [twin[s] for s in range(2**order)]


@pytest.mark.parametrize("metric", INVERSE, ids=lambda m: m.name)
def test_a_negative_power_undoes_a_positive_one(metric):
    x, g = (Jet(residues((8, 2, 3), seed), GUARDED) for seed in (1, 2))
    back = Power(-metric.exponent, 1 / metric.rate).apply(x, metric.apply(x, g))
    assert torch.equal(back.coefficients, g.coefficients)


@pytest.mark.parametrize(("text", "metric"), [("1/x", ENTROPY), ("3", Power(0, Fraction(1, 3))), ("2*x", INVERSE[0])])
def test_a_hessian_is_the_inverse_of_the_metric(text, metric):
    x, g = (Jet(residues((8, 2, 3), seed), GUARDED) for seed in (1, 2))
    assert torch.equal(Hessian(text).apply(x, g).coefficients, metric.apply(x, g).coefficients)
    assert (Hessian(text).odd, Hessian(text).polynomial) == (metric.odd, metric.polynomial)
    reals = torch.tensor([2.0, 3.0]).double()
    assert torch.allclose(Hessian(text).apply(reals, reals), metric.apply(reals, reals))
    if metric.polynomial:
        theta = all_variables(2)
        assert [p.terms for p in Hessian(text).apply(theta, theta)] == [p.terms for p in metric.apply(theta, theta)]


@pytest.mark.parametrize("metric", ROOTS, ids=lambda m: m.name)
def test_a_root_squares_to_its_radicand_where_points_are_drawn(metric):
    x = residues((8, 5, 3), 1)
    x[0] = metric.draw(x[0], GUARDED)
    one = torch.zeros_like(x)
    one[0] = 1.0
    jet = Jet(x, GUARDED)
    root = metric.apply(jet, Jet(one, GUARDED))
    expected = (jet * jet).coefficients
    expected[0] = GUARDED.reduce(expected[0] + GUARDED.residue(metric.beta**2))
    assert torch.equal((root * root).coefficients, expected)


def test_polynomials_and_floats_see_the_same_function():
    theta = np.array([variable(0), variable(1)], dtype=object)
    g = np.array([Polynomial({(): 1}), variable(0)], dtype=object)
    moved = Geometry(others=(("b", Power(1, Fraction(3))),)).apply(theta, g, {"a": (1,), "b": (1,)})
    assert [entry.terms for entry in moved] == [{(): 1}, {(0, 1): 3}]
    x, ones = torch.tensor([2.0, 3.0]).double(), torch.ones(2).double()
    assert Hypentropy(Fraction(2)).apply(x, ones).tolist() == pytest.approx([8**0.5, 13**0.5])
    assert Power(-1, Fraction(1, 2)).apply(x, ones).tolist() == pytest.approx([1 / 4, 1 / 6])


def test_components_are_the_velocities():
    flow = GradientFlow(Network("linear", (1, 2, 1)), mirror(ENTROPY, ("W2",)))
    assert flow.title == "mirror flow (entropy on W2)"
    components = flow.components()
    # psi = c (w2_0 w1_0 + w2_1 w1_1) x, variables w1_0 w1_1 w2_0 w2_1 x c
    assert [entry.terms for entry in components] == [
        {(2, 4, 5): 1},
        {(3, 4, 5): 1},
        {(0, 2, 4, 5): 1},
        {(1, 3, 4, 5): 1},
    ]
    assert GradientFlow(Network("linear", (1, 2, 1)), mirror(Hypentropy())).components() is None


def test_an_odd_metric_breaks_sign_changes():
    network = Network("linear", (1, 2, 1))
    assert GradientFlow(network).sign_changes() == network.sign_changes() != []
    assert GradientFlow(network, mirror(Power(2))).sign_changes() == network.sign_changes()
    assert GradientFlow(network, mirror(ENTROPY)).sign_changes() == []
    assert GradientFlow(network, mirror(ENTROPY, ("W2",))).sign_changes() == [[0, 1]]


def test_titles():
    network = Network("linear", (1, 2, 1))
    assert GradientFlow(network).title == "gradient flow"
    assert GradientFlow(network, rates({"W1": Fraction(1, 10)})).title == "gradient flow (rate 1/10 on W1)"
    assert GradientFlow(network, mirror(Power(-1, Fraction(1, 2)))).title == "mirror flow (pnorm=3)"
    assert FLAT.euclidean
    assert len(all_variables(3)) == 3


def test_what_makes_no_sense_is_refused():
    with pytest.raises(InputError, match="learning rate 0 is not positive"):
        Power(0, Fraction(0))
    with pytest.raises(InputError, match="hypentropy needs beta > 0, got -1"):
        Hypentropy(Fraction(-1))
    with pytest.raises(InputError, match="no parameter is called 'W7': expected some of W1, W2"):
        GradientFlow(Network("linear", (1, 2, 1)), mirror(ENTROPY, ("W7",)))


@pytest.mark.parametrize("metric", [Power(-1), Hessian("x*(x-1)*(x-2)/(x-3)"), Hessian("3"), Hypentropy()])
def test_points_are_drawn_where_the_metric_is_defined(metric):
    x = metric.draw(torch.tensor([[0.0, 1.0, 2.0, 3.0, 7.0]]).double(), GUARDED)
    assert_residues(x, GUARDED)
    one = Jet(torch.ones(1, 1, 5).double(), GUARDED)
    assert bool((metric.apply(Jet(x.unsqueeze(0), GUARDED), one).coefficients != 0).all())
    if isinstance(metric, Hessian) and metric.read.above.degree:
        assert x[0].tolist() == [4.0, 4.0, 4.0, 4.0, 7.0]
