"""Functional dimensions: published values, both engines against each other and against a dense Jacobian."""

from itertools import pairwise

import pytest
import torch
from sklearn.datasets import load_digits
from torch import nn

from gradlaws.errors import InputError
from gradlaws.geometry import exact_rows, range_finder
from gradlaws.geometry.dimension import ENGINES, batch_dimension, dimension_course, functional_dimension
from gradlaws.geometry.jacobian import Jacobian


def relu_network(*widths, seed=0, activation=nn.ReLU):
    torch.manual_seed(seed)
    layers = []
    for a, b in pairwise(widths):
        layers += [nn.Linear(a, b), activation()]
    return nn.Sequential(*layers[:-1]).double()


def shallow(a, b, c, d=0.0):
    """x -> sum c relu(a x + b) + d."""
    model = relu_network(1, len(a), 1)
    with torch.no_grad():
        model[0].weight[:, 0], model[0].bias[:] = torch.tensor(a), torch.tensor(b)
        model[2].weight[0], model[2].bias[0] = torch.tensor(c), d
    return model


def column(*values):
    return torch.tensor(values, dtype=torch.float64)[:, None]


def dense_jacobian(model, x):
    """The slow twin: row by row."""
    outputs, parameters = model(x).flatten(), list(model.parameters())
    rows = [torch.autograd.grad(y, parameters, retain_graph=True) for y in outputs]
    return torch.stack([torch.cat([g.flatten() for g in row]) for row in rows])


DENSE = torch.linspace(-3, 4, 60).double()[:, None]
PUBLISHED = {
    "three breaks": (shallow([1.0], [0.0], [1.0]), column(-1, 1, 2), 3),
    "closed": (shallow([1.0], [0.0], [1.0]), column(-1, -2), 1),
    "open": (shallow([1.0], [0.0], [1.0]), column(1, 2, 3), 2),
    "two inputs": (shallow([1.0], [0.0], [1.0]), column(-1, 1), 2),
    "one input": (shallow([1.0], [0.0], [1.0]), column(5), 1),
    "two units": (shallow([1.0, 1.0], [0.0, -1.0], [1.0, 1.0]), column(-1, 0.25, 0.75, 2, 3), 5),
    "coincident breaks": (shallow([1.0, -1.0], [0.0, 0.0], [1.0, 1.0]), DENSE, 4),
    "duplicate unit": (shallow([1.0, 1.0], [0.0, 0.0], [1.0, 1.0]), DENSE, 3),
    "idle unit": (shallow([1.0, 1.0], [0.0, -1.0], [1.0, 0.0]), DENSE, 4),
}


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", PUBLISHED)
def test_published_values(name, engine):
    model, x, expected = PUBLISHED[name]
    found = batch_dimension(model, x, engine=engine)
    assert found.rank == expected == int(torch.linalg.matrix_rank(dense_jacobian(model, x)))
    assert found.rows == len(x)


@pytest.mark.parametrize(
    ("widths", "expected"),
    [
        ((2, 3, 1), 10),
        ((3, 3, 2), 17),
        ((4, 3, 2, 1), 21),
        ((2, 2, 2, 1), 11),
        ((2, 5, 5, 1), 41),
        ((3, 4, 4, 2), 38),
        ((5, 5, 5, 5, 1), 81),
        ((2, 10, 1), 31),
    ],
)
def test_an_architecture_loses_one_dimension_for_each_hidden_unit(widths, expected):
    found = functional_dimension(f"relu {'-'.join(map(str, widths))} bias output-bias")
    assert found.rank == expected
    assert found.fibre == sum(widths[1:-1])


def test_the_architecture_of_a_module():
    assert functional_dimension(relu_network(4, 3, 2, 1), torch.zeros(1, 4).double()).rank == 21


def test_the_size_of_the_published_network():
    sizes = (784, 30, 30, 30, 10)
    parameters = sum((a + 1) * b for a, b in pairwise(sizes))
    assert (parameters, parameters - 90) == (25720, 25630)


@pytest.mark.parametrize(("widths", "count"), [((3, 4, 2), 3), ((4, 6, 5, 3), 40), ((2, 30, 1), 700)])
def test_the_engines_agree_with_the_dense_jacobian(widths, count):
    model = relu_network(*widths, seed=3)
    x = torch.randn(count, widths[0], generator=torch.Generator().manual_seed(1)).double()
    expected = int(torch.linalg.matrix_rank(dense_jacobian(model, x)))
    assert [batch_dimension(model, x, engine=engine).rank for engine in ENGINES] == [expected] * 2


def test_the_range_finder_is_used_and_finds_a_rank_far_below_both_sides():
    model = relu_network(30, 20, 5, seed=2)  # 725 parameters
    flat = torch.zeros(200, 30).double()
    flat[:, :3] = torch.randn(200, 3, generator=torch.Generator().manual_seed(4))
    found = batch_dimension(model, flat)
    assert found.rows == 1000
    assert found.rank == batch_dimension(model, flat, engine="exact").rank
    assert found.rank == int(torch.linalg.matrix_rank(dense_jacobian(model, flat)))
    assert found.rank < 400
    assert found.spectrum.clear


@pytest.mark.parametrize("block", [16, 100])
@pytest.mark.parametrize("flat", [2, 5])
def test_the_range_finder_is_right_where_the_last_block_is_not_full(monkeypatch, block, flat):
    """Rounding in its last directions must not be taken for new ones."""
    monkeypatch.setattr(range_finder, "_BLOCK", block)
    model = relu_network(8, 9, 9, 4, seed=3)
    x = torch.randn(100, 8, generator=torch.Generator().manual_seed(flat)).double()
    x[:, flat:] = 0
    dense = dense_jacobian(model, x)
    found = batch_dimension(model, x)
    assert found.rows > 2 * block
    assert found.rank == int(torch.linalg.matrix_rank(dense)) == batch_dimension(model, x, engine="exact").rank
    assert found.spectrum.clear
    assert found.rank % block


def test_the_range_finder_on_digits():
    """Weights and data for which an earlier one found 1008 and said that it was clear."""
    data = torch.tensor(load_digits().images / 16).flatten(1)
    x = data[torch.randperm(len(data), generator=torch.Generator().manual_seed(1))[:500]]
    assert batch_dimension(relu_network(64, 12, 12, 12, 10, seed=1), x).rank == 800


@pytest.mark.parametrize("widths", [(16, 128), (400,)])
def test_columns_may_be_added_up_first(monkeypatch, widths):
    """Whether the sketch is too narrow, wide enough or not used, the rank is that of the dense Jacobian."""
    monkeypatch.setattr(exact_rows, "_WIDTHS", widths)
    model = relu_network(40, 20, 5, seed=2)  # 925 parameters
    flat = torch.zeros(180, 40).double()
    flat[:, :2] = torch.randn(180, 2, generator=torch.Generator().manual_seed(4))
    expected = int(torch.linalg.matrix_rank(dense_jacobian(model, flat)))
    assert batch_dimension(model, flat, engine="exact").rank == expected > 100


def test_a_rescaled_and_permuted_network_has_the_same_dimension():
    model = relu_network(3, 5, 2)
    x = torch.randn(50, 3, generator=torch.Generator().manual_seed(0)).double()
    before = batch_dimension(model, x).rank
    scale, order = torch.tensor([0.5, 2, 3, 1, 0.1]).double(), torch.randperm(5)
    with torch.no_grad():
        weight, bias, out = (p.clone() for p in (model[0].weight, model[0].bias, model[2].weight))
        model[0].weight[:], model[0].bias[:] = (weight * scale[:, None])[order], (bias * scale)[order]
        model[2].weight[:] = (out / scale)[:, order]
    assert batch_dimension(model, x).rank == before


def test_rescalings_are_in_the_kernel():
    model = relu_network(3, 4, 2)
    x = torch.randn(50, 3).double()
    jacobian = dense_jacobian(model, x)
    for k in range(4):
        tangent = [torch.zeros_like(p) for p in model.parameters()]
        tangent[0][k], tangent[1][k] = model[0].weight[k].detach(), model[0].bias[k].detach()
        tangent[2][:, k] = -model[2].weight[:, k].detach()
        assert float((jacobian @ torch.cat([t.flatten() for t in tangent])).abs().max()) < 1e-13


def test_products_with_the_jacobian():
    model, x = relu_network(3, 4, 2, activation=nn.Tanh), torch.randn(7, 3).double()
    dense, products = dense_jacobian(model, x), Jacobian(model, x)
    cotangents = torch.randn(5, 14).double()
    torch.testing.assert_close(products.pull(cotangents), cotangents @ dense)
    torch.testing.assert_close(products.kernel(cotangents[0]), dense @ dense.T @ cotangents[0])
    assert (products.rows, products.columns) == dense.shape


def test_the_course_of_a_training_run():
    """Units that die take their dimensions with them."""
    model, x = relu_network(2, 6, 1), torch.randn(80, 2, generator=torch.Generator().manual_seed(0)).double()

    def dying():
        for dead in range(4):
            with torch.no_grad():
                model[0].bias[:dead] = -100.0
            yield model.state_dict()

    exact = dimension_course(model, x, dying(), engine="exact")
    assert [exact[0].rank - d.rank for d in exact] == [0, 3, 6, 9]


def test_more_examples_than_one_pool_holds():
    model, x = shallow([1.0, 1.0], [0.0, 1.0], [1.0, 1.0]), torch.linspace(-3, 3, 2500).double()[:, None]
    closed_first = torch.cat([-4 - torch.rand(2100, 1).double(), x[1250:]])
    assert batch_dimension(model, closed_first, engine="exact").rank == batch_dimension(model, closed_first).rank > 1


class Idle(nn.Module):
    """With parameters that nothing depends on."""

    def __init__(self):
        super().__init__()
        self.used, self.idle, self.scale = nn.Linear(2, 2), nn.Linear(3, 3), nn.Parameter(torch.tensor(2.0))

    def forward(self, x):
        return self.used(x)


@pytest.mark.parametrize("engine", ENGINES)
def test_parameters_that_nothing_depends_on_add_nothing(engine):
    x = torch.randn(9, 2, generator=torch.Generator().manual_seed(0))
    found = batch_dimension(Idle(), x, engine=engine)
    assert (found.rank, found.parameters) == (6, 19)


def test_text_says_what_it_rests_on():
    found = batch_dimension(*PUBLISHED["two units"][:2])
    assert str(found).startswith("Sequential: functional dimension 5 of 7 parameters, at its weights on 5 inputs")
    assert found.fibre == 2


def with_nan():
    model = relu_network(2, 2, 1)
    with torch.no_grad():
        model[2].weight[0, 0] = torch.nan
    return model


X = torch.ones(3, 2).double()
BAD = {
    "nan weights": (lambda e: batch_dimension(with_nan(), X, engine=e), "parameter 2.weight has entries that are NaN"),
    "nan inputs": (lambda e: batch_dimension(relu_network(2, 2, 1), X / 0 - X / 0, engine=e), "input 0 has entries"),
    "no inputs": (lambda e: batch_dimension(relu_network(2, 2, 1), X[:0], engine=e), "at least one example"),
    "no module": (lambda e: batch_dimension("relu 2-2-1", X, engine=e), "str has no weights: expected a torch module"),
    "inputs that do not fit": (
        lambda e: batch_dimension(relu_network(3, 2, 1), X, engine=e),
        r"Sequential fails on inputs \[3, 2\] .*: expected what its forward takes",
    ),
    "a checkpoint of another module": (
        lambda e: dimension_course(relu_network(2, 2, 1), X, [nn.Linear(2, 2).state_dict()], engine=e),
        "checkpoint 0 is not one of this module",
    ),
    "nothing trained": (lambda e: batch_dimension(nn.ReLU(), X, engine=e), "nothing is trained"),
}


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("fault", BAD)
def test_bad_requests_are_refused_in_a_sentence(fault, engine):
    request, words = BAD[fault]
    with pytest.raises(InputError, match=words):
        request(engine)


def test_unknown_engines_are_refused():
    with pytest.raises(InputError, match="unknown engine 'fast': expected one of exact, float64"):
        batch_dimension(relu_network(2, 2, 1), X, engine="fast")
