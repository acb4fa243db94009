"""Closed forms for linear networks without biases (reference sheet 2.5): G(n), and what narrow segments add to it."""

from __future__ import annotations

from itertools import pairwise


def balance_laws(widths: tuple[int, ...]) -> int:
    """G(n): how many of the balance laws are independent."""
    total = 0
    for before, width, after in zip(widths, widths[1:], widths[2:], strict=False):
        spare = max(0, width - before - after)
        total += width * (width + 1) // 2 - spare * (spare + 1) // 2
    return total


def all_laws(widths: tuple[int, ...]) -> int:
    """G(n) + sum over segments of (D_seg - 1 - G(seg)).

    A segment lies between two neighbouring layers of width 1, at least 3 indices apart: it moves along one field.
    """
    total = balance_laws(widths)
    narrow = [i for i, width in enumerate(widths) if width == 1]
    for start, end in pairwise(narrow):
        if end - start >= 3:
            segment = widths[start : end + 1]
            total += sum(a * b for a, b in pairwise(segment)) - 1 - balance_laws(segment)
    return total
