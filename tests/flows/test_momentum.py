"""Momentum: the fields over jets against their expansion, and against the equations written out by hand."""

from fractions import Fraction

import pytest
import torch

from gradlaws.errors import InputError
from gradlaws.exact.formal import power
from gradlaws.exact.jet import Jet
from gradlaws.flows.damping import Damping
from gradlaws.flows.gradient import GradientFlow
from gradlaws.flows.metric import ENTROPY, Hypentropy, mirror, rates
from gradlaws.flows.momentum import DRIFT, HeavyBall, Nesterov
from gradlaws.models.network import Network
from tests.asserts import assert_residues
from tests.oracles.slow_jet import SlowJet
from tests.samplers import GUARDED, generator, residues

P = GUARDED.prime
NETWORK = Network("relu", (2, 2, 1), bias=True)
TRAININGS = [
    HeavyBall(0),
    HeavyBall(Fraction(3, 4)),
    Nesterov(),
    HeavyBall(2, mirror(ENTROPY)),
    HeavyBall(0, mirror(ENTROPY, ("W2",))),
    Nesterov(2, mirror(ENTROPY), "position"),
    Nesterov(3, rates({"W1": Fraction(1, 7)})),
]


def evaluate(polynomial, numbers):
    total = SlowJet({}, P)
    for monomial, coefficient in polynomial.terms.items():
        term = SlowJet({0: GUARDED.residue(coefficient)}, P)
        for variable in monomial:
            term = term * numbers[variable]
        total = total + term
    return total


@pytest.mark.parametrize("order", [0, 1, 2])
@pytest.mark.parametrize("training", TRAININGS, ids=str)
def test_velocities_are_the_expanded_fields(training, order):
    flow = training(NETWORK)
    point = residues((2**order, 1, flow.dimension), 1)
    instances = flow.draw(point[0], GUARDED, generator(2)) | {DRIFT: torch.ones(1).double()}
    velocity = flow.velocity(point, instances, GUARDED)
    assert_residues(velocity, GUARDED)
    numbers = [SlowJet({s: int(c) for s, c in enumerate(column)}, P) for column in point[:, 0].T]
    drawn = [values[0].flatten() for name, values in instances.items() if name != DRIFT]
    numbers += [SlowJet({0: int(value)}, P) for values in drawn for value in values]
    for entry, component in zip(velocity[:, 0].T, flow.components(), strict=True):
        twin = evaluate(component, numbers)
        assert entry.tolist() == [twin[s] for s in range(2**order)]


def parts(flow, state):
    d = flow.family.dimension
    return state[0], state[1 : 1 + d], state[1 + d :]


@pytest.mark.parametrize(
    "tau", [Damping(), Damping(Fraction(2)), Damping(Fraction(3), fading=True)], ids=lambda t: t.text
)
@pytest.mark.parametrize("metric", [mirror(ENTROPY), mirror(Hypentropy())], ids=lambda m: m.name)
def test_the_metric_is_taken_at_tau_theta_plus_velocity(tau, metric):
    training = (Nesterov if tau.fading else HeavyBall)(int(tau.rate), metric)
    flow = training(NETWORK)
    points = flow.points(3, GUARDED, generator(1))
    instances = flow.draw(points, GUARDED, generator(2)) | {DRIFT: torch.zeros(3).double()}
    clock, theta, v = parts(flow, points.T)
    friction = torch.full_like(clock, float(tau.rate))
    if tau.fading:
        friction = GUARDED.reduce(friction * power(clock, P - 2, GUARDED))
    at = GUARDED.reduce(GUARDED.reduce(friction * theta) + v).T
    drawn = {name: values for name, values in instances.items() if name != DRIFT}
    plain = GradientFlow(NETWORK).velocity(theta.T.unsqueeze(0), drawn, GUARDED)
    factor = metric.default.apply(jet(at), jet(torch.ones_like(at))).coefficients[0]
    moved = parts(flow, flow.velocity(points.unsqueeze(0), instances, GUARDED)[0].T)
    assert not moved[0].any()
    assert not moved[1].any()
    assert torch.equal(moved[2].T, GUARDED.reduce(factor * plain[0]))


def jet(x):
    return Jet(x.unsqueeze(0), GUARDED)


@pytest.mark.parametrize(
    ("training", "clock", "expected"),
    [
        (HeavyBall(0), "t", lambda c, v: (1.0, v, 0 * v)),
        (HeavyBall(3), "exp(3 t)", lambda c, v: (3 * c, v, -3 * v)),
        (HeavyBall(1), "exp(t)", lambda c, v: (c, v, -v)),
        (Nesterov(), "t", lambda c, v: (c, c * v, -3 * v)),
    ],
    ids=str,
)
def test_the_drift(training, clock, expected):
    flow = training(NETWORK)
    assert list(flow.state)[:2] == [clock, "W1"]
    assert list(flow.state)[-1] == "W2'"
    assert flow.dimension == 2 * NETWORK.dimension + 1
    (point,) = flow.points(1, GUARDED, generator(1))
    instances = flow.draw(point.unsqueeze(0), GUARDED, generator(2))
    instances = {name: torch.zeros_like(values) for name, values in instances.items()} | {DRIFT: torch.ones(1).double()}
    moved = parts(flow, flow.velocity(point[None, None], instances, GUARDED)[0, 0])
    c, _, v = parts(flow, point)
    for entry, twin in zip(moved, expected(c, v), strict=True):
        assert torch.equal(entry, GUARDED.reduce(torch.as_tensor(twin)))


def test_a_batch_is_its_members():
    flow = Nesterov(3, mirror(ENTROPY))(NETWORK)
    point = residues((2, 4, flow.dimension), 1)
    instances = flow.draw(point[0], GUARDED, generator(2))
    together = flow.velocity(point, instances, GUARDED)
    for i in range(4):
        one = {name: values[i : i + 1] for name, values in instances.items()}
        assert torch.equal(flow.velocity(point[:, i : i + 1], one, GUARDED), together[:, i : i + 1])


def test_sign_changes_move_a_parameter_with_its_velocity():
    flow, d = HeavyBall(1)(Network("linear", (1, 1, 1))), 2
    assert all(
        sorted(i + d for i in change if i <= d) == [i for i in change if i > d]
        for change in map(sorted, flow.sign_changes())
    )


def test_titles():
    assert HeavyBall(0)(NETWORK).title == "heavy ball with tau = 0"
    assert Nesterov(3, mirror(ENTROPY))(NETWORK).title == "Nesterov's flow with tau = 3/t, entropy"


def test_bad_frictions_are_refused():
    with pytest.raises(InputError, match="damping -1 is negative: expected tau >= 0"):
        HeavyBall(-1)(NETWORK)
    with pytest.raises(InputError, match="damping 0/t: expected a positive whole number over t"):
        Nesterov(0)(NETWORK)
    with pytest.raises(InputError, match="no parameter is called 'x'"):
        HeavyBall(0, mirror(ENTROPY, ("x",)))(NETWORK)
