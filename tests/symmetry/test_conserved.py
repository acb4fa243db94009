"""Published values about conserved quantities and the groups behind them, each with its formula or its correction."""

import math

import pytest
import torch

import gradlaws as gl
from gradlaws.symmetry.couple import couplings
from tests.symmetry.test_coupling import Radial

# two layers: h (h + 1) / 2 where n + m >= h, else N h - N (N - 1) / 2 with N = n + m; deeper: all layers together
COUNTS = {
    "linear 2-2-2": 3,
    "linear 2-3-2": 6,
    "linear 5-4-3": 10,
    "linear 3-2-4": 3,
    "linear 1-4-1": 7,
    "linear 2-5-1": 12,
    "linear 2-6-2": 18,
    "linear 2-2-2-2": 6,
    "linear 3-2-4-2": 13,
    "linear 1-1-1-1": 2,
    "linear 2-4-4-2": 20,
    "linear 1-3-3-1": 12,
    "relu 784-300-100-10": 400,
}


@pytest.mark.parametrize("spec", COUNTS)
def test_independent_laws(spec):
    assert gl.laws(spec, lower_only=True).count.lower == COUNTS[spec]


def test_symmetric_directions_outnumber_laws_where_layers_are_narrow():
    """Ten entries of U^T U - V V^T are conserved in 1-4-1, seven of them independent."""
    assert sum(law.count for law in gl.laws("linear 1-4-1", lower_only=True).laws) >= COUNTS["linear 1-4-1"]
    assert gl.symmetries("linear 1-4-1").laws == 16


def test_by_hand():
    u, v = torch.tensor([[1.0, 2.0], [0.0, 1.0]]).double(), torch.tensor([[1.0, 0.0], [1.0, 1.0]]).double()
    (law,) = gl.laws("linear 2-2-2").laws
    values = law.value({"W1": v, "W2": u})
    assert torch.allclose(values.abs(), torch.tensor([0.0, 1.0, 3.0]).double())  # upper triangle of [[0, 1], [1, 3]]


def test_one_step_moves_a_law_by_the_square_of_the_step():
    """Q(t + 1) - Q(t) = eta^2 (G_U^T G_U - G_V G_V^T), with no term of first order."""
    random = torch.Generator().manual_seed(0)
    u, v, x, y = (torch.randn(*s, generator=random, dtype=torch.float64) for s in ((2, 3), (3, 4), (4, 5), (2, 5)))
    u.requires_grad_()
    v.requires_grad_()
    g_u, g_v = torch.autograd.grad((u @ v @ x - y).square().sum(), (u, v))
    u, v, eta = u.detach(), v.detach(), 0.01
    before = u.mT @ u - v @ v.mT
    u, v = u - eta * g_u, v - eta * g_v
    after = u.mT @ u - v @ v.mT
    assert torch.allclose(after - before, eta**2 * (g_u.mT @ g_u - g_v @ g_v.mT), atol=1e-12)


def test_rotations_of_a_radial_network_carry_no_law():
    """<A theta, grad L> = 0 for antisymmetric A, and not for symmetric A: the group is compact."""
    model, x = Radial().double(), torch.randn(5, 2, dtype=torch.float64)
    (group,) = couplings(model, x)
    parameters = dict(model.named_parameters())
    gradients = dict(
        zip(parameters, torch.autograd.grad(model(x).square().sum(), list(parameters.values())), strict=True)
    )
    a = torch.randn(4, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)

    def slope(matrix):
        total = 0.0
        for piece, _ in group.parts:
            rows = piece.rows({piece.tensor: parameters[piece.tensor].detach()})
            total += float((piece.rows({piece.tensor: gradients[piece.tensor]}) * (matrix @ rows)).sum())
        return total

    assert abs(slope(a - a.mT)) < 1e-12
    assert abs(slope(a + a.mT)) > 1e-2


def test_the_saddle():
    """L = x y: the value along the flow has a factor 1/2 that published notes omit; Q = x^2 - y^2 stays 1.53."""
    x, y, t = 1.3, 0.4, 0.7
    moved = x * math.cosh(t) - y * math.sinh(t), y * math.cosh(t) - x * math.sinh(t)
    assert moved[0] ** 2 - moved[1] ** 2 == pytest.approx(1.53)
    value = x * y * math.cosh(2 * t) - 0.5 * (x**2 + y**2) * math.sinh(2 * t)
    assert moved[0] * moved[1] == pytest.approx(value)
    assert value == pytest.approx(-0.64301169)


@pytest.mark.parametrize(
    ("name", "slope", "primitive"),
    [
        ("tanh", lambda z: 1 - torch.tanh(z) ** 2, lambda z: 0.5 * torch.cosh(z) ** 2),
        ("sigmoid", lambda z: torch.sigmoid(z) * (1 - torch.sigmoid(z)), lambda z: z + torch.exp(z)),
    ],
)
def test_any_activation_conserves_on_the_identity_only(name, slope, primitive):
    """|u_i|^2 / 2 - sum of F(V_ia), F' = act / act', is conserved for X = I and for no other, orthogonal or not."""
    random = torch.Generator().manual_seed(0)
    u, v, y = (torch.randn(*s, generator=random, dtype=torch.float64) for s in ((2, 3), (3, 4), (2, 4)))
    act = getattr(torch, name)
    for x, stays in (
        (torch.eye(4, dtype=torch.float64), True),
        (torch.linalg.qr(torch.randn(4, 4, generator=random, dtype=torch.float64))[0], False),
        (torch.randn(4, 4, generator=random, dtype=torch.float64), False),
    ):
        a, b = u.clone().requires_grad_(), v.clone().requires_grad_()
        g_u, g_v = torch.autograd.grad((a @ act(b @ x) - y).square().sum(), (a, b))
        drift = (u * g_u).sum(0) - (act(v) / slope(v) * g_v).sum(1)
        w = v.clone().requires_grad_()
        (derivative,) = torch.autograd.grad(primitive(w).sum(), w)
        assert torch.allclose(derivative, act(v) / slope(v))
        assert bool((drift.abs().max() < 1e-12) == stays)


def test_off_diagonal_entries_of_a_rectified_layer_drift_at_first_order():
    """Conserved for linear layers only: what is no law must not look like one."""
    random = torch.Generator().manual_seed(0)
    u, v, x, y = (torch.randn(*s, generator=random, dtype=torch.float64) for s in ((2, 3), (3, 4), (4, 9), (2, 9)))
    for act, linear in ((torch.relu, False), (torch.clone, True)):
        a, b = u.clone().requires_grad_(), v.clone().requires_grad_()
        g_u, g_v = torch.autograd.grad((a @ act(b @ x) - y).square().sum(), (a, b))
        slope = u.mT @ g_u + g_u.mT @ u - v @ g_v.mT - g_v @ v.mT
        assert float(slope.diagonal().abs().max()) < 1e-11
        assert (float(slope.triu(1).abs().max()) < 1e-11) == linear


# U ~ N(0, 1/h), V ~ N(0, 1/n): mean m - h, variance 2 m / h + 2 h / n
@pytest.mark.parametrize(
    ("m", "h", "n", "mean", "deviation"),
    [
        (100, 100, 100, 0, 2.00),
        (100, 200, 100, -100, 2.24),
        (200, 100, 100, 100, 2.45),
    ],
)
def test_laws_at_initialisation_are_concentrated(m, h, n, mean, deviation):
    random, draws = torch.Generator().manual_seed(0), 400
    u = torch.randn(draws, m, h, generator=random) / h**0.5
    v = torch.randn(draws, h, n, generator=random) / n**0.5
    q = u.square().sum((1, 2)) - v.square().sum((1, 2))
    assert float(q.mean()) == pytest.approx(mean, abs=4 * deviation / draws**0.5)
    assert float(q.std()) == pytest.approx(deviation, rel=0.15)


def test_laws_are_coordinates_of_the_orbit_up_to_rotations():
    """The orbit of gl(3) has dimension 9, and the laws U^T U - V V^T move on it in 6 directions."""
    random = torch.Generator().manual_seed(0)
    u, v = (torch.randn(*s, generator=random, dtype=torch.float64) for s in ((4, 3), (3, 5)))
    directions, moved = [], []
    for a in torch.eye(9, dtype=torch.float64).view(9, 3, 3):
        du, dv = -u @ a, a @ v
        directions.append(torch.cat([du.flatten(), dv.flatten()]))
        moved.append((du.mT @ u + u.mT @ du - dv @ v.mT - v @ dv.mT).flatten())
    assert int(torch.linalg.matrix_rank(torch.stack(directions))) == 9
    assert int(torch.linalg.matrix_rank(torch.stack(moved))) == 6
