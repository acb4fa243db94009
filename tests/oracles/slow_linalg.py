"""Gaussian elimination modulo p as in a textbook, on lists of Python integers."""

from __future__ import annotations

Matrix = list[list[int]]


def reduced(matrix: Matrix, prime: int) -> tuple[Matrix, list[int]]:
    """Reduced row echelon form without zero rows, and its pivot columns."""
    rows = [[entry % prime for entry in row] for row in matrix]
    pivots: list[int] = []
    for column in range(len(rows[0]) if rows else 0):
        top = len(pivots)
        hit = next((i for i in range(top, len(rows)) if rows[i][column]), None)
        if hit is None:
            continue
        rows[top], rows[hit] = rows[hit], rows[top]
        inverse = pow(rows[top][column], -1, prime)
        rows[top] = [entry * inverse % prime for entry in rows[top]]
        for i, row in enumerate(rows):
            if i != top and (factor := row[column]):
                rows[i] = [(a - factor * b) % prime for a, b in zip(row, rows[top], strict=True)]
        pivots.append(column)
    return rows[: len(pivots)], pivots


def rank(matrix: Matrix, prime: int) -> int:
    """Number of pivots."""
    return len(reduced(matrix, prime)[1])
