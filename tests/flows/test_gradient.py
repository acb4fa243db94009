"""Gradient flow: velocities over jets against the derivatives of the expanded potential, at every mixed order."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gradlaws.flows.gradient import GradientFlow
from gradlaws.laws.proof import expanded_potential
from gradlaws.models.network import Network
from tests.asserts import assert_residues
from tests.oracles.slow_jet import SlowJet
from tests.samplers import GUARDED, SMALL_NETWORKS, generator, networks, residues, spec_of

P = GUARDED.prime


def evaluate(polynomial, numbers):
    """A polynomial at slow jets."""
    total = SlowJet({}, P)
    for monomial, coefficient in polynomial.terms.items():
        term = SlowJet({0: int(coefficient) % P}, P)
        for variable in monomial:
            term = term * numbers[variable]
        total = total + term
    return total


def expected_velocity(network, point, instances):
    """Gradient of the expanded potential at one jet of parameters and one instance."""
    psi = expanded_potential(network)
    theta = [SlowJet({s: int(c) for s, c in enumerate(column)}, P) for column in point[:, 0].T]
    s = [SlowJet({0: int(value)}, P) for values in instances.values() for value in values[0].flatten()]
    return [evaluate(psi.derivative(v), theta + s) for v in range(network.dimension)]


@pytest.mark.parametrize("order", [0, 1, 2, 3])
@pytest.mark.parametrize("network", SMALL_NETWORKS, ids=spec_of)
def test_velocity_agrees_with_the_expanded_gradient(network, order):
    flow = GradientFlow(network)
    point = residues((2**order, 1, network.dimension), 1)
    instances = flow.draw(point[0], GUARDED, generator(2))
    velocity = flow.velocity(point, instances, GUARDED)
    assert_residues(velocity, GUARDED)
    for entry, twin in zip(velocity[:, 0].T, expected_velocity(network, point, instances), strict=True):
        assert entry.tolist() == [twin[subset] for subset in range(2**order)]


@given(networks(), st.integers(0, 3))
def test_the_value_part_does_not_see_the_epsilons(network, order):
    flow = GradientFlow(network)
    point = residues((2**order, 3, network.dimension), 1)
    instances = flow.draw(point[0], GUARDED, generator(2))
    moving, still = flow.velocity(point, instances, GUARDED), flow.velocity(point[:1], instances, GUARDED)
    assert torch.equal(moving[:1], still)


def test_a_batch_is_its_members():
    flow = GradientFlow(Network("relu", (2, 3, 2), bias=True))
    point = residues((2, 5, flow.dimension), 1)
    instances = flow.draw(point[0], GUARDED, generator(2))
    together = flow.velocity(point, instances, GUARDED)
    for i in range(5):
        one = {name: values[i : i + 1] for name, values in instances.items()}
        assert torch.equal(flow.velocity(point[:, i : i + 1], one, GUARDED), together[:, i : i + 1])


def test_the_flow_says_what_its_family_says():
    network = Network("leaky", (2, 3, 2))
    flow = GradientFlow(network)
    assert flow.state == network.parameters
    assert flow.dimension == network.dimension
    assert flow.degree == network.degree - 1
    assert flow.assumptions == network.assumptions
