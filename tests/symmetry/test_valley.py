"""Curves of equal function, ensembles along them, and facts about connectivity."""

import math

import pytest
import torch
from torch import nn

from gradlaws.errors import InputError
from gradlaws.symmetry.couple import couplings
from gradlaws.symmetry.valley import (
    chord_deviation,
    connected,
    curvature,
    curve,
    ensemble,
    linear_components,
    members,
    midpoint_factor,
)
from tests.modules import mlp


def network():
    model, x = mlp(nn.ReLU, 3, 5, 2).double(), torch.randn(6, 3, dtype=torch.float64)
    return model, x, couplings(model, x)


def test_the_function_is_constant_along_a_curve():
    model, x, groups = network()
    state = {name: p.detach() for name, p in model.named_parameters()}
    logs = [torch.randn(g.shape, dtype=torch.float64) for g in groups]
    points = curve(state, groups, logs, [0.0, 0.5, 1.0])
    assert all(torch.equal(points[0][name], x) for name, x in state.items())
    for point in points:
        assert float((torch.func.functional_call(model, point, (x,)) - model(x)).detach().abs().max()) < 1e-13
    chord = {name: (points[0][name] + points[2][name]) / 2 for name in state}
    assert float((torch.func.functional_call(model, chord, (x,)) - model(x)).detach().abs().max()) > 1e-3


def test_an_ensemble_along_a_symmetry_is_the_network_itself():
    model, x, groups = network()
    states = members(model, groups, 5, scale=0.5)
    assert len(states) == 5
    moved = [float((s["0.weight"] - model[0].weight).detach().norm()) for s in states]
    assert min(moved) > 0.01
    assert float((ensemble(model, states, x) - model(x)).detach().abs().max()) < 1e-13


def test_logarithms_have_both_signs():
    """Published code draws directions from [0, 1) only."""
    model, _, groups = network()
    state = dict(model.named_parameters())
    (group,) = groups
    ratios = torch.stack(
        [s["0.weight"][:, 0] / state["0.weight"][:, 0].detach() for s in members(model, groups, 50, seed=1)]
    )
    assert 0.4 < float((ratios > 1).double().mean()) < 0.6
    assert group.group == "positive"


# k = 1 and 2, from the formula of Zhao et al. 2023, section 5
MIDPOINTS = [(10, 1, 4.100625), (100, 1, 600.3725), (10, 2, 203.811)]


@pytest.mark.parametrize(("m", "degree", "expected"), MIDPOINTS)
def test_the_barrier_halfway_is_unbounded(m, degree, expected):
    assert midpoint_factor(m, degree) == pytest.approx(expected, rel=1e-5)


def test_the_barrier_of_real_layers():
    """Two homogeneous layers, target reached exactly, and the average of two points of the valley."""
    w2, w1, x = (torch.rand(*s, dtype=torch.float64) for s in ((2, 3), (3, 4), (4, 5)))
    m = 10.0
    y = w2 @ torch.relu(w1 @ x)
    middle = ((w2 + w2 / m) / 2) @ torch.relu(((w1 + m * w1) / 2) @ x)
    assert float((middle - y).square().sum() / y.square().sum()) == pytest.approx(midpoint_factor(m))


def test_components():
    assert [linear_components(layers) for layers in (1, 2, 3, 4)] == [1, 2, 4, 8]


def test_a_path_to_a_matrix_of_positive_determinant():
    g = torch.linalg.matrix_exp(torch.randn(4, 4, generator=torch.Generator().manual_seed(3), dtype=torch.float64))
    log = connected(g)
    assert torch.allclose(torch.linalg.matrix_exp(log), g, atol=1e-9)


def test_no_path_to_the_other_component():
    with pytest.raises(InputError, match="another component"):
        connected(torch.diag(torch.tensor([1.0, -1.0])))
    with pytest.raises(InputError, match="negative eigenvalues"):
        connected(torch.diag(torch.tensor([-1.0, -2.0])))
    with pytest.raises(InputError, match="square matrix"):
        connected(torch.ones(2, 3))


def test_curvature_of_the_hyperbola():
    """(e^t, e^-t) at t = 0: derivatives (1, -1) and (1, 1)."""
    assert curvature(torch.tensor([1.0, -1.0]), torch.tensor([1.0, 1.0])) == pytest.approx(1 / math.sqrt(2))


def test_a_chord_of_a_circle():
    assert chord_deviation(2.0, 1.0) == 1.0
    assert chord_deviation(0.01, 2.0) == pytest.approx(2.0 * 0.01**2 / 8, rel=1e-4)


def test_bad_numbers():
    for call, words in (
        (lambda: midpoint_factor(-1.0), "expected a positive number"),
        (lambda: chord_deviation(3.0, 1.0), "expected their product between 0 and 2"),
        (lambda: linear_components(0), "expected at least one"),
        (lambda: members(*network()[::2], 0), "expected at least one member"),
        (lambda: ensemble(network()[0], [], torch.zeros(1, 3)), "at least one member"),
    ):
        with pytest.raises(InputError, match=words):
            call()
