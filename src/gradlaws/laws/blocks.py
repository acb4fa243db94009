"""Laws of a model of any size, such as GPT-2 with all its parameters, from a handful of exact gradients.

Every axis of every tensor offers, index by index, its squared norms and its sums: whole, in equal parts or folded.
Those that share an index have equal length; a few linear equations modulo p say which combinations are conserved. A few
exact products then show how many entries of a Gram matrix are conserved too: all, or one block for each head.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from gradlaws.exact import linalg
from gradlaws.exact.field import PrimeField
from gradlaws.exact.rational import primitive, reconstruct_vectors
from gradlaws.flows.flow import Flow
from gradlaws.laws.contraction import Contraction
from gradlaws.laws.gram import GramLaw
from gradlaws.laws.law import Law
from gradlaws.laws.observe import Along, Seen, observe
from gradlaws.laws.pieces import Groups, blocks, divisors, folded, parted, total, whole
from gradlaws.laws.structured import Probe, probe
from gradlaws.laws.sums import SumLaw
from gradlaws.progress import Progress

_LARGEST = 16
_WIDENINGS = 2
Parts = tuple[tuple[Contraction, int], ...]
Bundle = tuple[Parts, int]
"""Coefficients of pieces, and how many indices they share."""


def find_block_laws(
    flow: Flow,
    field: PrimeField,
    generator: torch.Generator,
    tables: frozenset[str] = frozenset(),
    on_progress: Progress | None = None,
) -> list[Law]:
    """Linear laws of slices and sums, and quadratic laws of whole axes, equal parts or folds of them.

    What is found holds at random points modulo p and must still be confirmed.

    Args:
        flow: of any size.
        field: where to compute.
        generator: of the random points.
        tables: parameters of which one gradient moves some random rows only.
        on_progress: hears the fraction of gradients done.
    """
    seen, last = observe(flow, field, generator, on_progress)
    frozen, moving = seen.frozen_and_moving(tables)
    search = _Search(seen, field)
    sums = search.all_of(seen.sums, moving)
    squares = search.all_of(seen.norms, moving)
    laws: list[Law] = [*frozen, *(SumLaw(parts, width) for parts, width in sums)]
    heads = [_heads(bundle, last, generator, 1) for bundle in squares]
    for _ in range(_WIDENINGS):
        if any(count < width for count, (_, width) in zip(heads, squares, strict=True)):
            again = probe(flow, 1, field, generator)
            heads = [_heads(bundle, again, generator, n) for bundle, n in zip(squares, heads, strict=True)]
    for count, (parts, width) in zip(heads, squares, strict=True):
        laws.append(GramLaw(parts, width, "diagonal") if count == width else GramLaw(parts, width, "matrix", count))
    return laws


@dataclass(frozen=True, eq=False, slots=True)
class _Search:
    """Combinations of pieces that are conserved in every gradient seen."""

    seen: Seen
    field: PrimeField

    def all_of(self, kept: Along, moving: list[Contraction]) -> list[Bundle]:
        """Of whole axes, then of parts of axes, then of folds, then of blocks and totals of what is left."""
        state = self.seen.state
        found = self._solve(kept, whole(moving, state))
        for length, group in parted(_left(moving, found), moving, state).items():
            found += self._new(kept, length, _left(group, found, keep=moving), group)
        for length, group in folded(_left(moving, found), state).items():
            found += self._solve(kept, {length: _left(group, found)})
        found += self._blocks(kept, _left(moving, found))
        return found + self._totals(kept, moving, found)

    def _solve(self, kept: Along, groups: Groups) -> list[Bundle]:
        found: list[Bundle] = []
        for length, group in groups.items():
            if group:
                found += _combinations(self.seen.columns(kept, group, self.field), group, length, self.field)
        return [(self._in_order(parts), length) for parts, length in found]

    def _in_order(self, parts: Parts) -> Parts:
        """Terms as the parameters come, those of the sign of the first one first, and positive."""
        state = self.seen.state
        names = list(state)
        ordered = sorted(parts, key=lambda term: (names.index(term[0].tensor), term[0].axis, term[0].start))
        sign = 1 if ordered[0][1] > 0 else -1
        single = parts[0][0].length(state[parts[0][0].tensor]) == 1
        written = [(total(piece, state) if single and not piece.fold else piece, sign * c) for piece, c in ordered]
        return tuple(sorted(written, key=lambda term: term[1] < 0))

    def _new(self, kept: Along, length: int, group: list[Contraction], parts: list[Contraction]) -> list[Bundle]:
        """Combinations that some part of an axis enters."""
        return [
            bundle
            for bundle in self._solve(kept, {length: group})
            if any(not piece.whole and piece in parts for piece, _ in bundle[0])
        ]

    def _blocks(self, kept: Along, axes: list[Contraction]) -> list[Bundle]:
        """As many equal blocks of an axis as are conserved by themselves, such as the norms of normalised heads."""
        found: list[Bundle] = []
        for axis in axes:
            for count in reversed(divisors(axis.length(self.seen.state[axis.tensor]))[1:-1]):
                piece = blocks(axis, count, self.seen.state)
                if not bool(self.seen.columns(kept, [piece], self.field).any()):
                    found.append((((piece, 1),), count))
                    break
        return found

    def _totals(self, kept: Along, axes: list[Contraction], found: list[Bundle]) -> list[Bundle]:
        """Totals over whole tensors that are conserved, alone or as a sum or difference of two."""
        together = [{part.tensor for part, _ in parts} for parts, _ in found]
        known = {name for names in together if len(names) == 1 for name in names}
        first = {axis.tensor: axis for axis in reversed(axes) if axis.whole and axis.tensor not in known}
        pieces = [
            piece if length == 1 else total(piece, self.seen.state)
            for piece in reversed(first.values())
            for length in [piece.length(self.seen.state[piece.tensor])]
        ]
        if not pieces:
            return []
        columns = self.seen.columns(kept, pieces, self.field)
        alone: list[Bundle] = [
            (((piece, 1),), 1) for piece, column in zip(pieces, columns.T, strict=True) if not column.any()
        ]
        others = columns.any(0).nonzero().squeeze(1).tolist()
        pairs = _pairs(columns[:, others], [pieces[i] for i in others], self.field)
        return alone + [pair for pair in pairs if {part.tensor for part, _ in pair[0]} not in together]


def _left(pieces: Sequence[Contraction], found: list[Bundle], keep: Sequence[Contraction] = ()) -> list[Contraction]:
    """Pieces of axes that are in no law so far, and those to keep."""
    explained = {(part.tensor, part.axis) for parts, _ in found for part, _ in parts}
    kept = set(keep)
    return [piece for piece in pieces if piece in kept or (piece.tensor, piece.axis) not in explained]


def _pairs(columns: Tensor, pieces: list[Contraction], field: PrimeField) -> list[Bundle]:
    """Two columns that are equal or opposite."""
    known: dict[tuple[float, ...], int] = {}
    found: list[Bundle] = []
    for i, column in enumerate(columns.T):
        for sign in (1, -1):
            j = known.get(tuple(field.reduce(-sign * column).tolist()))
            if j is not None:
                found.append((((pieces[j], 1), (pieces[i], sign)), 1))
        known.setdefault(tuple(column.tolist()), i)
    return found


def _combinations(columns: Tensor, pieces: list[Contraction], length: int, field: PrimeField) -> list[Bundle]:
    """Small integer vectors of the nullspace; where unknowns outnumber equations, single pieces only."""
    if len(columns) < len(pieces) + 2:
        return [(((piece, 1),), length) for piece, column in zip(pieces, columns.T, strict=True) if not column.any()]
    found: list[Bundle] = []
    for vector in linalg.nullspace(columns, field).T.to(torch.int64).tolist():
        lifted = reconstruct_vectors([vector], [field.prime])
        if lifted is not None:
            parts = tuple((piece, c) for piece, c in zip(pieces, primitive(lifted), strict=True) if c)
            if max(abs(c) for _, c in parts) <= _LARGEST:
                found.append((parts, length))
    return found


def _heads(bundle: Bundle, probed: Probe, generator: torch.Generator, fewest: int) -> int:
    """The fewest equal diagonal blocks of a Gram matrix that are conserved, seen by one random vector.

    Entries of a matrix whose blocks stay are tried at several points: one of them may be special, as when two tokens
    are equal.
    """
    (parts, width), field = bundle, probed.field
    vector = field.random((width, 1), generator)
    rows = [(c, part.rows(probed.theta)[0], part.rows(probed.velocity)[0]) for part, c in parts]
    for heads in divisors(width)[:-1]:
        if heads < fewest or heads % fewest:
            continue
        v = vector.unflatten(0, (heads, -1))
        moved = torch.zeros_like(v)
        for c, t, x in rows:
            a, b = t.unflatten(0, (heads, -1)), x.unflatten(0, (heads, -1))
            both = field.matmul(a, field.matmul(b.mT, v)) + field.matmul(b, field.matmul(a.mT, v))
            moved = field.reduce(moved + c * field.reduce(both))
        if not bool(moved.any()):
            return heads
    return width
