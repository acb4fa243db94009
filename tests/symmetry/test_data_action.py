"""The actions of Zhao et al. on one batch: exact where their condition holds, refused where it does not."""

import math
from itertools import pairwise, product

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
    still = act_on_batch(u, v, torch.eye(6, dtype=torch.float64), x, torch.tanh)
    assert all(torch.allclose(a, b, atol=1e-13) for a, b in zip(still, (u, v), strict=True))
    published = u @ torch.tanh(v @ x) @ torch.linalg.pinv(torch.tanh(moved[1] @ x))
    assert torch.allclose(published, moved[0], atol=1e-9) == (k == 6)  # it forgets what fewer examples do not see


def test_a_larger_batch_is_refused_for_it_would_change():
    u, v, x = draw(2, 6), draw(6, 8), draw(8, 7)
    g = torch.eye(6, dtype=torch.float64) + 0.1 * draw(6, 6)
    with pytest.raises(InputError, match="7 examples but 6 hidden units: the outputs stay on at most as many"):
        act_on_batch(u, v, g, x, torch.tanh)
    old, new = torch.tanh(v @ x), torch.tanh(g @ v @ x)
    changed = u @ old @ torch.linalg.pinv(new) @ new - u @ old
    assert 1e-3 < float(changed.norm() / (u @ old).norm()) < 1e-1  # what the refusal prevents
    outside = torch.eye(7, dtype=torch.float64) - torch.linalg.pinv(new) @ new
    assert torch.allclose(changed, -u @ old @ outside, atol=1e-12)  # Zhao et al. 2025, Proposition 6.1
    assert float(changed.norm()) <= float((u @ old).norm())


@pytest.mark.parametrize(("size", "change"), [(0.01, 0.006), (0.1, 0.06)])
def test_the_published_batches_are_much_too_large(size, change):
    """200 images through 16 units, as in the study of optimizers: outputs move by 0.6 % and 6 %.

    Gaussian data; the action here refuses.
    """
    x, v, u = draw(784, 200), draw(16, 784) / 28, draw(10, 16) / 4
    g = torch.eye(16, dtype=torch.float64) + size * draw(16, 16) / 4
    old, new = leaky(v @ x), leaky(g @ v @ x)
    moved = u @ old @ torch.linalg.pinv(new) @ new
    assert 0.7 * change < float((moved - u @ old).norm() / (u @ old).norm()) < 1.4 * change
    with pytest.raises(InputError, match="200 examples but 16 hidden units"):
        act_on_batch(u, v, g, x, leaky)


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
    still = act_on_layers(weights, biases, [torch.eye(w, dtype=torch.float64) for w in WIDTHS[1:-1]], x, leaky, unleaky)
    assert all(torch.allclose(a, b, atol=1e-13) for a, b in zip(still, weights, strict=True))
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


def relative(weights, moved, x):
    none = [None] * len(weights)
    out = network(weights, none, x)
    return float((network(moved, none, x) - out).norm() / out.norm())


def test_the_published_versions_are_exact_to_low_order_only():
    """Old activations: first order in T, 9e-4 at 1e-3. New ones with I - T: second, 1.2e-5 at 1e-3, 1.2e-3 at 1e-2."""
    errors = {}
    for size, seed in product((1e-3, 1e-2), range(6)):
        weights, x = [draw(b, a, seed=seed) for a, b in pairwise(WIDTHS)], draw(4, 4, seed=seed)
        elements = [torch.eye(w, dtype=torch.float64) + size * draw(w, w, seed=seed) for w in WIDTHS[1:-1]]
        found = {
            "old": published(weights, elements, x, False, False),
            "new": published(weights, elements, x, False, True),
            "exact": act_on_layers(weights, [None] * 4, elements, x, leaky, unleaky),
        }
        for name, moved in found.items():
            errors.setdefault((name, size), []).append(relative(weights, moved, x))
    middle = {key: sorted(values)[3] for key, values in errors.items()}
    assert 3e-4 < middle["old", 1e-3] < 3e-3
    assert 4e-6 < middle["new", 1e-3] < 4e-5
    assert 4e-4 < middle["new", 1e-2] < 4e-3
    assert 5 < middle["old", 1e-2] / middle["old", 1e-3] < 20
    assert 50 < middle["new", 1e-2] / middle["new", 1e-3] < 200
    assert max(*errors["exact", 1e-3], *errors["exact", 1e-2]) < 5e-14


def test_the_published_gradient_is_no_gradient():
    """With respect to moved weights of which one was computed from another, autograd adds what passes there."""
    weights, x = [draw(b, a).requires_grad_() for a, b in pairwise(WIDTHS)], draw(4, 4)
    elements = [torch.eye(w, dtype=torch.float64) for w in WIDTHS[1:-1]]
    moved = published(weights, elements, x, True, True)
    alone = [w.detach().requires_grad_() for w in moved]
    sizes = []
    for layers in (moved, alone):
        slopes = torch.autograd.grad(network(layers, [None] * 4, x).square().sum(), layers)
        sizes.append([float(s.square().sum()) for s in slopes])
    assert sizes[0][-1] == pytest.approx(sizes[1][-1])
    assert abs(sizes[0][0] / sizes[1][0] - 1) > 0.05


def test_a_batch_of_six_through_five_units_changes_even_with_true_inverses():
    """3e-3 at 1e-3: the reason for the refusal."""
    weights, x = [draw(b, a) for a, b in pairwise([4, 5, 6, 7, 8])], draw(4, 6)
    elements = [torch.eye(w, dtype=torch.float64) + 1e-3 * draw(w, w) for w in WIDTHS[1:-1]]
    changed = relative(weights, published(weights, elements, x, True, True), x)
    assert changed > 1e-4
    with pytest.raises(InputError, match="6 examples but 4 inputs of layer 1"):
        act_on_layers(weights, [None] * 4, elements, x, leaky, unleaky)


def published_rotation(z):
    """Every angle by arccos, entries as printed: the sign of the last coordinate is lost."""
    h, size = len(z), float(z.norm())
    angles = [0.0] + [float(torch.acos(z[i] / z[i:].norm())) for i in range(h - 1)] + [0.0]
    r = torch.zeros(h, h, dtype=torch.float64)
    for i in range(h):
        for j in range(i + 1):
            sines = math.prod(math.sin(angles[k]) for k in range(j + 1, i + 1))
            r[i, j] = size * math.cos(angles[j]) * sines * math.cos(angles[i + 1])
        if i + 1 < h:
            r[i, i + 1] = -size * math.sin(angles[i + 1])
    return r


def test_the_published_rotation_is_right_for_positive_last_entries_only():
    z = torch.tensor([0.4, -0.3, 0.8, 0.2], dtype=torch.float64)
    r = published_rotation(z)
    assert torch.allclose(r[:, 0], z)
    assert torch.allclose(r @ r.mT, float(z.norm()) ** 2 * torch.eye(4, dtype=torch.float64))
    z[-1] = -0.2
    assert torch.allclose(published_rotation(z)[:, 0], z.abs().where(torch.arange(4) == 3, z))
    assert torch.allclose(carrying(z)[:, 0], z)
    assert bool(published_rotation(torch.tensor([1.0, 0, 0]).double()).isnan().any())  # 0/0


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
