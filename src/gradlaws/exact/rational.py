"""From residues back to rational numbers: Chinese remainders and rational reconstruction."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from math import gcd, isqrt, lcm, prod


def chinese_remainder(residues: Sequence[int], moduli: Sequence[int]) -> int:
    """The integer in ``[0, product of moduli)`` with the given residues; the moduli are pairwise coprime."""
    total, modulus = 0, 1
    for residue, m in zip(residues, moduli, strict=True):
        total += modulus * ((residue - total) * pow(modulus, -1, m) % m)
        modulus *= m
    return total


def reconstruct(residue: int, modulus: int) -> Fraction | None:
    """The fraction n/d with ``|n|, d <= sqrt(modulus / 2)`` congruent to the residue, or None.

    At most one such fraction exists (Wang 1981); it is found by half of the extended Euclidean algorithm.
    """
    bound = isqrt((modulus - 1) // 2)
    a, b = modulus, residue % modulus
    x, y = 0, 1
    while b > bound:
        q = a // b
        a, b, x, y = b, a - q * b, y, x - q * y
    if y == 0 or abs(y) > bound or gcd(b, abs(y)) != 1:
        return None
    return Fraction(b, y)


def reconstruct_vectors(residues: Sequence[Sequence[int]], moduli: Sequence[int]) -> list[Fraction] | None:
    """A rational vector from its residues, one sequence per modulus, or None where some entry has no small fraction."""
    modulus = prod(moduli)
    entries = [reconstruct(chinese_remainder(column, moduli), modulus) for column in zip(*residues, strict=True)]
    found = [entry for entry in entries if entry is not None]
    return found if len(found) == len(entries) else None


def primitive(vector: Sequence[Fraction]) -> tuple[int, ...]:
    """The multiple with coprime integer entries whose first nonzero entry is positive."""
    scale = lcm(*(entry.denominator for entry in vector))
    integers = [int(entry * scale) for entry in vector]
    divisor = gcd(*integers) or 1
    leading = next((entry for entry in integers if entry), 1)
    return tuple(entry // (divisor if leading > 0 else -divisor) for entry in integers)
