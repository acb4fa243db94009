"""Directional derivatives without the forward mode of torch: the transpose of a transpose."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.func import vjp


def along(function: Callable[[Tensor], Tensor], point: Tensor, direction: Tensor) -> tuple[Tensor, Tensor]:
    """Value and directional derivative of a function of one tensor."""
    value, pull = vjp(function, point)
    _, again = vjp(lambda u: pull(u)[0], torch.zeros_like(value))
    return value, again(direction)[0]
