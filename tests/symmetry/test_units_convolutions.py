"""Channels of convolutions: batch normalisation, padding, groups, transposed ones."""

import pytest
import torch
from torch import nn

from gradlaws.symmetry.compress import compress
from tests.samplers import generator
from tests.sequentials import agree, cnn, image, moved, sequential


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
