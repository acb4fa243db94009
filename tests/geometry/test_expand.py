"""Points of the families of critical points that the exchange of units makes."""

import pytest
import torch

from gradlaws.errors import InputError
from gradlaws.geometry.critical import critical_subspaces, minimum_subspaces
from gradlaws.geometry.expand import expand
from tests.oracles.critical_count import labellings


@pytest.mark.parametrize(("r", "m"), [(1, 3), (1, 4), (2, 3), (2, 4), (3, 4)])
def test_every_labelling_is_counted(r, m):
    found = labellings(r, m)
    assert minimum_subspaces(r, m) == len(found)
    assert critical_subspaces(r, m) == sum(max(labels) < r for labels in found)


def test_every_point_of_a_subspace_is_the_same_function():
    generator = torch.Generator().manual_seed(0)
    w, a = torch.randn(2, 3, dtype=torch.float64), torch.randn(2, 2, dtype=torch.float64)
    x = torch.randn(3, 20, dtype=torch.float64)
    for labels in labellings(2, 4):
        wide_w, wide_a = expand(w, a, labels, generator)
        assert (wide_w.shape, wide_a.shape) == ((4, 3), (2, 4))
        torch.testing.assert_close(wide_a @ torch.tanh(wide_w @ x), a @ torch.tanh(w @ x))


def largest_slope(w, a, x, y):
    """Of half the squared error of a two-layer network."""
    w, a = w.clone().requires_grad_(), a.clone().requires_grad_()
    (((a @ torch.tanh(w @ x)) - y) ** 2).sum().div(2).backward()
    return max(w.grad.abs().max().item(), a.grad.abs().max().item())


def test_a_critical_point_stays_one_with_copies_and_not_with_zeros():
    """Targets with an error that no parameter of the small network lessens."""
    generator = torch.Generator().manual_seed(0)
    w, a, x = (torch.randn(shape, dtype=torch.float64, generator=generator) for shape in ((2, 3), (1, 2), (3, 20)))
    hidden = torch.tanh(w @ x)
    slopes = torch.cat([hidden, ((1 - hidden**2) * a.T).repeat_interleave(3, 0) * x.repeat(2, 1)])
    error = torch.randn(20, dtype=torch.float64, generator=generator)
    error -= slopes.T @ torch.linalg.lstsq(slopes.T, error).solution
    y = a @ hidden + error
    assert largest_slope(w, a, x, y) < 1e-12
    for labels in labellings(2, 4):
        slope = largest_slope(*expand(w, a, labels, generator), x, y)
        assert slope < 1e-12 if max(labels) < 2 else slope > 1e-3, labels


def test_labels_and_shapes_that_do_not_fit_are_refused():
    w, a = torch.ones(2, 3), torch.ones(1, 2)
    for labels in ([0, 0], [0, 1, -1], []):
        with pytest.raises(InputError, match="expected each of 0 to 1 at least once, and no negative number"):
            expand(w, a, labels)
    with pytest.raises(InputError, match="expected each of 0 to 1"):
        expand(w, a, ["0", "1"])
    with pytest.raises(InputError, match=r"weights are no tensors: expected \[r, inputs\]"):
        expand([1], [2], [0])
    with pytest.raises(InputError, match=r"expected weights \[r, inputs\] and \[outputs, r\]"):
        expand(w, torch.ones(1, 3), [0, 1])
