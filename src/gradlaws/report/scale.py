"""Where numbers go on a chart: decades for sizes, plain distances for steps; and how they are written."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
_MOST = 5
"""Marks on an axis."""


@dataclass(frozen=True, slots=True)
class Decades:
    """A logarithmic axis.

    Args:
        low: power of ten where it begins.
        high: where it ends, larger than `low`.
        start: place of `low` in pixels.
        end: place of `high`.
    """

    low: int
    high: int
    start: float
    end: float

    def place(self, value: float) -> float | None:
        """None for zero, which no logarithmic axis has; beyond the ends, the end."""
        if not value > 0:
            return None
        part = (math.log10(min(value, 1e300)) - self.low) / (self.high - self.low)
        return self.start + min(max(part, 0.0), 1.0) * (self.end - self.start)

    @property
    def marks(self) -> list[tuple[float, str]]:
        """Places and names of round values."""
        stride = -(-(self.high - self.low) // _MOST)
        return [
            (self.start + (power - self.low) / (self.high - self.low) * (self.end - self.start), power_of_ten(power))
            for power in range(self.high, self.low - 1, -stride)
        ]


@dataclass(frozen=True, slots=True)
class Steps:
    """A linear axis.

    Args:
        low: first step.
        high: last one.
        start: place of the first in pixels.
        end: place of the last.
    """

    low: int
    high: int
    start: float
    end: float

    def place(self, step: float) -> float:
        """Steps of a run that has only one are in the middle."""
        if self.high == self.low:
            return (self.start + self.end) / 2
        return self.start + (step - self.low) / (self.high - self.low) * (self.end - self.start)

    @property
    def marks(self) -> list[tuple[float, str]]:
        """The ends, and round numbers well between them."""
        if self.high == self.low:
            return [(self.place(self.low), f"{self.low:,}")]
        stride = _round((self.high - self.low) / 3)
        inner = range((self.low // stride + 1) * stride, self.high, stride)
        kept = [step for step in inner if step - self.low > 0.6 * stride and self.high - step > 0.6 * stride]
        return [(self.place(step), f"{step:,}") for step in (self.low, *kept, self.high)]


def decades(values: Iterable[float], start: float, end: float, most: int = 16) -> Decades:
    """An axis that holds all positive numbers, or the largest of them if they spread over more than `most` decades."""
    finite = [value for value in values if 0 < value < math.inf]
    high = math.ceil(math.log10(max(finite, default=1.0)) + 1e-9)
    low = math.floor(math.log10(min(finite, default=0.1)))
    return Decades(max(min(low, high - 1), high - most), high, start, end)


def power_of_ten(power: int) -> str:
    """``10⁻³``."""
    return "1" if power == 0 else "10" + str(power).translate(_RAISED)


def number(value: float | None) -> str:
    """A size for people: ``3.2×10⁻⁵``."""
    if value is None:
        return "–"
    if value == 0:
        return "0"
    if not math.isfinite(value):
        return "∞"
    power = math.floor(math.log10(abs(value)))
    if -3 < power < 4:
        return f"{value:.2g}" if power < 1 else f"{value:.0f}"
    lead = f"{value / 10.0**power:.1f}" if power > -300 else "1.0"
    return f"{lead}×{power_of_ten(power)}"


def _round(length: float) -> int:
    """The next number of the form 1, 2 or 5 times a power of ten."""
    power = 10 ** max(0, math.floor(math.log10(length))) if length >= 1 else 1
    return next(int(lead * power) for lead in (1, 2, 5, 10) if lead * power >= length)
