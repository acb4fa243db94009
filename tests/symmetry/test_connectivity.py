"""Components of minima, counted in two ways; paths of minima, and the permutations that lead across."""

from functools import reduce
from itertools import product

import numpy as np
import pytest
import torch

from gradlaws.errors import InputError
from gradlaws.symmetry.connectivity import (
    component,
    crossing,
    linear_components,
    linear_path,
    permuted,
    residual_component,
    residual_components,
    way,
)
from gradlaws.symmetry.valley import connected
from tests.oracles.flood import flooded
from tests.samplers import generator


def test_the_published_counts():
    """Zhao, Walters, Yu 2025: 2^(l-1) for l linear layers; of three scalar layers 4, with a skip 3."""
    assert [linear_components(layers) for layers in (1, 2, 3, 4)] == [1, 2, 4, 8]
    assert residual_components(3, 0.0) == 4
    assert residual_components(3, 1.0) == residual_components(3, -0.5) == 3
    assert [residual_components(layers, 1.0) for layers in (2, 3, 4, 5)] == [2, 3, 5, 9]


@pytest.mark.parametrize("skip", [0.0, 1.0, -0.7])
@pytest.mark.parametrize(("layers", "count"), [(2, 80), (3, 80), (4, 24)])
def test_the_counts_by_flooding_a_grid(layers, count, skip):
    """The last weight is y / (w_(l-1) ... w_1 + e), so the minima are the points where that is not zero."""
    points, labels = flooded(lambda w: w.prod(1) + skip, layers - 1, 4.003, count)  # no point is a zero
    assert labels.max() == residual_components(layers, skip)
    by_signs = {}
    for point, label in zip(points, labels, strict=True):
        by_signs.setdefault(residual_component([*point.tolist(), 1.0], skip), set()).add(label)
    assert sorted(map(len, by_signs.values())) == [1] * residual_components(layers, skip)
    assert len(set().union(*by_signs.values())) == labels.max()


def test_the_flood_sees_a_planted_wall():
    """Two halves of a plane, and one."""
    assert flooded(lambda w: w[:, 0], 2, 1.01, 10)[1].max() == 2
    assert flooded(lambda w: np.ones(len(w)), 2, 1.01, 10)[1].max() == 1


def network(signs, width=4, seed=0, target=None):
    """Square layers with these signs of determinants; the last one makes the product the target, where it is given."""
    random = generator(seed)
    layers = []
    for sign in signs:
        w = torch.randn(width, width, generator=random, dtype=torch.float64)
        w[0] *= sign * torch.linalg.det(w).sign()
        layers.append(w)
    if target is not None:
        layers[-1] = target @ torch.linalg.inv(whole(layers[:-1]))
    return layers


def whole(layers):
    return reduce(lambda a, b: b @ a, layers)


def test_every_choice_of_signs_is_a_component():
    target = network([1])[0]
    found = {component(network(signs, target=target)) for signs in product((1, -1), repeat=3)}
    assert len(found) == linear_components(3) == 4
    assert all(np.prod(signs) == 1 for signs in found)


@pytest.mark.parametrize("width", [1, 2, 5])
@pytest.mark.parametrize("layers", [2, 3, 4])
def test_a_path_within_a_component(width, layers):
    target = network([1], width)[0]
    signs = [-1, 1, -1, 1][:layers]
    first, second = (network(signs, width, seed, target) for seed in (1, 2))
    path = linear_path(first, second)
    for mine, its in ((path(0.0), first), (path(1.0), second)):
        assert all(torch.allclose(a, b, atol=1e-8) for a, b in zip(mine, its, strict=True))
    for t in torch.linspace(0, 1, 11).tolist():
        assert float((whole(path(t)) - target).norm()) < 1e-8 * float(target.norm())
    straight = [(a + b) / 2 for a, b in zip(first, second, strict=True)]
    assert float((whole(straight) - target).norm()) > 1e-2  # the chord has a barrier


@pytest.mark.parametrize("width", [2, 3, 6])
def test_permutations_lead_to_every_component(width):
    target = network([1], width)[0]
    first = network([1, 1, 1, 1], width, 1, target)
    for signs in product((1, -1), repeat=3):
        second = network([*signs, 1], width, 2, target)
        if component(second) != component(first):
            with pytest.raises(InputError, match=r"no path of minima joins the two; exchange units first"):
                linear_path(first, second)
        there = permuted(second, crossing(first, second))
        assert torch.allclose(whole(there), whole(second))
        assert component(there) == component(first)
        assert float((whole(linear_path(first, there)(0.3)) - target).norm()) < 1e-7 * float(target.norm())


def test_a_single_unit_cannot_cross():
    """Four components of three scalar layers, and nothing to exchange."""
    target = torch.ones(1, 1, dtype=torch.float64)
    with pytest.raises(InputError, match="layers of one unit: permutations do not lead to another component"):
        crossing(network([1, 1, 1], 1, 0, target), network([-1, 1, 1], 1, 0, target))


def test_a_way_where_there_is_no_logarithm():
    """diag(-1, -2) has no real logarithm; a quarter of the determinants on the way would show a crossing."""
    g = torch.diag(torch.tensor([-1.0, -2.0], dtype=torch.float64))
    with pytest.raises(InputError, match="negative eigenvalues"):
        connected(g)
    for matrix in (g, -torch.eye(4, dtype=torch.float64), torch.eye(1, dtype=torch.float64), *network([1, 1], 5)):
        path = way(matrix)
        assert torch.allclose(path(0.0), torch.eye(len(matrix), dtype=torch.float64))
        assert torch.allclose(path(1.0), matrix)
        assert min(float(torch.linalg.det(path(t))) for t in torch.linspace(0, 1, 50).tolist()) > 0


def test_bad_requests_are_sentences():
    square, wide = torch.eye(2), torch.ones(2, 3)
    scalar = torch.ones(1, 1)
    for call, words in (
        (lambda: linear_components(0), "0 layers: expected at least one"),
        (lambda: residual_components(1, 1.0), "1 layers: expected at least two"),
        (lambda: residual_component([1.0], 1.0), "1 weights: expected at least two"),
        (lambda: residual_component([-1.0, 2.0], 1.0), "the inner product is -1: the last weight sees 0"),
        (lambda: component([square, wide]), "expected square matrices of one size"),
        (lambda: component([square, torch.ones(2, 2)]), "layer 2 is singular"),
        (lambda: crossing([square], [square, square]), "1 layers and 2: expected as many"),
        (lambda: crossing([scalar], [-scalar]), "determinants of opposite sign"),
        (lambda: permuted([square], [torch.arange(2)]), "1 permutations for 1 layers"),
        (lambda: linear_path([square], [2 * square]), "the products of the layers differ"),
        (lambda: way(wide), "expected a square matrix"),
        (lambda: way(torch.diag(torch.tensor([1.0, -1.0]))), "another component, no path leads there"),
    ):
        with pytest.raises(InputError, match=words):
            call()
