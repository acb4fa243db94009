"""The closure algorithm, which bounds the number of laws from above.

Work at one random point. The covectors W that annihilate all fields there are found by one elimination; iterated
brackets of random words then cut W down, level by level. Every rank found modulo p is a proved lower bound of
dim Lie, so the number of covectors left is a proved upper bound on the number of independent laws, whatever the luck.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from gradlaws.errors import TooLargeError
from gradlaws.exact import linalg
from gradlaws.exact.field import PrimeField
from gradlaws.flows.flow import Flow, Instances
from gradlaws.laws.count import Level
from gradlaws.progress import Progress

"""Hears the name of a stage and the fraction of it that is done."""

SLACK = 10
"""Random brackets beyond the number needed; each failure to reach full rank costs a factor of about p."""

MAX_LEVEL = 8
"""Bracket length at which the closure gives up looking; the upper bound stays proved."""

_CHUNK_BYTES = 2**27


@dataclass(frozen=True, eq=False, slots=True)
class Closure:
    """What the closure found at one point modulo one prime.

    Args:
        upper: proved upper bound on the number of laws.
        levels: one record per bracket length.
        stagnated: the last level added nothing, so that no longer bracket is expected to.
        covectors: residues ``[D, upper]``; where stagnated, the span of the gradients of all laws at the point.
        point: the residues theta, ``[D]``.
    """

    upper: int
    levels: tuple[Level, ...]
    stagnated: bool
    covectors: Tensor
    point: Tensor


def close(
    flow: Flow, field: PrimeField, generator: torch.Generator, lower: int = 0, on_progress: Progress | None = None
) -> Closure:
    """Lie closure at a random point, by annihilators.

    The count theorem is Marcotte, Gribonval, Peyre (2023), theorem 3.3; it needs dim Lie to be locally constant, which
    holds at a generic point.

    Args:
        flow: the fields.
        field: where to compute.
        generator: source of the point and of the instances.
        lower: a proved lower bound on the number of laws; the closure stops on meeting it.
        on_progress: see Progress.

    Raises:
        TooLargeError: the elimination does not fit in memory.
    """
    refuse_if_too_large(flow.dimension)
    (point,) = flow.points(1, field, generator)
    site = _Site(flow, field, generator, point, on_progress)
    covectors, levels = torch.empty(0), list[Level]()
    remaining, gained = flow.dimension, 1
    while remaining > lower and gained and len(levels) < MAX_LEVEL + flow.extra_length:
        length, wanted = len(levels) + 1, remaining - lower + SLACK
        rows = site.brackets(length, wanted)
        if levels:
            rows = field.matmul(rows, covectors)
        reduced = linalg.echelon(rows, field, site.rows_done(length, wanted))
        del rows
        basis, gained = reduced.nullspace(), reduced.rank
        covectors = field.matmul(covectors, basis) if levels else basis
        remaining -= gained
        levels.append(Level(length, wanted, gained, remaining))
    return Closure(remaining, tuple(levels), gained == 0, covectors, point)


def bracket(flow: Flow, word: list[Instances], point: Tensor, field: PrimeField) -> Tensor:
    """The bracket ``[X_k, [..., [X_2, X_1]]]`` at jets of the state.

    Args:
        flow: the fields.
        word: instances ``s_1, ..., s_k``, each a batch.
        point: coefficients ``[2**m, batch, D]``.
        field: where to compute.

    Returns:
        Coefficients ``[2**m, batch, D]``; ``[X, Y] = DY X - DX Y``.
    """
    *shorter, last = word
    head = flow.velocity(point, last, field)
    if not shorter:
        return head
    half = len(point)
    inner = bracket(flow, shorter, torch.cat([point, head]), field)
    across = flow.velocity(torch.cat([point, inner[:half]]), last, field)
    return field.reduce(inner[half:] - across[half:])


def refuse_if_too_large(dimension: int) -> None:
    """Raise TooLargeError, with the estimate, when a dense elimination of this dimension cannot fit in memory."""
    need, have = memory_needed(dimension), memory_total()
    if need > have:
        raise TooLargeError(
            f"counting all laws of {dimension} parameters needs about {need / 2**30:.1f} GiB and this machine has "
            f"{have / 2**30:.1f} GiB: count a narrower network of the same shape, or list the structured laws with "
            "`gradlaws laws`, which works at any size"
        )


def fits(dimension: int) -> bool:
    """Whether the closure of a state space of this dimension fits in the memory of this machine."""
    return memory_needed(dimension) <= memory_total()


def memory_needed(dimension: int) -> int:
    """Bytes that the closure takes at its peak: about three dense float64 matrices."""
    return 3 * 8 * dimension**2


def memory_total() -> int:
    """Bytes of physical memory."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


@dataclass(frozen=True, eq=False, slots=True)
class _Site:
    """Where the closure works."""

    flow: Flow
    field: PrimeField
    generator: torch.Generator
    point: Tensor
    on_progress: Progress | None

    def brackets(self, length: int, count: int) -> Tensor:
        """Brackets of `count` random words, ``[count, D]``, a chunk at a time."""
        dimension = len(self.point)
        chunk = max(1, _CHUNK_BYTES // (8 * 6 * 4 ** (length - 1) * self.flow.footprint))
        rows = self.point.new_empty(count, dimension)
        for start in range(0, count, chunk):
            batch = min(chunk, count - start)
            points = self.point.expand(batch, -1)
            word = [self.flow.draw(points, self.field, self.generator) for _ in range(length)]
            rows[start : start + batch] = bracket(self.flow, word, points.unsqueeze(0), self.field)[0]
            if self.on_progress:
                self.on_progress(f"brackets of length {length}", (start + batch) / count)
        return rows

    def rows_done(self, length: int, total: int) -> Callable[[int], None] | None:
        """Turns 'so many rows finished' into a fraction of the elimination."""
        listener, done = self.on_progress, 0
        if listener is None:
            return None

        def count(rows: int) -> None:
            nonlocal done
            done += rows
            listener(f"elimination {length}", done / total)

        return count
