"""Piecewise linear functions with gates drawn at random, as the question about an architecture has it.

A law of the architecture is conserved on every pattern of open gates, but the patterns that occur at one point of a
deep network are few: weights between two units that are never open together look frozen there. So each unit is given
one of its pieces by the toss of a coin, the same for every evaluation with one sample. At given weights nothing of this
is used: there the patterns that occur are the question.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

_OPEN = 0.7
"""Chance of an open gate: above one half, so that paths through several layers are open often enough."""


def _open(x: Tensor) -> Tensor:
    return torch.rand(x.shape, dtype=torch.float64) < _OPEN


def _relu(x: Tensor, *_: Any, **__: Any) -> Tensor:
    return x * _open(x)


def _relu_in_place(x: Tensor) -> Tensor:
    return x.mul_(_open(x))


def _leaky_relu(x: Tensor, negative_slope: float = 0.01, *_: Any, **__: Any) -> Tensor:
    return torch.where(_open(x), x, negative_slope * x)


def _prelu(x: Tensor, weight: Tensor) -> Tensor:
    slope = weight.reshape(-1, *[1] * (x.dim() - 2)) if x.dim() > 1 else weight
    return torch.where(_open(x), x, slope * x)


def _abs(x: Tensor) -> Tensor:
    return torch.where(_open(x), x, -x)


def _hardtanh(x: Tensor, min_val: float = -1.0, max_val: float = 1.0, *_: Any, **__: Any) -> Tensor:
    ends = torch.where(_open(x), max_val, min_val)
    return torch.where(_open(x), x, ends)


def _relu6(x: Tensor, *_: Any, **__: Any) -> Tensor:
    return _hardtanh(x, 0.0, 6.0)


def _elu(x: Tensor, alpha: float = 1.0, *_: Any, **__: Any) -> Tensor:
    return torch.where(_open(x), x, alpha * x.expm1())


def _pooled(pool: Callable[..., Any], axes: int) -> Callable[..., Any]:
    """A maximum over windows takes the entry at which random numbers are largest."""

    def choose(x: Tensor, *args: Any, return_indices: bool = False, **kwargs: Any) -> Any:
        _, places = pool(torch.rand(x.shape, dtype=torch.float64), *args, return_indices=True, **kwargs)
        values = x.flatten(-axes).gather(-1, places.flatten(-axes)).view(places.shape)
        return (values, places) if return_indices else values

    return choose


GATED: dict[Any, Callable[..., Any]] = {
    functional.relu: _relu,
    torch.relu: _relu,
    torch.Tensor.relu: _relu,
    torch.relu_: _relu_in_place,
    torch.Tensor.relu_: _relu_in_place,
    functional.leaky_relu: _leaky_relu,
    functional.prelu: _prelu,
    torch.prelu: _prelu,
    torch.Tensor.prelu: _prelu,
    torch.abs: _abs,
    torch.Tensor.abs: _abs,
    torch.Tensor.__abs__: _abs,
    functional.hardtanh: _hardtanh,
    functional.relu6: _relu6,
    functional.elu: _elu,
    functional.max_pool1d: _pooled(functional.max_pool1d, 1),
    functional.max_pool2d: _pooled(functional.max_pool2d, 2),
    functional.max_pool3d: _pooled(functional.max_pool3d, 3),
}
"""Instead of each operation, the one with random gates."""

UNITS = frozenset(["relu", "relu_", "leaky_relu", "prelu", "relu6", "threshold"])
"""Names of functions that close at zero."""

PIECES = frozenset(
    [
        "celu",
        "selu",
        "hardswish",
        "hardsigmoid",
        "hardshrink",
        "softshrink",
        "threshold",
        "clamp",
        "clamp_min",
        "clamp_max",
        "max",
        "min",
        "amax",
        "amin",
        "maximum",
        "minimum",
        "topk",
        "sort",
        "argmax",
        "argmin",
    ]
)
"""Names of other functions in pieces: these keep the pieces that occur at the point."""
