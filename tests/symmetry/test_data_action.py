"""The actions of Zhao et al. on one batch: exact where their condition holds, refused where it does not."""

from itertools import pairwise

import pytest
import torch

from gradlaws.errors import InputError
from gradlaws.symmetry.data_action import act_on_batch, act_on_input, act_on_layers, carrying


def draw(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed + sum(shape)), dtype=torch.float64)


VECTORS = [draw(h, seed=s) for h in (2, 3, 4, 7) for s in (0, 1)]
VECTORS += [
    torch.tensor(v, dtype=torch.float64) for v in ([1.0, 0, 0], [-1.0, 0, 0], [0, 0, -2.0], [0.5, 1.0, -3.0, -1.0])
]


@pytest.mark.parametrize("z", VECTORS, ids=str)
def test_a_rotation_carries_the_first_axis_whatever_the_signs(z):
    """The published matrix takes angles by arccos and is wrong where the last entry is negative, and 0/0 at e_1."""
    r, size = carrying(z), float(z.norm())
    assert torch.allclose(r[:, 0], z, atol=1e-14)
    assert torch.allclose(r @ r.mT, size**2 * torch.eye(len(z), dtype=torch.float64), atol=1e-12)
    assert float(torch.linalg.det(r)) == pytest.approx(size ** len(z))


def test_one_input_and_the_group_law():
    u, v, x = draw(2, 4), draw(4, 3), draw(3)
    g1, g2 = draw(4, 4), draw(4, 4, seed=1)
    moved = act_on_input(u, v, g2, x, torch.tanh)
    twice, once = act_on_input(*moved, g1, x, torch.tanh), act_on_input(u, v, g1 @ g2, x, torch.tanh)
    assert torch.allclose(moved[0] @ torch.tanh(moved[1] @ x), u @ torch.tanh(v @ x), atol=1e-14)
    assert all(torch.allclose(a, b, atol=1e-12) for a, b in zip(twice, once, strict=True))
    other = draw(3, seed=2)
    assert float((moved[0] @ torch.tanh(moved[1] @ other) - u @ torch.tanh(v @ other)).abs().max()) > 1e-3


@pytest.mark.parametrize("k", [1, 4, 6])
def test_a_batch_up_to_the_width_is_exact(k):
    u, v, x = draw(2, 6), draw(6, 8), draw(8, k)
    g = torch.eye(6, dtype=torch.float64) + 0.1 * draw(6, 6)
    moved = act_on_batch(u, v, g, x, torch.tanh)
    assert torch.allclose(moved[0] @ torch.tanh(moved[1] @ x), u @ torch.tanh(v @ x), atol=1e-11)


def test_a_larger_batch_is_refused_for_it_would_change():
    u, v, x = draw(2, 6), draw(6, 8), draw(8, 7)
    g = torch.eye(6, dtype=torch.float64) + 0.1 * draw(6, 6)
    with pytest.raises(InputError, match="7 examples but 6 hidden units: the outputs stay on at most as many"):
        act_on_batch(u, v, g, x, torch.tanh)
    old, new = torch.tanh(v @ x), torch.tanh(g @ v @ x)
    changed = u @ old @ torch.linalg.pinv(new) @ new - u @ old
    assert float(changed.abs().max()) > 1e-4  # what the refusal prevents


def leaky(z):
    return torch.where(z > 0, z, 0.1 * z)


def unleaky(z):
    return torch.where(z > 0, z, 10 * z)


def network(weights, biases, x):
    h = x
    for w, b in zip(weights[:-1], biases[:-1], strict=True):
        h = leaky(w @ h + (0 if b is None else b.unsqueeze(1)))
    return weights[-1] @ h + (0 if biases[-1] is None else biases[-1].unsqueeze(1))


WIDTHS = [4, 5, 6, 7, 8]


@pytest.mark.parametrize("biased", [False, True])
def test_all_layers_at_once_are_exact(biased):
    """Widths [4, 5, 6, 7, 8], batch 4: 1e-14 here; published code is off by 9e-4, its later copy by 1.2e-5."""
    weights = [0.5 * draw(b, a) for a, b in pairwise(WIDTHS)]
    biases = [draw(b, seed=9) if biased else None for b in WIDTHS[1:]]
    elements = [torch.eye(w, dtype=torch.float64) + 1e-3 * draw(w, w) for w in WIDTHS[1:-1]]
    x = draw(4, 4)
    moved = act_on_layers(weights, biases, elements, x, leaky, unleaky)
    assert float((network(moved, biases, x) - network(weights, biases, x)).abs().max()) < 1e-12
    assert float((moved[0] - weights[0]).abs().max()) > 1e-4


def published(weights, elements, x, exact_inverse, new_activations):
    """The same with ``I - T`` for the inverse, or with activations of the old weights: what was published."""
    new, h, old_h = list(weights), x, x
    for m, g in enumerate(elements):
        source = h if new_activations else old_h
        inverse = torch.linalg.inv(g) if exact_inverse else 2 * torch.eye(len(g), dtype=torch.float64) - g
        new[m] = unleaky(g @ leaky(new[m] @ source)) @ torch.linalg.pinv(source)
        new[m + 1] = new[m + 1] @ inverse
        old_h, h = leaky(weights[m] @ old_h), leaky(new[m] @ h)
    return new


def test_the_published_versions_are_exact_to_low_order_only():
    """Old activations: first order in T. New ones with I - T: second order."""
    weights = [0.5 * draw(b, a) for a, b in pairwise(WIDTHS)]
    none, x = [None] * 4, draw(4, 4)
    errors = {}
    for size in (1e-3, 1e-2):
        elements = [torch.eye(w, dtype=torch.float64) + size * draw(w, w) for w in WIDTHS[1:-1]]
        for name, options in {"old": (False, False), "new": (False, True)}.items():
            moved = published(weights, elements, x, *options)
            errors[name, size] = float((network(moved, none, x) - network(weights, none, x)).abs().max())
    assert 5 < errors["old", 1e-2] / errors["old", 1e-3] < 20
    assert 50 < errors["new", 1e-2] / errors["new", 1e-3] < 200


def test_a_batch_above_a_width_is_refused_in_any_layer():
    weights = [draw(5, 4), draw(6, 5)]
    with pytest.raises(InputError, match="6 examples but 4 inputs of layer 1"):
        act_on_layers(weights, [None, None], [torch.eye(5, dtype=torch.float64)], draw(4, 6), leaky, unleaky)


WRONG = {
    "not square": (draw(4, 3), "expected a square matrix"),
    "another width": (draw(3, 3), "expected 4 x 4"),
    "singular": (torch.ones(4, 4, dtype=torch.float64), "singular"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_no_element_is_refused(name):
    g, words = WRONG[name]
    with pytest.raises(InputError, match=words):
        act_on_batch(draw(2, 4), draw(4, 3), g, draw(3, 2), torch.tanh)


def test_vectors_that_no_rotation_reaches():
    with pytest.raises(InputError, match="zero vector"):
        carrying(torch.zeros(3))
    with pytest.raises(InputError, match="at least two entries"):
        carrying(torch.ones(1))
