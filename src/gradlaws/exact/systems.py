"""Small linear systems without division, over anything that adds and multiplies: jets, polynomials."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def cramer(matrix: Sequence[Sequence[Any]], right: Sequence[Any]) -> tuple[list[Any], Any]:
    """Numerators and common denominator of the solution x of ``matrix @ x = right``.

    The denominator is the determinant; where it vanishes the numerators are still ``adjugate @ right``.
    """
    numerators = []
    for k in range(len(matrix)):
        replaced = [[*row[:k], b, *row[k + 1 :]] for row, b in zip(matrix, right, strict=True)]
        numerators.append(determinant(replaced))
    return numerators, determinant(matrix)


def determinant(matrix: Sequence[Sequence[Any]]) -> Any:
    """By expansion along the rows, each minor once: 2**n of them."""
    size, minors = len(matrix), dict[int, Any]()
    for row in range(size - 1, -1, -1):
        minors = {
            columns: _expanded(matrix[row], columns, minors)
            for columns in range(1 << size)
            if columns.bit_count() == size - row
        }
    return minors[(1 << size) - 1]


def _expanded(row: Sequence[Any], columns: int, minors: dict[int, Any]) -> Any:
    """The minor of these columns from those with one column less."""
    chosen = [k for k in range(len(row)) if columns >> k & 1]
    if len(chosen) == 1:
        return row[chosen[0]]
    total = row[chosen[0]] * minors[columns & ~(1 << chosen[0])]
    for place, k in enumerate(chosen[1:], 1):
        term = row[k] * minors[columns & ~(1 << k)]
        total = total - term if place % 2 else total + term
    return total
