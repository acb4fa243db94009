"""Floating point constants of a program as residues.

Zero, one and other numbers with few bits are themselves; any other float is a generic residue, the same for equal
floats and opposite for opposite ones. Angles become points of the circle whose integer multiples obey the addition law.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from fractions import Fraction
from math import isfinite

import torch
from torch import Tensor

from gradlaws.errors import UnsupportedError
from gradlaws.exact.field import PrimeField

MINUS_INFINITY = -1e30
"""Anything below stands for minus infinity: masks are written with -inf or with the most negative float."""

TINY = 1e-3
"""A positive constant below this, added to something or a lower bound of it, is the epsilon of a normalisation."""

_SMALL = 2**12
_MULTIPLES = 2**14


@dataclass(frozen=True, slots=True)
class Residues:
    """How one field sees the constants of a program."""

    field: PrimeField

    def of(self, x: Tensor) -> Tensor:
        """Residues of the entries of a tensor, which may hold floats, whole numbers or truth values."""
        unique, inverse = distinct(x)
        table = torch.tensor([self._number(value) for value in unique], dtype=torch.float64)
        return table[inverse].reshape(x.shape).to(self.field.device)

    def exact(self, x: Tensor) -> Tensor:
        """Residues of floats as the binary fractions that they are: data, of which every bit counts.

        Raises:
            UnsupportedError: a float is infinite or not a number.
        """
        flat = x.detach().to(device="cpu", dtype=torch.float64)
        if not bool(torch.isfinite(flat).all()):
            raise UnsupportedError("the data hold infinite numbers or NaN: remove those examples")
        mantissa, exponent = torch.frexp(flat)
        whole = (mantissa * 2.0**53).to(torch.int64) % self.field.prime
        unique, inverse = (exponent.to(torch.int64) - 53).unique(return_inverse=True)
        powers = torch.tensor([pow(2, e, self.field.prime) for e in unique.tolist()], dtype=torch.int64)
        residues = whole * powers[inverse].reshape(flat.shape) % self.field.prime
        return residues.to(device=self.field.device, dtype=torch.float64)

    def circle(self, angles: Tensor) -> tuple[Tensor, Tensor]:
        """Sines and cosines: angles with an integer ratio lie on multiples of one point of the circle."""
        unique, inverse = distinct(angles)
        points = {angle: self._power(base, multiple) for angle, (base, multiple) in bases(unique).items()}
        p = self.field.prime
        pairs = [((s if a >= 0 else -s) % p, c) for a in unique for s, c in [points[abs(a)]]]
        table = torch.tensor(pairs, dtype=torch.float64)[inverse].reshape(*angles.shape, 2).to(self.field.device)
        return table[..., 0], table[..., 1]

    def _number(self, value: float) -> int:
        if not isfinite(value):
            raise UnsupportedError(
                f"the program computes with the number {value}: only a mask that a softmax gets may hold infinities"
            )
        fraction = Fraction(value)
        if is_small(fraction):
            return self.field.residue(fraction)
        drawn = 2 + _hash(abs(value)) % (self.field.prime - 4)
        return drawn if value > 0 else self.field.prime - drawn

    def _power(self, base: float, multiple: int) -> tuple[int, int]:
        """(sin, cos) of a multiple of the point that stands for an angle."""
        p = self.field.prime
        t = 2 + _hash(base) % (p - 4)
        scale = pow(1 + t * t, -1, p)
        s, c = 2 * t * scale % p, (1 - t * t) * scale % p
        sine, cosine = 0, 1
        while multiple:
            if multiple & 1:
                sine, cosine = (sine * c + cosine * s) % p, (cosine * c - sine * s) % p
            s, c = 2 * s * c % p, (c * c - s * s) % p
            multiple >>= 1
        return sine, cosine


def distinct(x: Tensor) -> tuple[list[float], Tensor]:
    """The different entries of a tensor, and which of them each entry is."""
    unique, inverse = x.detach().to(device="cpu", dtype=torch.float64).flatten().unique(return_inverse=True)
    return unique.tolist(), inverse


def bases(angles: list[float]) -> dict[float, tuple[float, int]]:
    """Each angle, without its sign, as a whole multiple of an angle of the list; equal ones have equal multiples."""
    found: dict[float, tuple[float, int]] = {0.0: (1.0, 0)}
    used: list[float] = []
    for angle in sorted({abs(value) for value in angles} - {0.0}):
        base, multiple = next(((b, m) for b in used if (m := _multiple(angle, b))), (angle, 1))
        if base == angle:
            used.append(angle)
        found[angle] = base, multiple
    return found


def is_small(value: Fraction) -> bool:
    """Whether a number is taken for what it is, not as a generic one."""
    return abs(value.numerator) <= _SMALL and value.denominator <= _SMALL


def _hash(value: float) -> int:
    """Thirty-two generic bits of a float, rounded to single precision so that casts do not matter."""
    return zlib.crc32(struct.pack("<f", value))


def _multiple(angle: float, base: float) -> int:
    """The whole number k with angle = k base up to rounding, or 0."""
    ratio = angle / base
    whole = round(ratio)
    return whole if whole <= _MULTIPLES and abs(ratio - whole) < 1e-6 * ratio else 0
