"""Points at which many roots exist, reached by redrawing blocks of coordinates while that helps.

Tokens are few, so the radicands of a model of tokens cannot all be made square by drawing other inputs: the parameters
are moved instead. Any point is as good as any other for what is proved there.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Generator, Tensor

_BLOCKS = 64


def climb(
    point: Tensor,
    redrawn: Callable[[int], Tensor],
    missing: Callable[[Tensor], Tensor],
    groups: Tensor,
    rounds: int,
    generator: Generator,
    least: int = 0,
) -> Tensor:
    """The point after many small changes, each kept if no group of samples loses by it.

    Args:
        point: coordinates ``[D]``.
        redrawn: random coordinates, as many as asked for.
        missing: at a point, how many roots do not exist for each sample, ``[samples]``.
        groups: truth values ``[groups, samples]``; in the end every group shall have a sample without missing roots.
        rounds: changes that are tried at most.
        generator: chooses what is changed.
        least: samples without missing roots that are wanted, of any group.
    """
    lacking = missing(point)
    for _ in range(rounds):
        whole = lacking == 0
        if int(whole.sum()) >= least and bool((groups & whole).any(1).all()):
            break
        moved = point.clone()
        start = int(torch.randint(0, len(point), (1,), generator=generator))
        block = slice(start, start + max(1, len(point) // _BLOCKS))
        moved[block] = redrawn(len(moved[block]))
        other = missing(moved)
        if _merit(other, groups) >= _merit(lacking, groups):
            point, lacking = moved, other
    return point


def _merit(missing: Tensor, groups: Tensor) -> float:
    """Grows with the number of samples, in every group, that have nearly all their roots."""
    weights = torch.exp2(-2.0 * missing.to(torch.float64))
    return float((groups * weights).sum(1).clamp_min(1e-300).log().sum())
