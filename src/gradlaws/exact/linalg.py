"""Rank, nullspace and solutions of linear systems over a prime field, by blocked elimination on BLAS.

Elimination splits the rows in two halves, eliminates the upper one, subtracts it from the lower one by one exact matrix
product, and eliminates the rest: nearly all the work is ``float64`` matrix multiplication. Only strips of `LEAF` rows
meet scalar code, and only in a window of columns just wide enough to hold their pivots.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from gradlaws.errors import InputError
from gradlaws.exact.field import PrimeField

LEAF = 32
"""Rows per strip: 16 and 32 are equally fast from 1000 rows on, 64 and more are slower (benchmarks/elimination.py)."""


@dataclass(frozen=True, eq=False, slots=True)
class Echelon:
    """Reduced row echelon form of a matrix with `columns` columns: row i reads ``x[pivots[i]] + block[i] @ x[free]``.

    Args:
        pivots: pivot columns, ``[rank]``, in the order in which they were met.
        free: the other columns, ``[columns - rank]``, ascending.
        block: residues, ``[rank, columns - rank]``.
        field: the field of the residues.
    """

    pivots: Tensor
    free: Tensor
    block: Tensor
    field: PrimeField

    @property
    def rank(self) -> int:
        """Number of independent rows."""
        return len(self.pivots)

    def nullspace(self) -> Tensor:
        """Basis of the right nullspace, ``[columns, columns - rank]``; identity on the free columns."""
        basis = self.block.new_zeros(self.rank + len(self.free), len(self.free))
        basis[self.pivots] = self.field.reduce(-self.block)
        basis[self.free, torch.arange(len(self.free), device=basis.device)] = 1.0
        return basis


def echelon(matrix: Tensor, field: PrimeField, on_rows: Callable[[int], None] | None = None) -> Echelon:
    """Reduced row echelon form of residues ``[rows, columns]``; `on_rows` hears how many rows were just finished."""
    rows = len(matrix)
    if rows <= LEAF:
        result = _strip(matrix, field)
        if on_rows:
            on_rows(rows)
        return result
    half = max(LEAF, rows // 2 // LEAF * LEAF)
    return extend(echelon(matrix[:half], field, on_rows), matrix[half:], field, on_rows)


def extend(found: Echelon, rows: Tensor, field: PrimeField, on_rows: Callable[[int], None] | None = None) -> Echelon:
    """The echelon form of more rows ``[more, columns]`` below those that were eliminated already.

    Only ``rank (columns - rank)`` numbers are kept, a quarter of a square matrix at most: rows may come in batches.
    """
    rest = field.reduce(rows[:, found.free] - field.matmul(rows[:, found.pivots], found.block))
    return _join(found, echelon(rest, field, on_rows), field)


def rank(matrix: Tensor, field: PrimeField) -> int:
    """Rank modulo p of residues ``[rows, columns]``; at most the rank over the rationals of any integer lift."""
    return echelon(matrix, field).rank


def nullspace(matrix: Tensor, field: PrimeField) -> Tensor:
    """Basis of ``{x : matrix @ x = 0}``, ``[columns, nullity]``."""
    return echelon(matrix, field).nullspace()


def solve(matrix: Tensor, right: Tensor, field: PrimeField) -> Tensor:
    """One solution x ``[columns, k]`` of ``matrix @ x = right``, with zeros on the free columns.

    Raises:
        InputError: there is no solution.
    """
    columns = matrix.shape[1]
    augmented = echelon(torch.cat([matrix, right], dim=1), field)
    if augmented.rank and int(augmented.pivots.max()) >= columns:
        raise InputError("the linear system has no solution modulo the prime: check the right-hand side")
    x = matrix.new_zeros(columns, right.shape[1])
    x[augmented.pivots] = augmented.block[:, augmented.free >= columns]
    return x


def _join(upper: Echelon, lower: Echelon, field: PrimeField) -> Echelon:
    """Echelon form of two stacked blocks; the lower one lives on the free columns of the upper one."""
    block = upper.block[:, lower.free]
    if lower.rank and upper.rank:
        block = field.reduce(block - field.matmul(upper.block[:, lower.pivots], lower.block))
    return Echelon(
        torch.cat([upper.pivots, upper.free[lower.pivots]]),
        upper.free[lower.free],
        torch.cat([block, lower.block]),
        field,
    )


def _strip(rows: Tensor, field: PrimeField) -> Echelon:
    """Echelon form of a few rows: pivots are sought in a window of nonzero columns, then applied to all at once."""
    columns = torch.arange(rows.shape[1], device=rows.device)
    found = Echelon(columns[:0], columns, rows[:0], field)
    while len(rows) and rows.shape[1]:
        nonzero = rows.ne(0).any(0).nonzero().squeeze(1)
        if not len(nonzero):
            break
        window = nonzero[: 2 * len(rows)]
        pivots, transform = _window(rows[:, window].cpu().numpy(), field.prime)
        moved = field.matmul(torch.from_numpy(transform).to(rows.device), rows)
        chosen = window[torch.from_numpy(pivots).to(rows.device)]
        kept = torch.ones_like(columns[: rows.shape[1]], dtype=torch.bool)
        kept[chosen] = False
        free = kept.nonzero().squeeze(1)
        found = _join(found, Echelon(chosen, free, moved[: len(chosen)][:, free], field), field)
        rows = moved[len(chosen) :][:, free]
    return found


def _window(a: np.ndarray, prime: int) -> tuple[np.ndarray, np.ndarray]:
    """Gauss-Jordan on a small window.

    Returns:
        Pivot columns ``[r]`` and an invertible transform ``[rows, rows]`` whose product with the window has the
        identity on the pivot columns in its first r rows and zeros in the others.
    """
    rows, width = a.shape
    work = np.concatenate([a, np.eye(rows)], axis=1)
    pivots: list[int] = []
    for column in range(width):
        r = len(pivots)
        if r == rows:
            break
        hits = np.flatnonzero(work[r:, column])
        if not len(hits):
            continue
        work[[r, r + hits[0]]] = work[[r + hits[0], r]]
        work[r] = work[r] * pow(int(work[r, column]), -1, prime) % prime
        factor = work[:, column].copy()
        factor[r] = 0.0
        work -= np.outer(factor, work[r])
        np.remainder(work, prime, out=work)
        pivots.append(column)
    return np.array(pivots, dtype=np.int64), work[:, width:]
