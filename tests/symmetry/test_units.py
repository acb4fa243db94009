"""Ordinary networks: what is planted is found, what is needed stays, and the outputs agree."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from gradlaws.symmetry.compress import compress
from tests.samplers import generator
from tests.sequentials import cnn, image, mlp, moved, sequential


def agree(net, found, x=None):
    x = 3 * torch.randn(64, 4, generator=generator(9), dtype=torch.float64) if x is None else x
    torch.testing.assert_close(found.module(x), net(x), rtol=1e-12, atol=1e-13)
    return found


ACTIVATIONS = [
    nn.ReLU,
    nn.LeakyReLU,
    nn.Tanh,
    nn.Sigmoid,
    nn.GELU,
    nn.SiLU,
    nn.ELU,
    nn.Softplus,
    nn.PReLU,
    nn.Hardswish,
]
every_activation = pytest.mark.parametrize("activation", ACTIVATIONS)


@every_activation
def test_a_generic_network_stays_as_it_is(activation):
    net = mlp(activation)
    found = agree(net, compress(net))
    assert found.before == found.after == {"in": 4, "0": 12, "2": 10, "4": 3}
    assert found.notes == ()
    for mine, its in zip(net.parameters(), found.module.parameters(), strict=True):
        assert torch.equal(mine, its)


@every_activation
def test_unseen_constant_and_equal_units_go(activation):
    net = mlp(activation)
    with torch.no_grad():
        net[2].weight[:, 3] = 0  # unseen
        net[0].weight[5] = 0  # constant
        net[0].weight[8], net[0].bias[8] = net[0].weight[7], net[0].bias[7]
    found = agree(net, compress(net))
    assert found.after == {"in": 4, "0": 9, "2": 10, "4": 3}
    assert found.notes == ("0: 1 dead or constant, 1 unseen by what follows, 1 copies",)


@pytest.mark.parametrize(
    ("activation", "factor", "merged"),
    [
        (nn.ReLU, 2.5, True),
        (nn.ReLU, -1.0, False),
        (nn.LeakyReLU, 0.5, True),
        (nn.Tanh, -1.0, True),
        (nn.Tanh, 2.0, False),
        (nn.Hardtanh, -1.0, True),
        (nn.Softsign, -1.0, True),
        (nn.Sigmoid, -1.0, False),
        (nn.GELU, 2.0, False),
        (nn.ELU, 2.0, False),
    ],
)
def test_multiples_go_where_the_activation_lets_them_through(activation, factor, merged):
    net = mlp(activation)
    with torch.no_grad():
        net[0].weight[8], net[0].bias[8] = factor * net[0].weight[7], factor * net[0].bias[7]
    found = agree(net, compress(net))
    assert found.after["0"] == 12 - merged
    if merged:
        rows = found.transformation["0"][[7, 8]].abs().sum(1)
        assert rows.tolist() in ([1.0, pytest.approx(abs(factor))], [pytest.approx(1 / abs(factor)), 1.0])


def test_a_relu_that_never_opens_and_one_that_follows_from_it():
    """Every input of layer 2 is >= 0, so negative weights and a negative bias never open; layer 4 sees it as zero."""
    net = mlp(widths=(4, 12, 10, 6, 3))
    with torch.no_grad():
        net[2].weight[4] = -net[2].weight[4].abs()
        net[2].bias[4] = -0.1
        net[4].weight[1] = 0
        net[4].weight[1, 4] = 1.0  # sees only the dead one
        net[4].bias[1] = -0.3
    assert agree(net, compress(net)).after == {"in": 4, "0": 12, "2": 9, "4": 5, "6": 3}
    net[2].bias.data[4] = 0.1  # now it opens for small inputs
    assert agree(net, compress(net)).after["2"] == 10


def test_saturated_units_are_constant():
    net = mlp(nn.ReLU6)
    with torch.no_grad():
        net[2].weight[4] = net[2].weight[4].abs()
        net[2].bias[4] = 7.0
        net[2].weight[7] = -net[2].weight[6]  # by chance this one never opens: its largest value is -0.18
    assert agree(net, compress(net)).after["2"] == 9


@pytest.mark.parametrize(
    ("first", "second", "weight", "bias"),
    [(nn.Hardsigmoid(), nn.Hardswish(), 3.0, -3.0), (nn.Hardtanh(), nn.LeakyReLU(-1.0), 1.0, 0.0)],
)
def test_equal_ends_of_a_curve_that_turns_are_no_constant(first, second, weight, bias):
    """Hardswish is 0 at -3 and at 0, and not between; a slope of -1 makes the absolute value."""
    net = sequential(nn.Linear(4, 3), first, nn.Linear(3, 2), second, nn.Linear(2, 1))
    with torch.no_grad():
        net[2].weight[0] = torch.tensor([weight, 0.0, 0.0])
        net[2].bias[0] = bias
    assert agree(net, compress(net)).after == {"in": 4, "0": 3, "2": 2, "4": 1}


def test_units_that_nearly_agree_stay():
    net = mlp()
    with torch.no_grad():
        net[0].weight[8], net[0].bias[8] = net[0].weight[7], net[0].bias[7]
        net[0].weight[8, 2] += 1e-13
        net[0].weight[5], net[0].bias[5] = net[0].weight[4], net[0].bias[4]
        net[0].weight[5, 2] += 1e-16
    assert agree(net, compress(net)).after["0"] == 11


def test_units_that_look_alike_to_the_mark_stay():
    """Candidates are found by a product with one random vector: here it is the same, and the units are not."""
    net, mark = mlp(nn.GELU), torch.randn(5, generator=generator(0), dtype=torch.float64)
    with torch.no_grad():
        net[0].weight[8], net[0].bias[8] = net[0].weight[7], net[0].bias[7]
        net[0].weight[8, 0] += 1e-3 * mark[1]
        net[0].weight[8, 1] -= 1e-3 * mark[0]
    assert agree(net, compress(net)).after["0"] == 12


def test_a_unit_is_counted_once():
    net = mlp()
    net[0].weight.data[3] = 0
    net[2].weight.data[:, 3] = 0
    assert compress(net).notes == ("0: 1 unseen by what follows",)


def test_what_feeds_only_the_unseen_is_unseen():
    net = mlp(widths=(4, 12, 10, 6, 3))
    with torch.no_grad():
        net[4].weight[:, 2] = 0
        net[2].weight[:, 5] = 0
        net[2].weight[2, 5] = 1.0  # unit 5 is seen by unit 2 only
    assert agree(net, compress(net)).after == {"in": 4, "0": 11, "2": 9, "4": 6, "6": 3}


def test_a_constant_makes_a_bias_where_there_is_none():
    net = sequential(nn.Linear(4, 5), nn.Sigmoid(), nn.Linear(5, 2, bias=False))
    net[0].weight.data[1] = 0
    found = agree(net, compress(net))
    assert found.after["0"] == 4
    assert found.module[2].bias is not None
    assert sequential(nn.Linear(4, 5), nn.Sigmoid(), nn.Linear(5, 2, bias=False))[2].bias is None


def test_a_constant_network_keeps_one_unit():
    net = mlp()
    net[4].weight.data.zero_()
    found = agree(net, compress(net))
    assert found.after == {"in": 4, "0": 1, "2": 1, "4": 3}


def test_the_embedding_says_what_the_units_were():
    net = mlp()
    with torch.no_grad():
        net[0].weight[8], net[0].bias[8] = 3 * net[0].weight[7], 3 * net[0].bias[7]
        net[2].weight[:, 3] = 0
    found, x = compress(net), torch.randn(20, 4, generator=generator(), dtype=torch.float64)
    mine, its = net[:2](x), found.module[:2](x)
    mine[:, 3] = 0
    torch.testing.assert_close(its @ found.transformation["0"].T, mine)


@given(st.data())
def test_planted_units_in_random_networks(data):
    """Any numbers of copies, dead and unseen units, in any layers."""
    widths = data.draw(st.lists(st.integers(2, 8), min_size=3, max_size=5))
    net = mlp(data.draw(st.sampled_from(ACTIVATIONS)), (4, *widths))
    linears, expected = [m for m in net if isinstance(m, nn.Linear)], list(widths)
    for i in range(len(widths) - 1):
        kind = data.draw(st.sampled_from(["none", "copy", "dead", "unseen"]))
        with torch.no_grad():
            if kind == "copy":
                linears[i].weight[1], linears[i].bias[1] = linears[i].weight[0], linears[i].bias[0]
            elif kind == "dead":
                linears[i].weight[1] = 0
            elif kind == "unseen":
                linears[i + 1].weight[:, 1] = 0
        expected[i] -= kind != "none"
    found = agree(net, compress(net))
    assert all(mine <= its for mine, its in zip(list(found.after.values())[1:], expected, strict=True))
    assert compress(found.module).after == found.after


def seen_on_inputs(net, homogeneous, odd):
    """How many units are needed, from activations on many inputs alone: not constant, seen, no multiple of another."""
    x = 10 * torch.randn(3000, 4, generator=generator(8), dtype=torch.float64)
    columns = []
    for j, column in enumerate(net[:2](x).T):
        if column.max() - column.min() < 1e-12 or not net[2].weight[:, j].any():
            continue
        scale = column.norm() if homogeneous else 1.0
        sign = torch.sign(column[column.abs().argmax()]) if odd else 1.0
        columns.append(column * sign / scale)
    return sum(all((a - b).abs().max() > 1e-9 for b in columns[:i]) for i, a in enumerate(columns))


@pytest.mark.parametrize(
    ("activation", "homogeneous", "odd"),
    [(nn.ReLU, True, False), (nn.LeakyReLU, True, False), (nn.Tanh, False, True), (nn.GELU, False, False)],
)
@pytest.mark.parametrize("seed", range(4))
def test_as_many_units_stay_as_the_activations_show(activation, homogeneous, odd, seed):
    net, random = mlp(activation, (4, 30, 3)), generator(seed)
    with torch.no_grad():
        for j, source, kind in zip(
            range(12), torch.randint(12, 30, (12,), generator=random), [0, 1, 2, 3] * 3, strict=True
        ):
            factor = [1.0, 2.0, -1.0, 0.0][kind]
            net[0].weight[j], net[0].bias[j] = factor * net[0].weight[source], factor * net[0].bias[source]
        net[2].weight[:, 20:23] = 0
    found = agree(net, compress(net))
    assert found.after["0"] == seen_on_inputs(net, homogeneous, odd) < 30


def test_chains_become_one_layer_or_keep_their_narrow_point():
    net = sequential(nn.Linear(4, 9), nn.Identity(), nn.Linear(9, 7), nn.Dropout(), nn.Linear(7, 5))
    found = agree(net, compress(net))
    assert found.after == {"in": 4, "4": 5}
    assert found.parameters == (45 + 70 + 40, 25)
    narrow = sequential(nn.Linear(4, 1), nn.Linear(1, 9))
    found = agree(narrow, compress(narrow))
    assert found.after == {"in": 4, "1": 9} or found.parameters[1] <= found.parameters[0]
    wide = sequential(nn.Linear(20, 5), nn.Linear(5, 30))
    wide[1].weight.data[:, 2:] = 0
    x = torch.randn(9, 20, dtype=torch.float64, generator=generator())
    found = agree(wide, compress(wide), x)
    assert found.after == {"in": 20, "0": 2, "1": 30}
    assert found.parameters == (105 + 180, 40 + 90)
    assert found.notes == ("0 and 1: a product of rank 2",)


def test_a_bottleneck_that_is_needed_stays():
    net = sequential(nn.Linear(20, 3), nn.Linear(3, 30))
    x = torch.randn(9, 20, dtype=torch.float64, generator=generator())
    found = agree(net, compress(net), x)
    assert found.after == {"in": 20, "0": 3, "1": 30}
    assert found.parameters[1] <= found.parameters[0]


def test_a_frozen_layer_is_not_multiplied_into_a_trained_one():
    net = sequential(nn.Linear(4, 9), nn.Linear(9, 5))
    net[0].requires_grad_(False)
    assert compress(net).after == {"in": 4, "0": 9, "1": 5}
    net[1].requires_grad_(False)
    assert compress(net).after == {"in": 4, "1": 5}


def test_layers_without_biases_stay_without():
    net = sequential(nn.Linear(4, 9, bias=False), nn.Linear(9, 5, bias=False), nn.ReLU(), nn.Linear(5, 2, bias=False))
    found = agree(net, compress(net))
    assert all(m.bias is None for m in found.module if isinstance(m, nn.Linear))


@pytest.mark.parametrize("padding", [0, 1])
def test_batch_normalisation_is_folded(padding):
    net, x = moved(cnn(padding)), image(8 if padding else 12)
    found = agree(net, compress(net, x), x)
    assert found.before == found.after == {"in": 1, "0": 8, "4.0": 6, "6": 10, "8": 2}
    assert not any(isinstance(m, nn.BatchNorm2d) for m in found.module.modules())
    assert [name for name, _ in found.module.named_children()] == ["0", "2", "3", "4", "5", "6", "7", "8"]


def test_channels_that_are_copies_dead_or_unseen():
    net, x = moved(cnn()), image()
    norm = net[1]
    with torch.no_grad():
        net[0].weight[3], net[0].bias[3] = net[0].weight[2], net[0].bias[2]
        for t in (norm.weight, norm.bias, norm.running_mean, norm.running_var):
            t[3] = t[2]
        norm.weight[5], norm.bias[5] = 0.0, -1.0  # never opens
        net[4][0].weight[:, 6] = 0  # unseen
        net[6].weight.view(10, 6, 4)[:, 1] = 0  # a whole channel after Flatten
    found = agree(net, compress(net, x), x)
    assert found.after == {"in": 1, "0": 5, "4.0": 5, "6": 10, "8": 2}


@pytest.mark.parametrize(("padding", "kept"), [(0, 5), (1, 6)])
def test_a_constant_channel_under_zero_padding_stays(padding, kept):
    """Around the edges it is zero, so it is not one constant for the next convolution."""
    net = sequential(nn.Conv2d(1, 6, 3), nn.Sigmoid(), nn.Conv2d(6, 2, 3, padding=padding))
    net[0].weight.data[4] = 0
    found = agree(net, compress(net, image()), image())
    assert found.after["0"] == kept


def test_a_constant_channel_under_an_average_with_padding_stays():
    for pad, kept in ((0, 5), (1, 6)):
        net = sequential(nn.Conv2d(1, 6, 3), nn.Sigmoid(), nn.AvgPool2d(2, padding=pad), nn.Conv2d(6, 2, 1))
        net[0].weight.data[4] = 0
        assert agree(net, compress(net, image()), image()).after["0"] == kept


def test_zeros_around_the_edges_can_open_a_unit():
    """A constant 1/2 under nine weights of -1 and a bias of 3 never opens inside, but in the corners it does."""
    net = sequential(nn.Conv2d(1, 1, 1), nn.Sigmoid(), nn.Conv2d(1, 2, 3, padding=1), nn.ReLU(), nn.Conv2d(2, 1, 1))
    with torch.no_grad():
        net[0].weight.zero_()
        net[0].bias.zero_()
        net[2].weight[0], net[2].bias[0] = -1.0, 3.0
        net[2].weight[1], net[2].bias[1] = -1.0, -0.1  # this one opens nowhere
    assert agree(net, compress(net, image()), image()).after == {"in": 1, "0": 1, "2": 1, "4": 1}


@pytest.mark.parametrize("pool", [nn.MaxPool2d(2), nn.AvgPool2d(2)])
def test_a_sign_does_not_pass_through_a_maximum(pool):
    net = sequential(nn.Conv2d(1, 4, 3), nn.Tanh(), pool, nn.Conv2d(4, 1, 2))
    net[0].weight.data[1], net[0].bias.data[1] = -net[0].weight.data[0], -net[0].bias.data[0]
    found = agree(net, compress(net, image()), image())
    assert found.after["0"] == (4 if isinstance(pool, nn.MaxPool2d) else 3)


def test_convolutions_in_one_and_three_dimensions():
    line = sequential(
        nn.Conv1d(2, 5, 3, stride=2, dilation=2, padding_mode="circular", padding=1), nn.Tanh(), nn.Conv1d(5, 3, 2)
    )
    line[0].weight.data[1], line[0].bias.data[1] = -line[0].weight.data[0], -line[0].bias.data[0]
    x = torch.randn(3, 2, 20, generator=generator(), dtype=torch.float64)
    assert agree(line, compress(line, x), x).after == {"in": 2, "0": 4, "2": 3}
    cube = sequential(nn.Conv3d(1, 4, 2), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 8, 2))
    cube[0].weight.data[1], cube[0].bias.data[1] = 2 * cube[0].weight.data[0], 2 * cube[0].bias.data[0]
    x = torch.randn(3, 1, 3, 3, 3, generator=generator(), dtype=torch.float64)
    assert agree(cube, compress(cube, x), x).after == {"in": 1, "0": 3, "3": 2}


def separable(activation=nn.ReLU):
    """Pointwise, depthwise, pointwise: the blocks of small image networks."""
    return sequential(
        nn.Conv2d(1, 6, 1),
        activation(),
        nn.Conv2d(6, 6, 3, groups=6),
        nn.BatchNorm2d(6),
        activation(),
        nn.Conv2d(6, 4, 1),
        activation(),
        nn.Conv2d(4, 2, 2),
    )


def test_channels_of_depthwise_convolutions_go_with_their_filters():
    net, x = separable(), image()
    with torch.no_grad():
        net[0].weight[2], net[0].bias[2] = 0.0, -1.0  # never opens, so its filter sees a constant
        net[5].weight[:, 4] = 0  # unseen, so its filter is too, and the channel before
    found = agree(net, compress(net, x), x)
    assert found.after == {"in": 1, "0": 4, "2": 4, "5": 4, "7": 2}
    assert found.module[2].groups == 4
    assert found.module[2].weight.shape == (4, 1, 3, 3)
    assert found.parameters[1] < found.parameters[0]


def test_a_generic_grouped_network_stays_as_it_is():
    net = sequential(nn.Conv2d(1, 6, 1), nn.Tanh(), nn.Conv2d(6, 4, 3, groups=2), nn.Tanh(), nn.Conv2d(4, 2, 1))
    x = image()
    found = agree(net, compress(net, x), x)
    assert found.before == found.after
    assert all(torch.equal(a, b) for a, b in zip(net.parameters(), found.module.parameters(), strict=True))


def test_groups_that_would_become_unequal_stay():
    """One group of two would lose a channel: as one dense group the layer would have more parameters."""
    net = sequential(nn.Conv2d(1, 8, 1), nn.Tanh(), nn.Conv2d(8, 8, 3, groups=2), nn.Tanh(), nn.Conv2d(8, 5, 1))
    x = image()
    net[0].weight.data[3], net[0].bias.data[3] = net[0].weight.data[2], net[0].bias.data[2]
    found = agree(net, compress(net, x), x)
    assert found.before == found.after
    assert found.module[2].groups == 2
    net[0].weight.data[7], net[0].bias.data[7] = net[0].weight.data[6], net[0].bias.data[6]  # one of each group
    found = agree(net, compress(net, x), x)
    assert found.after == {"in": 1, "0": 6, "2": 8, "4": 5}
    assert found.module[2].weight.shape == (8, 3, 3, 3)


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("options", [{}, {"stride": 2, "padding": 1, "output_padding": 1}, {"dilation": 2}])
def test_transposed_convolutions(groups, options):
    net = sequential(
        nn.Conv2d(1, 4, 3),
        nn.ReLU(),
        nn.ConvTranspose2d(4, 6, 3, groups=groups, **options),
        nn.ReLU(),
        nn.Conv2d(6, 2, 3, padding=1),
    )
    x = image()
    with torch.no_grad():
        dead, same = ([0, 2], [(3, 5)]) if groups == 2 else ([1], [(1, 4), (1, 3)])
        for j in dead[:1] if groups == 1 else dead:
            net[0].weight[j], net[0].bias[j] = 0.0, -1.0  # zero: one of each group
        for a, b in same:
            columns = net[2].weight[:, b % 3 if groups == 2 else b]
            columns.copy_(net[2].weight[:, a % 3 if groups == 2 else a])
            net[2].bias[b] = net[2].bias[a]
    found = agree(net, compress(net, x), x)
    assert found.after["0"] == 4 - len(dead)
    assert found.after["2"] == (4 if groups == 1 else 5)
    assert found.module[2].groups == 1  # five units are no two groups, and one of 5 x 2 is smaller than 2 of 3 x 2
    assert found.parameters[1] < found.parameters[0]


def test_a_constant_channel_before_a_transposed_convolution_stays():
    """Edges and strides make positions that hear only part of the kernel: a constant is none behind them."""
    net = sequential(nn.Conv2d(1, 3, 1), nn.Sigmoid(), nn.ConvTranspose2d(3, 2, 3, stride=2))
    net[0].weight.data[1] = 0
    assert agree(net, compress(net, image()), image()).after["0"] == 3


def test_a_transposed_convolution_is_bounded_for_every_part_of_its_kernel():
    """A constant 1/2 under nine weights of -1 and a bias of 3 never opens where all are heard; at the edges it does."""
    net = sequential(nn.Conv2d(1, 1, 1), nn.Sigmoid(), nn.ConvTranspose2d(1, 2, 3), nn.ReLU(), nn.Conv2d(2, 1, 1))
    with torch.no_grad():
        net[0].weight.zero_()
        net[0].bias.zero_()
        net[2].weight[:, 0], net[2].bias[0] = -1.0, 3.0
        net[2].weight[:, 1], net[2].bias[1] = -1.0, -0.1
    assert agree(net, compress(net, image()), image()).after == {"in": 1, "0": 1, "2": 1, "4": 1}


def test_what_comes_before_and_after_may_be_anything():
    table = nn.Embedding(7, 4)
    net = nn.Sequential(
        table, nn.LayerNorm(4), nn.Linear(4, 9), nn.ReLU(), nn.Linear(9, 5), nn.LayerNorm(5), nn.Softmax(-1)
    )
    net[4].weight.data[:, 2] = 0
    tokens = torch.tensor([[1, 2, 6]])
    found = compress(net, tokens)
    torch.testing.assert_close(net(tokens), found.module(tokens))
    assert found.after == {"in": 4, "2": 8, "4": 5}


def test_single_precision_mode_and_frozen_layers_stay():
    net = mlp().float().train()
    net[2].weight.requires_grad_(False)
    with torch.no_grad():
        net[0].weight[8], net[0].bias[8] = 3 * net[0].weight[7], 3 * net[0].bias[7]
    made = compress(net).module
    assert made.training
    assert made[0].weight.shape == (11, 4)
    assert {n: (p.dtype, p.requires_grad) for n, p in made.named_parameters()} == {
        n: (p.dtype, p.requires_grad) for n, p in net.named_parameters()
    }
