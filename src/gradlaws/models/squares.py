"""Which examples have square radicands only: inverse square roots exist in a prime field for half of its elements."""

from __future__ import annotations

import torch
from torch import Tensor


def all_square(squares: list[Tensor]) -> Tensor:
    """Examples all of whose radicands are squares."""
    total = torch.ones(1, dtype=torch.bool)
    for flags in squares:
        total = total & flags.all(1).cpu()
    return total


def enough(squares: list[Tensor], groups: Tensor) -> bool:
    """Whether a twentieth of the examples, and some of every group, have square radicands only."""
    accepted = (groups & all_square(squares)).sum(1)
    return int(accepted[0]) >= groups.shape[1] // 20 and bool(accepted.gt(0).all())


def merit(squares: list[Tensor], groups: Tensor) -> float:
    """Grows with the number of examples, in every group, that have nearly all their radicands square."""
    missing = torch.stack([(~flags).sum(1).expand(groups.shape[1]).cpu() for flags in squares]).sum(0)
    weights = torch.exp2(-2.0 * missing.to(torch.float64))
    return float((groups * weights).sum(1).clamp_min(1e-300).log().sum())
