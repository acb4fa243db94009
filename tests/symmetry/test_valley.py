"""Curves of equal function, ensembles along them, and facts about connectivity."""

import math

import pytest
import torch
from torch import nn

from gradlaws.errors import InputError
from gradlaws.symmetry.couple import couplings
from gradlaws.symmetry.valley import (
    chord,
    chord_deviation,
    connected,
    curvature,
    curve,
    ensemble,
    members,
    midpoint_factor,
)
from tests.modules import mlp
from tests.samplers import generator


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


def valley(size=0.4, activation=nn.ReLU):
    model, x = mlp(activation, 3, 5, 2).double(), torch.randn(6, 3, dtype=torch.float64)
    groups = couplings(model, x)
    logs = [size * torch.randn(g.shape, generator=generator(3), dtype=torch.float64) for g in groups]
    return {name: p.detach() for name, p in model.named_parameters()}, groups, logs


def test_the_chord_of_a_valley_of_a_network():
    """Curvature by exact derivatives against differences; the middle of the chord strays no farther than allowed."""
    state, groups, logs = valley()
    found = chord(state, groups, logs)
    assert found.distance < found.length < 1.05 * found.distance
    assert 0.5 * found.deviation < found.strays <= found.deviation * (1 + 1e-9)
    step, flat = 1e-4, lambda s: torch.cat([x.flatten() for x in s.values()])
    three = [flat(s) for s in curve(state, groups, logs, [0.5 - step, 0.5, 0.5 + step])]
    middle = curvature((three[2] - three[0]) / (2 * step), (three[2] - 2 * three[1] + three[0]) / step**2)
    assert middle <= found.curvature * (1 + 1e-5)
    half = chord(state, groups, [log / 2 for log in logs])
    assert found.deviation / half.deviation == pytest.approx(4, rel=0.2)  # about curvature x distance^2 / 8
    assert str(found).startswith("ends ")


def test_the_loss_on_the_chord_is_bounded():
    """C d_max bounds what the loss on the chord differs by; C is taken from gradients on and near the chord."""
    model, x = mlp(nn.ReLU, 3, 5, 2).double(), torch.randn(6, 3, dtype=torch.float64)
    state, groups, logs = valley(0.3)
    y, found = model(x).detach() + 1, chord(state, groups, logs)
    ends = curve(state, groups, logs, [0.0, 1.0])

    def loss(point):
        return (torch.func.functional_call(model, point, (x,)) - y).square().mean()

    losses, slopes = [], []
    for t in torch.linspace(0, 1, 21):
        for point in (
            {name: (1 - t) * ends[0][name] + t * ends[1][name] for name in state},
            *curve(state, groups, logs, [float(t)]),
        ):
            here = {name: p.detach().requires_grad_() for name, p in point.items()}
            losses.append(loss(here))
            slopes.append(sum(float(g.square().sum()) for g in torch.autograd.grad(losses[-1], [*here.values()])))
    stray = max(abs(float(value.detach()) - float(loss(state))) for value in losses)
    assert 1e-6 < stray <= found.loss_bound(max(slopes) ** 0.5 * 1.05)


def test_the_chord_of_a_hyperbola():
    """u v = 1 from (1, 1): curvature 1 / sqrt 2 there, and less farther out."""
    model = mlp(nn.ReLU, 1, 2, 1).double()
    for name, p in model.named_parameters():
        p.data.fill_(float(name.endswith("weight")))
    (group,) = couplings(model, torch.tensor([[1.0], [-1.0]], dtype=torch.float64))
    state = {name: p.detach() for name, p in model.named_parameters()}
    found = chord(state, [group], [torch.tensor([0.5, 0.0], dtype=torch.float64)])
    assert found.curvature == pytest.approx(1 / math.sqrt(2))
    assert found.distance == pytest.approx(math.hypot(math.exp(0.5) - 1, 1 - math.exp(-0.5)))
    length = sum(math.sqrt(2 * math.cosh(2 * t)) / 10000 for t in (0.5 * (i + 0.5) / 5000 for i in range(5000)))
    assert found.length == pytest.approx(length, rel=1e-3)


def test_a_chord_that_says_nothing():
    state, groups, logs = valley(4.0)
    assert chord(state, groups, logs).deviation == math.inf


def test_a_chord_of_a_circle():
    assert chord_deviation(2.0, 1.0) == 1.0
    assert chord_deviation(0.01, 2.0) == pytest.approx(2.0 * 0.01**2 / 8, rel=1e-4)


def test_bad_numbers():
    for call, words in (
        (lambda: midpoint_factor(-1.0), "expected a positive number"),
        (lambda: chord_deviation(3.0, 1.0), "expected their product between 0 and 2"),
        (lambda: chord(*valley(), points=2), "2 points: expected at least three"),
        (lambda: chord(*valley(0.0)), "the curve stays where it is"),
        (lambda: members(*network()[::2], 0), "expected at least one member"),
        (lambda: ensemble(network()[0], [], torch.zeros(1, 3)), "at least one member"),
    ):
        with pytest.raises(InputError, match=words):
            call()
