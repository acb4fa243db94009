"""Ways to read the axes of tensors: whole, in equal parts (fused projections), folded (heads that share a key)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace

from gradlaws.laws.contraction import Contraction
from gradlaws.models.family import Shapes

_MOST_PARTS = 4
Groups = dict[int, list[Contraction]]
"""Pieces by the number of indices that stay, most first."""


def axes(state: Shapes) -> list[Contraction]:
    """Every axis of every tensor but those of length one; of a single number its first."""
    every = []
    for name, shape in state.items():
        long = [axis for axis, length in enumerate(shape) if length > 1] or [0]
        every += [Contraction(name, axis, len(shape)) for axis in long]
    return every


def whole(pieces: Iterable[Contraction], state: Shapes) -> Groups:
    """The pieces themselves."""
    groups: Groups = defaultdict(list)
    for piece in pieces:
        groups[piece.length(state[piece.tensor])].append(piece)
    return _sorted(groups)


def parted(pieces: Iterable[Contraction], partners: Iterable[Contraction], state: Shapes) -> Groups:
    """Equal parts of pieces that are as long as some partner, and after all partners of that length."""
    groups = whole(partners, state)
    parts: Groups = defaultdict(list)
    for piece in pieces:
        length = piece.length(state[piece.tensor])
        for count in range(2, _MOST_PARTS + 1):
            size = length // count
            if piece.whole and length % count == 0 and size in groups:
                parts[size] += [replace(piece, start=start, stop=start + size) for start in range(0, length, size)]
    return _sorted({size: groups[size] + found for size, found in parts.items()})


def folded(pieces: Iterable[Contraction], state: Shapes) -> Groups:
    """Pieces and their folds, as long as some piece or half as long as one."""
    groups = whole(pieces, state)
    targets = {n for n in set(groups) | {n // 2 for n in groups if n % 2 == 0} if n > 1}
    folds: Groups = defaultdict(list)
    for length, group in groups.items():
        for kept in targets:
            if length > kept and length % kept == 0:
                folds[kept] += [
                    replace(piece, fold=(kept // stride, length // kept, stride))
                    for piece in group
                    for stride in divisors(kept)
                ]
    return _sorted({size: groups.get(size, []) + found for size, found in folds.items()})


def total(piece: Contraction, state: Shapes) -> Contraction:
    """All of a piece in one."""
    return replace(piece, fold=(1, piece.length(state[piece.tensor]), 1))


def blocks(piece: Contraction, count: int, state: Shapes) -> Contraction:
    """A piece as so many equal runs."""
    return replace(piece, fold=(count, piece.length(state[piece.tensor]) // count, 1))


def divisors(n: int) -> list[int]:
    """In increasing order."""
    return [d for d in range(1, n + 1) if n % d == 0]


def _sorted(groups: Groups) -> Groups:
    return dict(sorted(groups.items(), reverse=True))
