"""What a law needs of the numbers it is evaluated on: a prime field, or float64 as the independent shadow."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Protocol

import torch
from torch import Tensor


class Ring(Protocol):
    """Numbers held in float64 tensors."""

    def reduce(self, x: Tensor) -> Tensor:
        """Canonical representatives."""
        ...

    def matmul(self, a: Tensor, b: Tensor) -> Tensor:
        """Matrix product."""
        ...

    def residue(self, value: Fraction | int) -> int | float:
        """The element that stands for a rational number."""
        ...


@dataclass(frozen=True, slots=True)
class Reals:
    """Floating point numbers: reduction does nothing."""

    def reduce(self, x: Tensor) -> Tensor:
        """The argument."""
        return x

    def matmul(self, a: Tensor, b: Tensor) -> Tensor:
        """torch.matmul."""
        return torch.matmul(a, b)

    def residue(self, value: Fraction | int) -> float:
        """Nearest float."""
        return float(value)
