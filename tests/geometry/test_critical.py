"""Families of critical points that the exchange of units makes: counts, dimensions, points."""

from collections import Counter

import pytest
import torch

from gradlaws.errors import InputError
from gradlaws.geometry.critical import Expansion, critical_subspaces, expand, expansions, minimum_subspaces
from tests.oracles.critical_count import dimension, labellings

# r, m, G, T: Simsek et al. (2021), section 4, and by enumeration
COUNTS = [
    (1, 1, 1, 1),
    (1, 2, 1, 3),
    (1, 3, 1, 10),
    (1, 4, 1, 37),
    (2, 2, 2, 2),
    (2, 3, 6, 12),
    (2, 4, 14, 62),
    (2, 5, 30, 320),
    (3, 3, 6, 6),
    (3, 4, 36, 60),
    (3, 5, 150, 450),
    (4, 5, 240, 360),
]


@pytest.mark.parametrize(("r", "m", "critical", "minima"), COUNTS)
def test_counts_are_those_of_the_literature(r, m, critical, minima):
    assert critical_subspaces(r, m) == critical
    assert minimum_subspaces(r, m) == minima


@pytest.mark.parametrize(("r", "m"), [(1, 3), (1, 4), (2, 3), (2, 4), (3, 4)])
def test_counts_and_dimensions_are_those_of_every_labelling_written_down(r, m):
    found = labellings(r, m)
    assert minimum_subspaces(r, m) == len(found)
    assert critical_subspaces(r, m) == sum(max(labels) < r for labels in found)
    sizes = Counter(
        Expansion(
            tuple(labels.count(i) for i in range(r)),
            tuple(sorted(labels.count(i) for i in set(labels) if i >= r)),
        )
        for labels in found
    )
    assert {e: e.subspaces for e in expansions(r, m)} == sizes
    for labels in found:
        copies = tuple(labels.count(i) for i in range(r))
        zeros = tuple(sorted(labels.count(i) for i in set(labels) if i >= r))
        assert Expansion(copies, zeros).dimension(3, 2) == dimension(labels, r, 3, 2)


@pytest.mark.parametrize(("spare", "ratio"), [(0, 0.222), (1, 0.571), (2, 1.121), (3, 1.989), (5, 5.567), (10, 66.0)])
def test_wide_networks_have_more_minima_than_critical_families(spare, ratio):
    """At ten units: which of the two there are more of changes with the width."""
    found = minimum_subspaces(10, 10 + spare) / critical_subspaces(9, 10 + spare)
    assert found == pytest.approx(ratio, rel=5e-3)


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


@pytest.mark.parametrize("ask", [critical_subspaces, minimum_subspaces, expansions])
@pytest.mark.parametrize(("r", "m"), [(0, 1), (3, 2), (-1, 4)])
def test_impossible_widths_are_refused(ask, r, m):
    with pytest.raises(InputError, match=rf"a network of {r} distinct units in {m} units: expected 1 <= r <= m"):
        ask(r, m)


def test_labels_and_shapes_that_do_not_fit_are_refused():
    w, a = torch.ones(2, 3), torch.ones(1, 2)
    for labels in ([0, 0], [0, 1, -1], []):
        with pytest.raises(InputError, match="expected each of 0 to 1 at least once, and no negative number"):
            expand(w, a, labels)
    with pytest.raises(InputError, match=r"expected weights \[r, inputs\] and \[outputs, r\]"):
        expand(w, torch.ones(1, 3), [0, 1])
