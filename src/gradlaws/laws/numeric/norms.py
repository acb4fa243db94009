"""Normalisations by their definitions, which autograd differentiates as often as one likes."""

from __future__ import annotations

from collections.abc import Callable
from math import log10
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

Small = Callable[[float], float]
"""What to take for the small constant under a root."""

_USUAL_EPS = torch.finfo(torch.float32).eps
_SMALL = 1e-2


def generic_small(eps: float) -> float:
    """A number of moderate size, the same for equal constants.

    The laws of a layer as implemented do not depend on the value of its constants, as long as these are not zero; but
    singular values do, and an epsilon of 1e-12 cannot be told from zero.
    """
    return -1 / log10(eps) if 0 < eps < _SMALL else eps


def as_given(eps: float) -> float:
    """The constant itself."""
    return eps


def _standardise(x: Tensor, axes: list[int], eps: float) -> Tensor:
    centred = x - x.mean(axes, keepdim=True)
    return centred * (centred.square().mean(axes, keepdim=True) + eps).rsqrt()


def _layer_norm(
    x: Tensor,
    shape: Any,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
    *_: Any,
    small: Small = as_given,
) -> Tensor:
    return _affine(_standardise(x, list(range(-len(tuple(shape)), 0)), small(eps)), weight, bias)


def _rms_norm(
    x: Tensor, shape: Any, weight: Tensor | None = None, eps: float | None = None, small: Small = as_given
) -> Tensor:
    """Without an eps torch adds that of the dtype; the module was written for float32."""
    axes = list(range(-len(tuple(shape)), 0))
    root = (x.square().mean(axes, keepdim=True) + small(_USUAL_EPS if eps is None else eps)).rsqrt()
    return _affine(x * root, weight, None)


def _group_norm(
    x: Tensor,
    groups: int,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
    *_: Any,
    small: Small = as_given,
) -> Tensor:
    grouped = x.reshape(len(x), groups, -1)
    return _affine(_standardise(grouped, [-1], small(eps)).reshape(x.shape), _channel(weight, x), _channel(bias, x))


def _batch_norm(
    x: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
    small: Small = as_given,
) -> Tensor:
    """With the statistics of the batch in training; the running ones are not updated, for they are not used there."""
    if training or running_mean is None or running_var is None:
        normal = _standardise(x, [axis for axis in range(x.dim()) if axis != 1], small(eps))
    else:
        shift, scale = _channel(running_mean, x), _channel(running_var, x)
        normal = (x - shift) * (scale + small(eps)).rsqrt()
    return _affine(normal, _channel(weight, x), _channel(bias, x))


def _instance_norm(
    x: Tensor,
    running_mean: Tensor | None = None,
    running_var: Tensor | None = None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
    small: Small = as_given,
) -> Tensor:
    if not use_input_stats:
        return _batch_norm(x, running_mean, running_var, weight, bias, False, momentum, eps, small)
    return _affine(_standardise(x, list(range(2, x.dim())), small(eps)), _channel(weight, x), _channel(bias, x))


def _affine(x: Tensor, weight: Tensor | None, bias: Tensor | None) -> Tensor:
    x = x if weight is None else x * weight
    return x if bias is None else x + bias


def _channel(parameter: Any, x: Tensor) -> Any:
    """``[C]`` as ``[C, 1, ..., 1]``, to go with axis 1."""
    return None if parameter is None else parameter.reshape(-1, *[1] * (x.dim() - 2))


NORMS: dict[Any, Callable[..., Any]] = {
    functional.layer_norm: _layer_norm,
    torch.layer_norm: _layer_norm,
    functional.rms_norm: _rms_norm,
    torch.rms_norm: _rms_norm,
    functional.group_norm: _group_norm,
    torch.group_norm: _group_norm,
    functional.batch_norm: _batch_norm,
    functional.instance_norm: _instance_norm,
}
"""Instead of each fused operation, its definition."""
