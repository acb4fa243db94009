"""Proofs of momentum laws of modules: the right ones are proved, wrong ones and other forms are not."""

from dataclasses import replace

import pytest
import torch

import gradlaws as gl
from gradlaws.flows.metric import ENTROPY, mirror
from gradlaws.flows.momentum import HeavyBall, Nesterov
from gradlaws.laws.inertia import proved_under_momentum
from gradlaws.models.module import from_module
from gradlaws.models.network import Network
from tests.modules import mlp

FAMILY = from_module(mlp(torch.nn.Identity, 2, 2, 2, bias=False), torch.ones(1, 2))


@pytest.mark.parametrize("training", [HeavyBall(0), HeavyBall(2), Nesterov()], ids=["free", "constant", "fading"])
def test_the_law_is_proved_and_its_faults_are_not(training):
    flow = training(FAMILY)
    (law,) = gl.laws(flow).laws
    (scalar,) = law.polynomials(flow.state)
    assert proved_under_momentum(flow, scalar)
    for name, wrong in {
        "half of it": replace(law, parts=law.parts[:1]),
        "a coefficient": replace(law, parts=((law.parts[0][0], 2), law.parts[1])),
        "another weight": replace(law, weight=law.weight + 1),
    }.items():
        (polynomial,) = wrong.polynomials(flow.state)
        assert not proved_under_momentum(flow, polynomial), name


def test_what_it_does_not_cover_is_not_proved():
    flow = HeavyBall(0)(FAMILY)
    (law,) = gl.laws(flow).laws
    (scalar,) = law.polynomials(flow.state)
    assert not proved_under_momentum(flow, scalar * scalar)  # its direction holds velocities
    assert not proved_under_momentum(HeavyBall(0, mirror(ENTROPY))(FAMILY), scalar)
    assert not proved_under_momentum(Nesterov(3, mirror(ENTROPY))(FAMILY), scalar)
    assert not proved_under_momentum(HeavyBall(0)(Network("linear", (2, 2, 2))), scalar)
