"""Forward passes in float64: the values are torch's, the third derivatives are right, gates are drawn."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from gradlaws.laws.numeric.elementary import Elementary, quiet_float64
from gradlaws.laws.numeric.norms import generic_small
from tests.samplers import generator


def noise(*shape, seed=0):
    return torch.randn(*shape, generator=generator(seed), dtype=torch.float64)


def with_statistics(norm):
    with torch.no_grad():
        for seed, t in enumerate([*norm.parameters(), *norm.buffers()]):
            if t.is_floating_point():
                t.copy_(noise(*t.shape, seed=seed).abs() + 0.5)
    return norm.double()


NORMS = {
    "layer": (nn.LayerNorm([2, 3]), (4, 2, 3)),
    "layer without weights": (nn.LayerNorm(3, elementwise_affine=False), (4, 3)),
    "root mean square": (nn.RMSNorm(3, eps=1e-3), (4, 3)),
    "group": (nn.GroupNorm(2, 4), (3, 4, 5)),
    "instance": (nn.InstanceNorm1d(4, affine=True), (3, 4, 5)),
    "instance, running": (nn.InstanceNorm1d(4, affine=True, track_running_stats=True).eval(), (3, 4, 5)),
    "batch": (nn.BatchNorm1d(4), (6, 4)),
    "batch of images": (nn.BatchNorm2d(4), (2, 4, 3, 3)),
    "batch, running": (nn.BatchNorm1d(4).eval(), (6, 4)),
}


@pytest.mark.parametrize("name", NORMS)
def test_definitions_have_the_values_of_the_fused_operations(name):
    norm, shape = NORMS[name]
    with_statistics(norm)
    x = noise(*shape, seed=9)
    with Elementary():
        found = norm(x)
    torch.testing.assert_close(found, norm(x), rtol=1e-12, atol=1e-12)


def third_derivative_error(norm):
    """Against a central difference of a second derivative, in the largest entry."""
    x, v, step = noise(3).requires_grad_(), noise(3, seed=1), 1e-4

    def second(x):
        (g,) = torch.autograd.grad((norm(x).tanh() * noise(3, seed=2)).sum(), x, create_graph=True)
        return torch.autograd.grad(g @ v, x, create_graph=True)[0] @ v

    found = torch.autograd.grad(second(x), x)[0] @ v
    ahead, behind = (second((x + s * step * v).detach().requires_grad_()) for s in (1, -1))
    return abs((found - (ahead - behind) / (2 * step)).item())


def test_third_derivatives_of_the_definition_are_right():
    with Elementary():
        assert third_derivative_error(lambda x: functional.layer_norm(x, (3,))) < 1e-5
        assert third_derivative_error(lambda x: functional.rms_norm(x, (3,), eps=0.1)) < 1e-5


def test_casts_stay_in_float64():
    x = noise(3)
    with Elementary():
        for narrow in (x.float(), x.half(), x.to(torch.float32), x.to(dtype=torch.bfloat16), x.type(torch.float32)):
            assert torch.equal(narrow, x)
        assert functional.softmax(x, 0, dtype=torch.float32).dtype == torch.float64
        assert torch.zeros(2, dtype=torch.float32).dtype == torch.float64
        assert torch.arange(3).float().dtype == torch.float64
        assert x.long().dtype == torch.int64


def test_float64_is_the_default_inside_only_also_after_an_error():
    state = torch.get_rng_state()
    seen = []

    @quiet_float64()
    def fail():
        torch.manual_seed(1)
        seen.append(torch.ones(1).dtype)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert seen == [torch.float64]
    assert torch.ones(1).dtype == torch.float32
    assert torch.equal(torch.get_rng_state(), state)


def test_small_constants_become_generic_at_a_generic_point_only():
    x = noise(2, 3)
    assert generic_small(1e-5) == 0.2
    assert generic_small(0.5) == 0.5
    with Elementary(generic=True):
        assert torch.equal(x + 1e-5, x + 0.2)
        norm = functional.layer_norm(x, (3,), eps=1e-5)
    torch.testing.assert_close(norm, functional.layer_norm(x, (3,), eps=0.2))
    with Elementary():
        assert float((x + 1e-5 - x).mean()) == pytest.approx(1e-5)


PIECES = {
    "relu": (functional.relu, lambda x: (0 * x, x)),
    "method": (torch.Tensor.relu, lambda x: (0 * x, x)),
    "in place": (lambda x: functional.relu(x, inplace=True), lambda x: (0 * x, x)),
    "written in place": (lambda x: (x.relu_(), x)[1], lambda x: (0 * x, x)),
    "leaky": (functional.leaky_relu, lambda x: (x, 0.01 * x)),
    "prelu": (lambda x: functional.prelu(x, torch.tensor([0.3], dtype=torch.float64)), lambda x: (x, 0.3 * x)),
    "abs": (torch.abs, lambda x: (x, -x)),
    "hardtanh": (functional.hardtanh, lambda x: (x, 0 * x + 1, 0 * x - 1)),
    "relu6": (functional.relu6, lambda x: (x, 0 * x, 0 * x + 6)),
    "elu": (functional.elu, lambda x: (x, x.expm1())),
}


@pytest.mark.parametrize("name", PIECES)
def test_gates_are_drawn_among_the_pieces(name):
    function, pieces = PIECES[name]
    x = noise(4, 50)
    torch.manual_seed(0)
    with Elementary(generic=True):
        found = function(x.clone())
    near = torch.stack([(found - piece).abs() < 1e-12 for piece in pieces(x)])
    assert bool(near.any(0).all())
    assert bool((near.double().mean((1, 2)) > 0.05).all())


def test_an_absolute_value_of_whole_numbers_is_one():
    with Elementary(generic=True):
        assert torch.arange(-3, 4).abs().tolist() == [3, 2, 1, 0, 1, 2, 3]


@pytest.mark.parametrize("pool", [nn.MaxPool1d(2), nn.MaxPool2d(2), nn.MaxPool3d(2)])
def test_a_maximum_is_an_entry_of_its_window(pool):
    axes = int(type(pool).__name__[-2])
    x = torch.arange(float(4**axes)).reshape(1, 1, *[4] * axes).double()
    torch.manual_seed(0)
    with Elementary(generic=True):
        found = pool(x)
    top = found
    for axis in range(2, 2 + axes):
        top = top.repeat_interleave(2, axis)
    largest = sum(4**k for k in range(axes))
    assert bool(((top - x).abs() <= largest).all())
    assert not torch.equal(found, x[(..., *[slice(1, None, 2)] * axes)])
