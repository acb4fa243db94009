"""Families of equal functions of wide two-layer networks, counted by writing every labelling of the units down."""

from itertools import product


def labellings(r, m):
    """Every way to make m units copies of r units, each of which occurs, or members of nameless groups of zeros."""
    seen = set()
    for row in product(range(r + m), repeat=m):
        names = {}
        canonical = tuple(x if x < r else r + names.setdefault(x, len(names)) for x in row)
        if set(range(r)) <= set(canonical):
            seen.add(canonical)
    return seen
