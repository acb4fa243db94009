"""Compression of radial networks: lossless, and refusals that leave the network as it is."""

import copy
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn.utils import parametrizations

from gradlaws.errors import InputError, UnclearError, UnsupportedError
from gradlaws.models.quiver import QuiverNetwork
from gradlaws.models.radial import RadialMLP
from gradlaws.symmetry.compress import compress
from tests.oracles.radial_forward import forward, layers_of
from tests.radials import PROFILES, QUIVERS, mlp, quiver
from tests.samplers import generator

LARGE = (2, 16, 64, 128, 16, 2)


def points(count, width, size=1.0, seed=1):
    return size * torch.randn(count, width, generator=generator(seed), dtype=torch.float64)


@pytest.mark.parametrize("biases", [True, False])
@pytest.mark.parametrize("activation", PROFILES)
@pytest.mark.parametrize("seed", range(5))
def test_the_large_network_is_compressed_without_loss(activation, biases, seed):
    net = mlp(LARGE, activation, seed, biases=biases)
    found = compress(net)
    assert found.module.widths == (2, 3, 4, 5, 6, 2)
    assert found.parameters == (11554, 100)
    x = points(300, 2, 2.0)
    assert (net(x) - found.module(x)).abs().max() < 1e-12
    assert net(x).std() > 1e-4  # something happens at all
    assert found.error < 1e-12 * max(1.0, found.scale)


def test_the_published_error_in_single_precision():
    """Published: 1.31e-8 on average for (1, 6, 7, 1), shifted sigmoid, 121 points of [-3, 3], 10 networks."""
    x, errors = torch.linspace(-3, 3, 121).unsqueeze(1), []
    for seed in range(10):
        net = mlp((1, 6, 7, 1), "sigmoid", seed, torch.float32)
        errors.append((net(x) - compress(net).module(x)).abs().mean().item())
    assert 1e-9 < sum(errors) / 10 < 2e-7


@pytest.mark.parametrize("activation", PROFILES)
def test_the_compressed_network_computes_what_60_digits_of_the_original_compute(activation):
    net, x = mlp((2, 6, 9, 3), activation), points(5, 2)
    expected = [[float(y) for y in forward(layers_of(net), activation, point)] for point in x.tolist()]
    torch.testing.assert_close(compress(net).module(x), torch.tensor(expected, dtype=torch.float64), rtol=0, atol=1e-13)


@pytest.mark.parametrize("activation", PROFILES)
def test_zero_biases_that_broke_the_published_code(activation):
    net, x = mlp((2, 6, 7, 1), activation, biases=False), points(200, 2)
    found, thin = compress(net), compress(net, reveal_rank=True)
    assert (found.module.widths, thin.module.widths) == ((2, 3, 4, 1), (2, 2, 2, 1))
    for smaller in (found, thin):
        assert (net(x) - smaller.module(x)).abs().max() < 1e-14


def test_without_biases():
    net, x = mlp((2, 6, 7, 1), bias=False), points(50, 2)
    found = compress(net)
    assert (found.module.widths, found.parameters) == ((2, 2, 2, 1), (61, 10))
    torch.testing.assert_close(net(x), found.module(x))
    net.layers[1].bias = torch.nn.Parameter(torch.ones(7, dtype=torch.float64))
    found = compress(net)
    assert found.module.widths == (2, 2, 3, 1)
    torch.testing.assert_close(net(x), found.module(x))


def test_a_rank_that_is_not_generic_shows_only_when_asked():
    net = mlp((3, 8, 8, 2))
    with torch.no_grad():
        net.layers[0].weight[:, 2] = net.layers[0].weight[:, 0] - net.layers[0].bias
    assert compress(net).module.widths == (3, 4, 5, 2)
    found, x = compress(net, reveal_rank=True), points(50, 3)
    assert found.module.widths == (3, 3, 4, 2)
    torch.testing.assert_close(net(x), found.module(x))


@given(st.data())
def test_random_widths_and_activations(data):
    widths = data.draw(st.lists(st.integers(1, 9), min_size=2, max_size=5))
    net = mlp(widths, data.draw(st.sampled_from(PROFILES)), data.draw(st.integers(0, 99)))
    found, x = compress(net, reveal_rank=data.draw(st.booleans())), points(20, widths[0])
    assert (net(x) - found.module(x)).abs().max() < 1e-12
    again = compress(found.module)
    assert again.module.widths == found.module.widths  # there is nothing left to take


@pytest.mark.parametrize("activation", PROFILES)
@pytest.mark.parametrize("name", QUIVERS)
def test_quivers(name, activation):
    dimensions, arrows, *_ = QUIVERS[name]
    net = quiver(dimensions, arrows, activation)
    found = compress(net)
    x = {v: points(100, dimensions[v], 2.0) for v in net.inputs}
    for vertex, expected in net.run(x).items():
        assert (expected - found.module.run(x)[vertex]).abs().max() < 1e-13


def test_activated_outputs_and_different_activations():
    dimensions, arrows, *_ = QUIVERS["two paths"]
    activation = {"b": "sigmoid", "d": "step_relu", "e": "squashing"}
    net, x = quiver(dimensions, arrows, activation), points(100, 2)
    torch.testing.assert_close(net(x), compress(net).module(x), rtol=0, atol=1e-13)


def test_identities_between_inputs_and_outputs_are_left_alone():
    net = quiver({"a": 2, "h": 7, "c": 2}, [("a", "h"), ("h", "c")], identities=[("a", "c")])
    found, x = compress(net), points(10, 2)
    assert found.after["h"] == 3
    torch.testing.assert_close(net(x), found.module(x))


def test_the_answer_in_words():
    lines = str(compress(mlp((1, 4, 4, 1)))).splitlines()
    assert lines[:2] == ["1-4-4-1 -> 1-2-3-1", "parameters 33 -> 17"]
    assert lines[2].startswith("largest difference of outputs ")
    dimensions, arrows, *_ = QUIVERS["skip over b"]
    assert str(compress(quiver(dimensions, arrows))).startswith("a=2 b=4 c=8 d=2 -> a=2 b=3 c=6 d=2\n")


def test_precision_mode_and_frozen_parameters_stay():
    net = mlp((2, 6, 6, 1), dtype=torch.float32).eval()
    net.layers[1].weight.requires_grad_(False)
    made = compress(net).module
    assert not made.training
    assert {name: (p.dtype, p.requires_grad) for name, p in made.named_parameters()} == {
        name: (p.dtype, p.requires_grad) for name, p in net.named_parameters()
    }


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_low_precision(dtype):
    net = mlp((2, 16, 30, 2), dtype=dtype)
    found = compress(net)
    assert found.module.widths == (2, 3, 4, 2)
    assert {p.dtype for p in found.module.parameters()} == {dtype}
    assert 0 < found.error < 30 * torch.finfo(dtype).eps * found.scale


def test_random_numbers_of_the_user_are_left_alone():
    net, before = mlp((2, 6, 6, 1)), torch.random.get_rng_state()
    compress(net)
    assert torch.equal(before, torch.random.get_rng_state())


class Own(RadialMLP):
    """A forward pass of its own."""

    def forward(self, x):
        return super().forward(x).tanh()


def with_nan():
    net = mlp((2, 6, 6, 1))
    net.layers[1].weight.data[2, 3] = math.nan
    return net


def wrong_shape():
    net = mlp((2, 6, 6, 1))
    net.layers[1] = torch.nn.Linear(6, 5).double()
    return net


def tied():
    net = mlp((2, 6, 6, 6, 1))
    net.layers[2].weight = net.layers[1].weight
    return net


def hooked():
    net = mlp((2, 6, 6, 1))
    net.layers[1].register_forward_hook(lambda *_: None)
    return net


def parametrised():
    net = mlp((2, 6, 6, 1))
    parametrizations.weight_norm(net.layers[1])
    return net


def residual():
    return quiver({"a": 2, "b": 4, "c": 4, "d": 1}, [("a", "b"), ("c", "d")], identities=[("b", "c")])


def activated_by_relu():
    net = mlp((2, 6, 6, 1))
    net.activation = torch.nn.ReLU()
    return net


REFUSED = {
    "relu": (activated_by_relu, UnsupportedError, "the network was given a ReLU after it was made"),
    "nan": (with_nan, InputError, "layers.1.weight has entries that are not finite: expected numbers"),
    "shape": (wrong_shape, InputError, r"layers.1.weight has shape \(5, 6\): expected \(6, 6\)"),
    "tied": (tied, InputError, "layers.1.weight and layers.2.weight are one parameter: untie them"),
    "hook": (hooked, UnsupportedError, "layers.1 has a parametrisation or a hook"),
    "parametrised": (parametrised, UnsupportedError, "layers.1 has a parametrisation or a hook"),
    "identity": (residual, UnsupportedError, "the arrow b -> c is a fixed identity.*: make it trainable"),
    "own forward": (lambda: Own((2, 6, 1)), UnsupportedError, "cannot compress Own: its forward pass may do anything"),
    "meta": (lambda: RadialMLP((2, 6, 1), device="meta"), InputError, "layers.0.weight holds torch.float32 on meta"),
    "overflow": (
        lambda: mlp((2, 6, 1)).requires_grad_(False).apply(lambda m: [p.fill_(1e308) for p in m.parameters()]),
        InputError,
        "not finite on random inputs",
    ),
    "attention": (
        lambda: torch.nn.MultiheadAttention(4, 2),
        UnsupportedError,
        "cannot compress MultiheadAttention.*write it as one of these",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refusals_are_sentences_and_touch_nothing(case):
    make, error, words = REFUSED[case]
    net = make()
    before = {name: copy.deepcopy(p.data) for name, p in net.named_parameters()}
    with pytest.raises(error, match=words):
        compress(net)
    for name, p in net.named_parameters():
        assert p.is_meta or torch.equal(p.data.view(torch.uint8), before[name].view(torch.uint8)), name


def test_success_touches_nothing_either():
    net = mlp((2, 6, 6, 1))
    before = copy.deepcopy(net.state_dict())
    compress(net).module.layers[0].weight.data.fill_(7.0)
    assert all(torch.equal(before[name], value) for name, value in net.state_dict().items())


def test_a_state_on_the_threshold_of_a_jump_is_said():
    """Step-ReLU jumps at norm 1: with every state there, rounding decides, and that is not called lossless."""
    net = RadialMLP((1, 3, 3, 1), "step_relu", dtype=torch.float64)
    q, _ = torch.linalg.qr(torch.randn(3, 3, generator=generator(), dtype=torch.float64))
    with torch.no_grad():
        for layer, weight in zip(net.layers, ([[0.0]] * 3, q, [[1.0, 1, 1]]), strict=True):
            layer.weight.copy_(torch.as_tensor(weight))
            layer.bias.zero_()
        net.layers[0].bias.copy_(torch.tensor([0.0, 1.0, 0.0]))
    with pytest.raises(UnclearError, match="rounding decides on which side of a jump or a kink a state falls"):
        _refuted(net)


def _refuted(net):
    """Turn the second layer until rounding differs; the first turn that does raises."""
    for seed in range(20):
        q, _ = torch.linalg.qr(torch.randn(3, 3, generator=generator(seed), dtype=torch.float64))
        with torch.no_grad():
            net.layers[1].weight.copy_(q)
        compress(net, reveal_rank=True)


def test_the_quiver_is_of_the_same_kind():
    dimensions, arrows, *_ = QUIVERS["two paths"]
    assert type(compress(quiver(dimensions, arrows)).module) is QuiverNetwork
