"""Stabilisers of points: the sheet's table, and a dense linear system on all rotations at once."""

import pytest
import torch

from gradlaws.errors import TooLargeError
from gradlaws.models.radial import RadialMLP
from gradlaws.symmetry.compress import compress
from gradlaws.symmetry.projected import masks, rotated
from gradlaws.symmetry.stabiliser import stabiliser
from tests.oracles.dense_stabiliser import dense_dimension
from tests.radials import QUIVERS, mlp, quiver

TABLE = [
    ((1, 4, 1), 1, 0),
    ((1, 6, 1), 6, 3),
    ((1, 6, 2), 6, 1),
    ((1, 4, 4, 1), 1, 0),
    ((1, 8, 8, 1), 25, 0),
    ((1, 8, 16, 8, 1), 99, 0),
    ((2, 16, 16, 2), 144, 0),
]
"""Widths, the published claim, the true dimension at a random point: reference sheet 1.9."""


def zero_padded(net):
    """The compressed network in the leading blocks, zeros elsewhere, in the old coordinates."""
    found = compress(net)
    turned = rotated(net, found.transformation, inverse=True)
    mask = masks(turned, found.after)
    with torch.no_grad():
        for name, p in turned.named_parameters():
            p.mul_(mask[name])
            small = found.module.get_parameter(name)
            block = torch.zeros_like(p)
            block[tuple(slice(n) for n in small.shape)] = small
            p.copy_(block)
    return rotated(turned, found.transformation), found


@pytest.mark.parametrize(("widths", "claimed", "true"), TABLE)
def test_the_corrected_table(widths, claimed, true):
    net = mlp(widths)
    assert stabiliser(net).dimension == dense_dimension(net) == true
    padded, found = zero_padded(net)
    rest = [found.before[v] - found.after[v] for v in net.hidden]
    answer = stabiliser(padded)
    assert answer.dimension == claimed == sum(n * (n - 1) // 2 for n in rest)
    assert answer.free
    assert list(answer.invisible.values()) == rest


@pytest.mark.parametrize("name", QUIVERS)
def test_quivers_against_the_dense_system(name):
    net = quiver(*QUIVERS[name][:2])
    padded, _ = zero_padded(net)
    for point in (net, padded):
        assert stabiliser(point).dimension == dense_dimension(point)


def test_in_words():
    assert str(stabiliser(mlp((1, 6, 2)))) == "O(2)"
    assert str(stabiliser(mlp((1, 4, 4, 1)))) == "trivial"


def joined(weight):
    """(1, n, n, 1) whose invisible parts are joined by this matrix."""
    n = len(weight) + 1
    net = RadialMLP((1, n, n, 1), "squashing", dtype=torch.float64)
    with torch.no_grad():
        for p in net.parameters():
            p.zero_()
        net.layers[0].weight[0] = 1.0
        net.layers[1].weight[0, 0] = 1.0
        net.layers[1].weight[1:, 1:] = torch.as_tensor(weight)
        net.layers[2].weight[0, 0] = 1.0
    return net


@pytest.mark.parametrize(
    ("weight", "dimension"),
    [
        (torch.eye(4), 6),  # one rotation for both
        (torch.diag(torch.tensor([1.0, 1, 2, 2])), 2),  # one for each singular value
        (torch.diag(torch.tensor([1.0, 2, 3, 4])), 0),
        (torch.diag(torch.tensor([1.0, 1, 0, 0])), 3),  # and one for the kernel and the cokernel
        (torch.zeros(4, 4), 12),
    ],
)
def test_invisible_parts_that_are_joined(weight, dimension):
    answer = stabiliser(joined(weight))
    assert answer.dimension == dense_dimension(joined(weight)) == dimension
    assert list(answer.invisible.values()) == [4, 4]
    assert answer.free == (not weight.any())
    if not answer.free:
        assert str(answer) == f"a subgroup of dimension {dimension} of O(4) x O(4)"


def test_the_published_counter_example():
    """(1, 3, 3, 1) with full ranks: diag(1, 1, -1) twice fixes the point, the published group has no second factor."""
    net = RadialMLP((1, 3, 3, 1), "squashing", dtype=torch.float64)
    net.load_state_dict(
        {
            "layers.0.weight": torch.tensor([[1.0], [0], [0]]),
            "layers.0.bias": torch.tensor([0.0, 1, 0]),
            "layers.1.weight": torch.eye(3),
            "layers.1.bias": torch.zeros(3),
            "layers.2.weight": torch.tensor([[1.0, 1, 0]]),
            "layers.2.bias": torch.ones(1),
        }
    )
    flip = torch.diag(torch.tensor([1.0, 1, -1], dtype=torch.float64))
    for mine, its in zip(net.parameters(), rotated(net, {"1": flip, "2": flip}).parameters(), strict=True):
        assert torch.equal(mine, its)
    answer = stabiliser(net)
    assert answer.invisible == {"1": 1, "2": 1}
    assert (answer.dimension, answer.free) == (0, False)


def test_a_size_that_does_not_fit_is_refused():
    with pytest.raises(TooLargeError, match="unknowns: expected at most 3000; compress the network first"):
        stabiliser(joined(torch.eye(60)))
