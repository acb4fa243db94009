"""Bases that a person would write: rational, with few nonzero entries."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from fractions import Fraction
from itertools import combinations

import torch
from torch import Tensor

from gradlaws.exact import linalg
from gradlaws.exact.field import PrimeField
from gradlaws.exact.rational import reconstruct

Vector = dict[int, Fraction]
"""The entries that are not zero."""

_ROUNDS, _MOST = 4, 4


def by_support(rows: Tensor, owner: Tensor, field: PrimeField) -> Tensor:
    """A basis of the same space made of vectors that live on few groups of entries, those on the fewest first.

    Args:
        rows: independent residues ``[count, length]``.
        owner: the group of each entry ``[length]``.
        field: of the residues.
    """
    every = rows
    rows, owner = rows[:, rows.any(0)], owner[rows.any(0)]
    groups = [int(g) for g in owner.unique()]
    seen = {g: _reduced(rows[:, owner == g].T, field) for g in groups}
    supports = {tuple(g for g in groups if row[owner == g].any()) for row in rows}
    subsets = {
        s for support in supports for n in range(1, min(len(support), _MOST) + 1) for s in combinations(support, n)
    }
    chosen = rows[:0, : len(rows)]
    for subset in sorted(subsets | supports, key=lambda s: (len(s), s[-1] - s[0], s)):
        outside = torch.cat([rows.new_zeros(0, len(rows)), *(seen[g] for g in groups if g not in subset)])
        inside = linalg.nullspace(outside, field)
        if not inside.shape[1]:
            continue
        for x in _reduced(torch.cat([field.matmul(inside.T, rows), inside.T], 1), field)[:, -len(rows) :]:
            more = torch.cat([chosen, x.unsqueeze(0)])
            if linalg.rank(more, field) == len(more):
                chosen = more
        if len(chosen) == len(rows):
            break
    return field.matmul(chosen, every)


def _reduced(rows: Tensor, field: PrimeField) -> Tensor:
    """Independent rows of the same span, reduced, in the order of their leading entries."""
    found = linalg.echelon(rows, field)
    reduced = rows.new_zeros(found.rank, rows.shape[1])
    reduced[torch.arange(found.rank), found.pivots] = 1.0
    reduced[:, found.free] = found.block
    return reduced[found.pivots.argsort()]


def rational(rows: Tensor, field: PrimeField, largest: int = 64) -> list[Vector] | None:
    """Sparse rational vectors with these residues ``[count, length]``; None where an entry is no small fraction."""
    found: list[Vector] = [{} for _ in range(len(rows))]
    known: dict[float, Fraction] = {}
    places = rows.nonzero().tolist()
    for value in rows.unique().tolist():
        lifted = reconstruct(int(value), field.prime)
        if lifted is None or max(abs(lifted.numerator), lifted.denominator) > largest:
            return None
        known[value] = lifted
    for (i, j), value in zip(places, rows[rows != 0].tolist(), strict=True):
        found[i][j] = known[value]
    return found


def sparser(vectors: list[Vector], group: Callable[[int], int] | None = None) -> list[Vector]:
    """The same span; multiples of one vector are added to another as long as that makes it shorter.

    Args:
        vectors: independent.
        group: which of some groups an entry belongs to; to meet fewer of them counts more than to have fewer entries.
    """
    vectors = [dict(v) for v in vectors]
    for _ in range(_ROUNDS):
        changed = [shorten(v, w, group) for v in vectors for w in vectors if v is not w]
        if not any(changed):
            break
    return vectors


def shorten(v: Vector, w: Vector, group: Callable[[int], int] | None = None) -> bool:
    """Subtract from v the multiple of w that makes it shortest, if that makes it shorter."""
    ratios = Counter(v[k] / c for k, c in w.items() if k in v)
    if not ratios:
        return False
    factor, _ = ratios.most_common(1)[0]
    new = {k: x for k in {**v, **w} if (x := v.get(k, Fraction(0)) - factor * w.get(k, Fraction(0)))}
    if _length(new, group) >= _length(v, group):
        return False
    v.clear()
    v.update(new)
    return True


def _length(v: Vector, group: Callable[[int], int] | None) -> tuple[int, int]:
    return len({group(k) for k in v}) if group else 0, len(v)


def dense(vectors: list[Vector], length: int, field: PrimeField) -> Tensor:
    """Residues ``[count, length]``."""
    rows = torch.zeros(len(vectors), length, dtype=torch.float64)
    for i, v in enumerate(vectors):
        for k, c in v.items():
            rows[i, k] = field.residue(c)
    return rows
