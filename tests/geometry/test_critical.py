"""Counts of critical manifolds against enumeration: every assignment of units to groups, one by one."""

from collections import Counter
from itertools import product
from math import factorial

import pytest

from gradlaws.errors import InputError
from gradlaws.geometry.critical import critical_subspaces, expansion_manifold, layered, minimum_subspaces

PUBLISHED = {
    (1, 1): (1, 1),
    (1, 2): (1, 3),
    (1, 3): (1, 10),
    (1, 4): (1, 37),
    (2, 2): (2, 2),
    (2, 3): (6, 12),
    (2, 4): (14, 62),
    (2, 5): (30, 320),
    (3, 3): (6, 6),
    (3, 4): (36, 60),
    (3, 5): (150, 450),
    (4, 5): (240, 360),
}


def splits(units):
    """All ways to split a list into groups."""
    if not units:
        yield []
        return
    first, rest = units[0], units[1:]
    for groups in splits(rest):
        yield [[first], *groups]
        for i in range(len(groups)):
            yield [*groups[:i], [first, *groups[i]], *groups[i + 1 :]]


def enumerated(r, m):
    """The slow twin: each unit copies one of r, or is in a group that cancels."""
    found = Counter()
    for owners in product(range(r + 1), repeat=m):
        copies = [owners.count(k) for k in range(r)]
        if min(copies) == 0:
            continue
        left = [i for i, owner in enumerate(owners) if owner == r]
        for groups in splits(left):
            sizes = tuple(sorted(map(len, groups), reverse=True))
            found[tuple(sorted(copies, reverse=True)), sizes] += 1
    return found


@pytest.mark.parametrize("pair", PUBLISHED)
def test_published_counts(pair):
    assert (critical_subspaces(*pair), minimum_subspaces(*pair)) == PUBLISHED[pair]


@pytest.mark.parametrize("r", range(1, 7))
def test_at_the_least_width_there_are_permutations_only(r):
    assert critical_subspaces(r, r) == minimum_subspaces(r, r) == factorial(r)


@pytest.mark.parametrize(("r", "m"), [(r, m) for m in range(1, 7) for r in range(1, m + 1)])
def test_counts_are_those_of_an_enumeration(r, m):
    found = enumerated(r, m)
    assert minimum_subspaces(r, m) == sum(found.values())
    assert critical_subspaces(r, m) == sum(n for (_, groups), n in found.items() if not groups)
    listed = {(s.copies, s.cancelling): s.count for s in expansion_manifold(r, m, 3, 2)}
    assert listed == dict(found)


def test_every_subspace_has_at_least_the_extra_units_as_its_dimension():
    for piece in expansion_manifold(2, 6, 3, 1):
        groups = len(piece.cancelling)
        assert piece.dimension == (6 - 2 - groups) + 3 * groups >= 4


def test_minima_outnumber_critical_points_in_wide_networks_only():
    ratios = [minimum_subspaces(10, 10 + h) / critical_subspaces(9, 10 + h) for h in (0, 1, 2, 3, 5, 10)]
    assert ratios == pytest.approx([0.222, 0.571, 1.121, 1.989, 5.567, 66.0], rel=2e-3)


def test_layers_multiply():
    assert layered([1, 2], [2, 3]) == (1 * 6, 3 * 12)


@pytest.mark.parametrize(("r", "m"), [(0, 1), (3, 2), (1.0, 2)])
def test_bad_widths_are_refused_in_a_sentence(r, m):
    with pytest.raises(InputError, match="expected whole numbers with 1 <= r <= m"):
        critical_subspaces(r, m)


def test_bad_layers_are_refused_in_a_sentence():
    with pytest.raises(InputError, match="as many needed as actual widths"):
        layered([1], [2, 3])
    with pytest.raises(InputError, match="expected at least 1 of each"):
        expansion_manifold(1, 2, 0, 1)
