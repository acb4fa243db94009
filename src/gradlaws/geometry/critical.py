"""How many critical manifolds the permutation symmetry of hidden units makes (Simsek et al. 2021).

A minimum of a two-layer network with r distinct units, written with m >= r units, becomes a union of affine subspaces:
units may be copied, their outgoing weights adding up to the original, and groups of equal units may be added whose
outgoing weights cancel. Critical points of a smaller network give such subspaces too, without the groups that cancel.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from itertools import combinations
from math import comb, factorial, prod

from gradlaws.errors import InputError


@dataclass(frozen=True, slots=True)
class Subspaces:
    """Some of the subspaces of an expansion manifold, all of one dimension.

    Args:
        count: how many.
        copies: sizes of the groups of copies of the r units, descending.
        cancelling: sizes of the groups that cancel, descending.
        dimension: of each.
    """

    count: int
    copies: tuple[int, ...]
    cancelling: tuple[int, ...]
    dimension: int


def critical_subspaces(r: int, m: int) -> int:
    """G(r, m): subspaces of critical points of width m that one irreducible critical point of width r makes.

    The ways to send m units onto r: ``sum_i (-1)^(r - i) C(r, i) i^m``, each of dimension m - r.

    Raises:
        InputError: not 1 <= r <= m.
    """
    _check(r, m)
    return _surjections(r, m)


def minimum_subspaces(r: int, m: int) -> int:
    """T(r, m): subspaces that make up all global minima of width m, where r units are needed.

    ``sum_u C(m, u) G(r, m - u) B_u``, with u units in groups that cancel and Bell's number of ways to group them. The
    activation is taken to have no further symmetry: tanh and other odd or even ones have more.

    Raises:
        InputError: not 1 <= r <= m.
    """
    _check(r, m)
    return sum(comb(m, u) * _surjections(r, m - u) * _bell(u) for u in range(m - r + 1))


def expansion_manifold(r: int, m: int, inputs: int, outputs: int) -> list[Subspaces]:
    """The subspaces of T(r, m) by the sizes of their groups.

    With j groups that cancel a subspace has dimension ``(m - r - j) outputs + j inputs``.

    Args:
        r: units that are needed.
        m: units that there are.
        inputs: incoming weights of a unit, its bias included.
        outputs: outgoing weights of a unit.
    """
    _check(r, m)
    if inputs < 1 or outputs < 1:
        raise InputError(f"units with {inputs} incoming and {outputs} outgoing weights: expected at least 1 of each")
    found = []
    for u in range(m - r + 1):
        for copies in _partitions(m - u, r):
            for j in range(u + 1):
                for groups in _partitions(u, j):
                    ways = factorial(m) // prod(map(factorial, (*copies, *groups)))
                    ways = ways * _arrangements(copies) // _repeated(groups)
                    found.append(Subspaces(ways, copies, groups, (m - r - j) * outputs + j * inputs))
    return found


def layered(needed: list[int], widths: list[int]) -> tuple[int, int]:
    """Products of G and of T over the hidden layers of a deeper network."""
    if len(needed) != len(widths) or not widths:
        raise InputError(f"{len(needed)} and {len(widths)} hidden layers: expected as many needed as actual widths")
    pairs = list(zip(needed, widths, strict=True))
    return prod(critical_subspaces(*p) for p in pairs), prod(minimum_subspaces(*p) for p in pairs)


def _surjections(r: int, m: int) -> int:
    return sum((-1) ** (r - i) * comb(r, i) * i**m for i in range(r + 1))


@cache
def _bell(u: int) -> int:
    """Ways to split u things into groups."""
    return 1 if u == 0 else sum(comb(u - 1, k) * _bell(k) for k in range(u))


def _partitions(total: int, parts: int) -> list[tuple[int, ...]]:
    """Descending sums of so many positive numbers."""
    if parts == 0:
        return [()] if total == 0 else []
    cuts = combinations(range(1, total), parts - 1)
    sums = {tuple(sorted((b - a for a, b in zip((0, *c), (*c, total), strict=True)), reverse=True)) for c in cuts}
    return sorted(sums, reverse=True)


def _repeated(groups: tuple[int, ...]) -> int:
    return prod(factorial(groups.count(size)) for size in set(groups))


def _arrangements(groups: tuple[int, ...]) -> int:
    """Orders of sizes in which equal ones do not count."""
    return factorial(len(groups)) // _repeated(groups)


def _check(r: int, m: int) -> None:
    if not (isinstance(r, int) and isinstance(m, int) and 1 <= r <= m):
        raise InputError(f"r = {r} and m = {m}: expected whole numbers with 1 <= r <= m")
