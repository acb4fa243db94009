"""The QR recursion against the sheet's table, an independent rank, and the published faulty variant."""

from itertools import pairwise

import pytest
import torch

from gradlaws.models.radial import RadialMLP
from gradlaws.symmetry.compress import compress
from gradlaws.symmetry.recursion import frame, reduction
from tests.oracles.published_compression import published_frame
from tests.radials import QUIVERS, mlp, quiver
from tests.samplers import generator

TABLE = [
    ((1, 8, 16, 8, 1), (1, 2, 3, 4, 1), 305, 34),
    ((1, 6, 7, 1), (1, 2, 3, 1), 69, 17),
    ((1, 4, 4, 1), (1, 2, 3, 1), 33, 17),
    ((2, 16, 64, 128, 16, 2), (2, 3, 4, 5, 6, 2), 11554, 100),
    ((3, 5, 8, 8, 2), (3, 4, 5, 6, 2), 158, 91),
    ((784, 785, 786, 3), (784, 785, 786, 3), 1236382, 1236382),
    ((784, 300, 100, 10), (784, 300, 100, 10), 266610, 266610),
    ((784, 2000, 2000, 10), (784, 785, 786, 10), 5592010, 1241891),
    ((4, 2, 9, 9, 3), (4, 2, 3, 4, 3), 157, 50),
]
"""Widths, reduced widths, parameters before and after: reference sheet 6.1."""


def counted(widths):
    return sum((n + 1) * m for n, m in pairwise(widths))


@pytest.mark.parametrize(("widths", "reduced", "before", "after"), TABLE)
def test_the_published_table(widths, reduced, before, after):
    found = reduction(mlp(widths))
    assert tuple(found.dimensions.values()) == reduced
    assert sum(w.numel() for w in found.weights.values()) == after == counted(reduced)
    assert before == counted(widths)


@pytest.mark.parametrize("name", QUIVERS)
def test_the_table_of_quivers(name):
    dimensions, arrows, reduced, (before, after) = QUIVERS[name]
    net = quiver(dimensions, arrows)
    found = reduction(net)
    assert found.dimensions == dimensions | reduced
    assert sum(p.numel() for p in net.parameters()) == before
    assert sum(w.numel() for w in found.weights.values()) == after


def test_a_quiver_without_biases():
    arrows = QUIVERS["two paths"][1]
    found = reduction(quiver({"a": 2, "b": 3, "c": 3, "d": 6, "e": 2}, arrows, bias=False))
    assert found.dimensions == {"a": 2, "b": 2, "c": 2, "d": 4, "e": 2}


def hidden_states(net, x):
    """What each hidden layer of an MLP holds, activated."""
    for layer in net.layers[:-1]:
        x = net.activation(layer(x))
        yield x


@pytest.mark.parametrize("activation", ["squashing", "shifted_relu", "sigmoid"])
def test_the_reduced_width_is_the_dimension_of_the_span_of_the_states(activation):
    """An independent way: run the network on many inputs and take the rank of what is seen."""
    net = mlp((2, 9, 11, 7), activation)
    x = 3 * torch.randn(4000, 2, generator=generator(), dtype=torch.float64)
    with torch.no_grad():
        ranks = [int(torch.linalg.matrix_rank(state, rtol=1e-9)) for state in hidden_states(net, x)]
    assert ranks == list(reduction(net).dimensions.values())[1:-1] == [3, 4]


def test_the_states_lie_in_the_leading_columns():
    net = mlp((2, 9, 11, 7))
    found = reduction(net)
    x = torch.randn(50, 2, generator=generator(), dtype=torch.float64)
    for vertex, state in zip(found.bases, hidden_states(net, x), strict=True):
        outside = state @ found.bases[vertex][:, found.dimensions[vertex] :]
        assert outside.abs().max() < 1e-14


def test_the_sheets_case_by_hand():
    net = RadialMLP((1, 3, 1), "squashing", dtype=torch.float64)
    weights = {
        "layers.0.weight": torch.tensor([[0.0], [2], [0]]),
        "layers.0.bias": torch.tensor([3.0, 0, 4]),
        "layers.1.weight": torch.tensor([[1.0, 2, 3]]),
        "layers.1.bias": torch.tensor([1.0]),
    }
    net.load_state_dict(weights)
    found = reduction(net)
    q = torch.tensor([[0.6, 0, -0.8], [0, 1, 0], [0.8, 0, 0.6]], dtype=torch.float64)
    torch.testing.assert_close(found.bases["1"][:, :2], q[:, :2])
    torch.testing.assert_close(found.bases["1"][:, 2].abs(), q[:, 2].abs())
    torch.testing.assert_close(found.weights["layers.0.weight"], torch.tensor([[0.0], [2]], dtype=torch.float64))
    torch.testing.assert_close(found.weights["layers.0.bias"], torch.tensor([5.0, 0], dtype=torch.float64))
    torch.testing.assert_close(found.weights["layers.1.weight"], torch.tensor([[3.0, 2]], dtype=torch.float64))
    x = torch.tensor([[0.0], [1], [-2]], dtype=torch.float64)
    expected = torch.tensor([[3.88461538], [4.41060438], [2.06718737]], dtype=torch.float64)
    for each in (net, compress(net).module):
        torch.testing.assert_close(each(x), expected, rtol=0, atol=5e-9)


@pytest.mark.parametrize("reveal_rank", [False, True])
@pytest.mark.parametrize("shape", [(7, 3), (3, 7), (5, 5), (4, 1)])
def test_a_frame_is_orthogonal_with_a_positive_triangle(shape, reveal_rank):
    columns = torch.randn(shape, generator=generator(), dtype=torch.float64)
    q, r = frame(columns, reveal_rank)
    n, k = shape[0], min(shape)
    assert (q.shape, r.shape) == ((n, n), (k, shape[1]))
    torch.testing.assert_close(q.T @ q, torch.eye(n, dtype=torch.float64), rtol=0, atol=1e-14)
    torch.testing.assert_close(q[:, :k] @ r, columns, rtol=0, atol=1e-14)
    assert torch.equal(r, r.triu())
    assert bool((r.diagonal() > 0).all())


def test_columns_that_depend_on_each_other():
    columns = torch.randn(6, 2, generator=generator(), dtype=torch.float64) @ torch.ones(2, 4, dtype=torch.float64)
    assert frame(columns)[1].shape == (4, 4)
    q, r = frame(columns, reveal_rank=True)
    assert r.shape == (1, 4)
    torch.testing.assert_close(q[:, :1] @ r, columns)
    assert frame(torch.zeros(3, 2, dtype=torch.float64), reveal_rank=True)[1].shape == (1, 2)


def test_zero_biases_break_the_published_step_and_not_this_one():
    """A zero bias is a zero on R's diagonal, and sign(0) = 0: a column of Q and a row of R are wiped out."""
    weight = mlp((2, 6, 7, 1)).layers[0].weight.detach()
    columns = torch.cat([torch.zeros(6, 1, dtype=torch.float64), weight], 1)
    q, r = published_frame(columns)
    assert (q.T @ q - torch.eye(6)).abs().max() == 1.0
    assert (q[:, :3] @ r - columns).abs().max() > 0.1
    ours, triangle = frame(columns)
    torch.testing.assert_close(ours.T @ ours, torch.eye(6, dtype=torch.float64), rtol=0, atol=1e-14)
    torch.testing.assert_close(ours[:, :3] @ triangle, columns, rtol=0, atol=1e-14)
