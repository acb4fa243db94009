"""Betti numbers of invariant sets: enumeration of all subsets, Morse theory, closed forms, and bounds."""

from collections import Counter
from itertools import combinations

import numpy as np
import pytest
import torch

from gradlaws.errors import InputError
from gradlaws.geometry import betti
from gradlaws.geometry.betti import betti_numbers, by_cuts, invariant_betti
from gradlaws.geometry.components import frozen_places
from gradlaws.geometry.cuts import Cuts, minimal_cuts
from gradlaws.laws.count import Status
from tests.oracles.slow_betti import betti_by_cells, betti_by_subsets, critical_points, flow_equations


def imbalanced(*layers):
    return [torch.tensor(c, dtype=torch.float64) for c in layers]


def asked(widths, bias, values):
    """Arguments of invariant_betti."""
    biased = [bias] * (len(widths) - 1)
    return widths, biased, values, [place[:3] for place in frozen_places(widths, biased, values)]


def dense(polynomial):
    return tuple(polynomial[k] for k in range(max(polynomial) + 1))


def euler(numbers):
    return sum((-1) ** k * b for k, b in enumerate(numbers))


SMALL = {
    "two layers": ((2, 2, 1), False, imbalanced([2.0, -1.0])),
    "two layers with biases": ((1, 2, 1), True, imbalanced([0.5, -1.0])),
    "a cone": ((2, 2, 1), False, imbalanced([0.0, -1.0])),
    "below a swallowing unit": ((1, 2, 2, 1), False, imbalanced([-1.0, -0.3], [0.7, 0.4])),
    "more is swallowed than shed": ((1, 2, 2, 1), False, imbalanced([-1.0, 0.3], [0.7, 0.8])),
    "all of it": ((1, 2, 2, 1), False, imbalanced([-1.0, -0.5], [1.5, 0.2])),
    "exactly as much": ((1, 2, 2, 1), False, imbalanced([-1.0, -0.5], [1.0, 0.5])),
    "a still unit in the middle": ((1, 2, 2, 1), False, imbalanced([0.0, -0.5], [0.2, -0.5])),
    "a cone of everything": ((1, 2, 1, 1), False, imbalanced([0.0, 0.0], [0.0])),
    "biases in the middle": ((1, 1, 2, 1), True, imbalanced([-1.0], [0.7, 0.6])),
    "single units": ((1, 1, 1, 1), False, imbalanced([-1.0], [2.0])),
    "a bottleneck": ((2, 2, 1, 2), False, imbalanced([-1.0, 0.4], [0.8])),
    "two outputs": ((2, 1, 2, 2), False, imbalanced([-1.0], [0.4, 0.3])),
}


@pytest.mark.parametrize("name", SMALL)
def test_they_are_those_of_every_subset_of_weights(name):
    found = invariant_betti(*asked(*SMALL[name]))
    widths, bias, values = SMALL[name]
    assert found.numbers == betti_by_subsets(widths, [bias] * (len(widths) - 1), values)
    assert found.status is Status.PROVED
    assert found.numbers[0] == 2 ** len(asked(*SMALL[name])[3])


def test_a_deep_example_that_is_no_product_of_spheres():
    found = invariant_betti(*asked(*SMALL["below a swallowing unit"]))
    assert found.numbers == (1, 37, 4)
    assert found.numbers == betti_by_subsets((1, 2, 2, 1), [False] * 3, SMALL["below a swallowing unit"][2])
    around_units = [2, 2, 2, 2]  # as if only weights around single units could not vanish together
    assert found.numbers != dense(betti._spheres(around_units))


GENERIC = {
    "two layers": ((2, 1, 2), False, imbalanced([2.0])),
    "two layers with biases": ((1, 2, 1), True, imbalanced([0.5, -1.0])),
    "below a swallowing unit": ((1, 2, 2, 1), False, imbalanced([-1.0, -0.3], [0.7, 0.4])),
    "more is swallowed than shed": ((1, 2, 2, 1), False, imbalanced([-1.0, 0.3], [0.7, 0.8])),
    "biases in the middle": ((1, 1, 2, 1), True, imbalanced([-1.0], [0.7, 0.6])),
    "a bottleneck": ((1, 2, 1, 2), False, imbalanced([-1.0, 0.4], [0.8])),
    "single units": ((1, 1, 1, 1), True, imbalanced([-1.0], [2.0])),
}


@pytest.mark.parametrize("name", GENERIC)
def test_they_are_those_of_the_set_itself_as_a_complex_of_cells(name):
    widths, bias, values = GENERIC[name]
    assert invariant_betti(*asked(*GENERIC[name])).numbers == betti_by_cells(widths, [bias] * len(widths), values)


LARGER = [((2, 2, 2, 1), False), ((2, 2, 2, 1), True), ((1, 2, 3, 1), False), ((1, 2, 2, 2, 1), False)]


@pytest.mark.parametrize(("widths", "bias"), LARGER)
@pytest.mark.parametrize("seed", range(3))
def test_morse_theory_agrees(widths, bias, seed):
    """Critical points of a proper function: as many, with signs, as Betti numbers, and no fewer in each index."""
    generator = torch.Generator().manual_seed(seed)
    values = [torch.randn(n, generator=generator, dtype=torch.float64) for n in widths[1:-1]]
    found = invariant_betti(*asked(widths, bias, values))
    critical = critical_points(widths, [bias] * (len(widths) - 1), values)
    assert found.exact
    assert euler(found.numbers) == euler(critical)
    assert all(b <= n for b, n in zip(found.numbers, critical, strict=False))
    assert len(found.numbers) <= flow_equations(widths, [bias] * 4, values)[0].shape[1]


@pytest.mark.parametrize("name", ["below a swallowing unit", "more is swallowed than shed", "a bottleneck"])
def test_a_wrong_cut_would_be_seen(name):
    """The planted fault: forget one minimal cut."""
    widths, bias, values = SMALL[name]
    cuts = minimal_cuts(widths, [bias] * 3, values)
    expected = betti_by_subsets(widths, [bias] * 3, values)
    assert dense(by_cuts(cuts)) == expected
    for lost in cuts.minimal:
        assert dense(by_cuts(Cuts(cuts.sizes, tuple(c for c in cuts.minimal if c != lost)))) != expected


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize(
    ("widths", "signs"),
    [((3, 4, 2), "±"), ((2, 3, 3, 2), "+±"), ((2, 3, 2, 1), "±-"), ((2, 2, 2, 2, 3), "+±-"), ((2, 2, 3, 2), "++")],
)
def test_where_nothing_sheds_below_it_is_a_product_of_spheres(widths, signs, bias):
    generator = torch.Generator().manual_seed(1)
    values = [torch.randn(n, generator=generator, dtype=torch.float64) for n in widths[1:-1]]
    values = [c if s == "±" else c.abs() * (1 if s == "+" else -1) for s, c in zip(signs, values, strict=True)]
    found = invariant_betti(*asked(widths, bias, values))
    assert found.numbers == dense(by_cuts(minimal_cuts(widths, [bias] * (len(widths) - 1), values)))
    assert found.evidence.startswith("a product of spheres")


def test_two_layers_are_the_published_product():
    values = imbalanced([1.0, -2.0, 3.0, -1.0])
    assert invariant_betti(*asked((3, 4, 2), True, values)).numbers == betti_numbers(4, 2, 2, 2)


MIXED = [(2, 2, 2, 1), (1, 2, 3, 1), (2, 3, 2, 2), (2, 2, 2, 2, 1), (1, 1, 2, 1), (1, 1, 1, 1, 1)]


@pytest.mark.parametrize("widths", MIXED)
@pytest.mark.parametrize("bias", [False, True])
def test_the_bounds_of_large_networks_hold_in_small_ones(monkeypatch, widths, bias):
    sharp = 0
    for seed in range(6):
        generator = torch.Generator().manual_seed(seed)
        values = [torch.randn(n, generator=generator, dtype=torch.float64) for n in widths[1:-1]]
        exact = invariant_betti(*asked(widths, bias, values))
        assert exact.exact
        with monkeypatch.context() as patched:
            patched.setattr(betti, "MOST_UNITS", 0)
            bound = invariant_betti(*asked(widths, bias, values))
        assert bound.lower[0] == exact.lower[0]
        assert len(bound.lower) <= len(exact.lower)
        assert all(a <= b for a, b in zip(bound.lower, exact.lower, strict=False))
        sharp += bound.lower == exact.lower
        assert bound.exact or (bound.numbers is None and bound.status is Status.BOUNDED)
    assert sharp


def test_large_networks_say_what_is_open():
    generator = torch.Generator().manual_seed(0)
    widths = (20, 30, 30, 1)
    values = [torch.randn(n, generator=generator, dtype=torch.float64) for n in widths[1:-1]]
    found = invariant_betti(*asked(widths, True, values))
    assert found.numbers is None
    assert found.lower[0] == 2 ** int((values[1] < 0).sum())
    assert str(found).startswith("at least b_0 = ")
    assert "BOUNDED (open: 60 hidden units, more than 14, whose signs of c have no closed form; b_0 is exact)" in str(
        found
    )


def test_many_cuts_that_meet_are_open():
    generator = torch.Generator().manual_seed(3)
    values = [torch.rand(6, generator=generator, dtype=torch.float64) * s for s in (-1, 1)]
    found = invariant_betti(*asked((2, 6, 6, 2), False, values))
    assert "minimal cuts that meet, in more than 100,000 ways; b_0 is exact" in found.evidence


@pytest.mark.parametrize("seed", range(3))
def test_the_order_of_the_cuts_does_not_matter(seed):
    generator = torch.Generator().manual_seed(seed)
    values = [torch.randn(n, generator=generator, dtype=torch.float64) for n in (3, 3)]
    cuts = minimal_cuts((2, 3, 3, 1), [True] * 3, values)
    total = Counter({0: 1})
    for part in cuts.parts():
        found = taylor(cuts, part)
        total = betti._times(total, found)
    assert by_cuts(cuts) == total


def taylor(cuts, part):
    """The slow twin: every set of cuts, and ranks of dense matrices."""
    blocks = {}
    for size in range(len(part) + 1):
        for chosen in combinations(range(len(part)), size):
            union = 0
            for i in chosen:
                union |= part[i]
            blocks.setdefault(union, {}).setdefault(size, []).append(chosen)
    found = Counter()
    for union, sizes in blocks.items():
        ranks = Counter()
        for size, columns in sizes.items():
            rows = {face: k for k, face in enumerate(sizes.get(size - 1, []))}
            matrix = np.zeros((len(rows), len(columns)))
            for j, chosen in enumerate(columns):
                for k in range(size):
                    face = chosen[:k] + chosen[k + 1 :]
                    if face in rows:
                        matrix[rows[face], j] = (-1) ** k
            ranks[size] = int(np.linalg.matrix_rank(matrix)) if rows else 0
        for size, columns in sizes.items():
            found[cuts.weight(union) - size] += len(columns) - ranks[size] - ranks[size + 1]
    return +found


def test_very_high_dimensions_are_not_listed():
    found = invariant_betti(*asked((30_000, 8, 2), True, imbalanced([1.0] * 8)))
    assert (found.lower, found.exact) == ((1,), False)
    assert "only b_0 is listed" in found.evidence


def test_bad_sizes_are_a_sentence():
    for sizes in ((0, 1, 1, 1), (2, 2.5, 1, 1), (2, 1, -1, 0)):
        with pytest.raises(InputError, match="are no sizes: expected d, e > 0 and counts >= 0"):
            betti_numbers(*sizes)


def test_minimal_cuts_do_not_contain_each_other():
    values = imbalanced([-1.0, 0.4, -0.3], [0.7, -0.2, 0.5])
    cuts = minimal_cuts((2, 3, 3, 1), [True] * 3, values)
    assert all(a & b not in (a, b) for a, b in combinations(cuts.minimal, 2))
    assert cuts.weight(sum(1 << i for i in range(len(cuts.sizes)))) == 3 * 3 + 9 + 3 + 3


def test_polynomials_have_no_negative_coefficients():
    rng = np.random.default_rng(0)
    for _ in range(20):
        cuts = Cuts((1, 2, 1, 3, 1, 1), tuple({int(rng.integers(1, 64)) for _ in range(4)}))
        found = by_cuts(
            Cuts(cuts.sizes, tuple(c for c in cuts.minimal if not any(c & d == d != c for d in cuts.minimal)))
        )
        assert all(x > 0 for x in found.values())
