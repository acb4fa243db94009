"""The rank of rows in floating point: where their singular values fall most, and whether that is clear."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from gradlaws.errors import UnclearError

_ROUNDINGS = 4
"""Roundings per entry of a column that are taken as certain to happen."""


@dataclass(frozen=True, slots=True)
class Gap:
    """The rank and what it rests on.

    Args:
        rank: how many singular values count.
        last: the smallest of these; infinite where there is none.
        next: the largest of the others, never below what rounding does to the largest of all.
        rounding: that smallest meaningful value.
    """

    rank: int
    last: float
    next: float
    rounding: float

    @property
    def ratio(self) -> float:
        """How far the values that count stand above those that do not."""
        return self.last / self.next if self.next else float("inf")

    def require(self, ratio: float, what: str) -> None:
        """Refuse a rank that is a matter of taste.

        Raises:
            UnclearError: the gap is narrower than `ratio`, or what is taken for zero is not rounding.
        """
        if self.ratio < ratio:
            reason = f"by {self.ratio:.1e} only, expected {ratio:.0e} or more"
        elif self.next > ratio * self.rounding:
            reason = f"but {self.next:.1e} is far above rounding ({self.rounding:.0e}) as well, expected zeros there"
        else:
            return
        raise UnclearError(
            f"the rank of {what} is not clear in floating point: singular values fall most from {self.last:.1e} "
            f"(number {self.rank}) to {self.next:.1e}, {reason}; try another seed or a narrower module, rescale "
            "weights that are tiny, or use the exact engine, which has no such limit"
        )


def find_gap(rows: Tensor) -> Gap:
    """The largest ratio between neighbouring singular values of rows ``[N, D]`` of length one or zero.

    Values below rounding are raised to it, and one such value stands after the last, so that full rank is a gap too.
    """
    values = torch.linalg.svdvals(rows)
    largest = float(values[0]) if len(values) else 0.0
    if largest == 0.0:
        return Gap(0, float("inf"), 0.0, 0.0)
    rounding = _ROUNDINGS * torch.finfo(torch.float64).eps * max(rows.shape) * largest
    ladder = torch.cat([values, values.new_zeros(1)]).clamp_min(rounding)
    rank = int((ladder[:-1] / ladder[1:]).argmax()) + 1
    return Gap(rank, float(ladder[rank - 1]), float(ladder[rank]), rounding)
