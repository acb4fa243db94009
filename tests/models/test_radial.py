"""Radial activations: what they do to a vector, and what they leave alone."""

import math

import pytest
import torch

from gradlaws.errors import InputError
from gradlaws.models.radial import PROFILES, Radial, RadialMLP
from tests.oracles.radial_forward import PROFILES as EXACT
from tests.oracles.radial_forward import forward, layers_of
from tests.radials import mlp
from tests.samplers import generator


def vectors(n=5, size=1.0):
    return size * torch.randn(40, n, generator=generator(), dtype=torch.float64)


@pytest.mark.parametrize("profile", PROFILES)
def test_the_norm_becomes_the_profile_and_the_direction_stays(profile):
    v = vectors()
    w = Radial(profile)(v)
    expected = [float(EXACT[profile](r)) for r in v.norm(dim=1).tolist()]
    torch.testing.assert_close(w.norm(dim=1), torch.tensor(expected, dtype=torch.float64))
    torch.testing.assert_close(w * v.norm(dim=1, keepdim=True), v * w.norm(dim=1, keepdim=True))


@pytest.mark.parametrize("profile", PROFILES)
def test_rotations_pass_through(profile):
    q, _ = torch.linalg.qr(vectors()[:5])
    radial, v = Radial(profile), vectors()
    torch.testing.assert_close(radial(v @ q.T), radial(v) @ q.T, rtol=1e-13, atol=1e-13)


def test_an_activation_of_each_entry_does_not_commute_with_rotations():
    q, _ = torch.linalg.qr(vectors()[:5])
    assert (torch.relu(vectors() @ q.T) - torch.relu(vectors()) @ q.T).abs().max() > 0.1


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
@pytest.mark.parametrize("profile", PROFILES)
def test_zero_stays_zero_with_a_finite_gradient(profile, dtype):
    v = torch.zeros(2, 3, dtype=dtype, requires_grad=True)
    out = Radial(profile)(v)
    out.sum().backward()
    assert torch.equal(out, torch.zeros_like(out))
    assert torch.equal(v.grad, torch.zeros_like(v))


@pytest.mark.parametrize("profile", PROFILES)
def test_the_gradient_is_that_of_finite_differences(profile):
    assert torch.autograd.gradcheck(Radial(profile), (vectors()[:8].requires_grad_(),))


def test_the_step_is_at_norm_one():
    v = torch.tensor([[0.6, 0.8], [0.6, 0.79]], dtype=torch.float64)
    assert torch.equal(Radial("step_relu")(v), torch.stack([v[0], 0 * v[1]]))


def test_relu_of_the_norm_without_a_shift_is_the_identity():
    """The published verification of quiver compression used it, and so tested linear networks only."""
    v = vectors()
    torch.testing.assert_close(Radial("shifted_relu", 0.0)(v), v)
    assert (Radial("shifted_relu")(v) - v).abs().max() > 0.1


def test_shifts_and_profiles_of_ones_own():
    v, r = vectors(), vectors().norm(dim=1, keepdim=True)
    torch.testing.assert_close(Radial("sigmoid", 2.0)(v), v / r / (1 + torch.exp(2 - r)))
    torch.testing.assert_close(Radial(lambda r: r**3)(v), v * r**2)


@pytest.mark.parametrize("profile", PROFILES)
def test_a_network_computes_what_60_digits_compute(profile):
    net, x = mlp((2, 4, 5, 3), profile), vectors(2)[:6]
    expected = [[float(y) for y in forward(layers_of(net), profile, point)] for point in x.tolist()]
    torch.testing.assert_close(net(x), torch.tensor(expected, dtype=torch.float64), rtol=1e-12, atol=1e-13)


def test_widths_and_parameters():
    net = RadialMLP((2, 16, 64, 128, 16, 2), "sigmoid")
    assert net.widths == (2, 16, 64, 128, 16, 2)
    assert sum(p.numel() for p in net.parameters()) == 11554
    assert list(net.state_dict())[:2] == ["layers.0.weight", "layers.0.bias"]
    assert sum(p.numel() for p in RadialMLP((2, 3, 1), bias=False).parameters()) == 9


def test_the_profile_shows():
    assert repr(Radial("sigmoid", 1)) == "Radial(sigmoid, shift=1.0)"
    assert repr(Radial("step_relu")) == "Radial(step_relu)"
    assert repr(Radial(math.sin)) == "Radial(sin)"


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (
            lambda: RadialMLP((2, 3), "relu"),
            "'?relu'? is not a radial activation: expected one of step_relu, squashing",
        ),
        (lambda: RadialMLP((2, 3), torch.nn.ReLU()), "ReLU is not a radial activation"),
        (lambda: RadialMLP((2, 3), 3), "int is not a radial activation"),
        (lambda: Radial("squashing", 1.0), "squashing has no shift: only shifted_relu and sigmoid have"),
        (lambda: RadialMLP((2,)), "expected two or more whole numbers of at least 1"),
        (lambda: RadialMLP((2, 0, 1)), "expected two or more whole numbers of at least 1"),
        (lambda: RadialMLP((2, True, 1)), "expected two or more whole numbers of at least 1"),
    ],
)
def test_bad_requests_are_refused(make, words):
    with pytest.raises(InputError, match=words):
        make()
