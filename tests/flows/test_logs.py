"""Flows with logarithms: they move by the chain rule, and their expansion says the same."""

import torch

from gradlaws.exact.formal import power
from gradlaws.flows.gradient import GradientFlow
from gradlaws.flows.logs import WithLogs
from gradlaws.flows.metric import ENTROPY, Power, mirror
from gradlaws.models.network import Network
from tests.samplers import GUARDED, generator

P = GUARDED.prime
NETWORK = Network("linear", (1, 2, 2))


def flow_with(metric=ENTROPY, names=("W2",)):
    return WithLogs(GradientFlow(NETWORK, mirror(metric)), names)


def test_logarithms_come_last_and_move_by_the_chain_rule():
    flow = flow_with()
    assert list(flow.state) == ["W1", "W2", "log W2"]
    points = flow.points(3, GUARDED, generator(1))
    moved = flow.velocity(points.unsqueeze(0), flow.draw(points, GUARDED, generator(2)), GUARDED)[0]
    inverse = power(points[:, 2:6], P - 2, GUARDED)
    assert torch.equal(moved[:, 6:], GUARDED.reduce(moved[:, 2:6] * inverse))


def test_tangents_are_tangent():
    flow = flow_with()
    point = flow.place(GUARDED, generator(1))
    directions = GUARDED.random((4, flow.dimension), generator(2))
    tangents = flow.tangents(point, directions, GUARDED)
    assert torch.equal(tangents[:, :6], directions[:, :6])
    assert torch.equal(GUARDED.reduce(tangents[:, 6:] * point[2:6]), directions[:, 2:6])


def test_components_agree_with_velocities():
    flow = flow_with(Power(2), ("W1", "W2"))
    (point,) = flow.points(1, GUARDED, generator(1))
    drawn = flow.draw(point.unsqueeze(0), GUARDED, generator(2))
    moved = flow.velocity(point[None, None], drawn, GUARDED)[0, 0]
    numbers = [int(x) for x in point] + [int(x) for values in drawn.values() for x in values.flatten()]
    for entry, component in zip(moved.tolist(), flow.components(), strict=True):
        total = 0
        for monomial, c in component.terms.items():
            term = int(c)
            for v in monomial:
                term = term * numbers[v] % P
            total += term
        assert entry == total % P


def test_a_field_that_the_variable_does_not_divide_has_no_expansion():
    assert WithLogs(GradientFlow(NETWORK), ("W1",)).components() is None
