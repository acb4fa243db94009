"""Vector fields on flat parameters and their Lie brackets, by reverse mode on top of reverse mode.

No forward mode of torch is used: nested, it gives wrong third derivatives. A directional derivative is the transpose
of a transpose: ``u -> J^T u`` is linear, and its own reverse derivative in the direction v is ``J v``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

Potential = Callable[[Tensor], Tensor]
"""A scalar function of theta ``[D]``."""

Field = Callable[[Tensor], Tensor]
"""A differentiable function of theta ``[D]``, which requires a gradient, with values ``[D]``."""


def gradient(potential: Potential) -> Field:
    """The gradient of a potential as a field."""

    def field(theta: Tensor) -> Tensor:
        value = potential(theta)
        return pull(value, theta, torch.ones_like(value))

    return field


def bracket(x: Field, y: Field) -> Field:
    """``[X, Y] = DY X - DX Y``; no Jacobian is taken to be symmetric."""

    def field(theta: Tensor) -> Tensor:
        first, second = bracket_terms(x, y, theta)
        return first - second

    return field


def nested(word: Sequence[Field]) -> Field:
    """``[X_k, [..., [X_2, X_1]]]`` for the word ``X_1, ..., X_k``."""
    *shorter, last = word
    return bracket(last, nested(shorter)) if shorter else last


def bracket_terms(x: Field, y: Field, theta: Tensor) -> tuple[Tensor, Tensor]:
    """The two terms whose difference is the bracket: their size says what rounding leaves of a bracket that is zero."""
    along_x, along_y = x(theta), y(theta)
    return push(along_y, theta, along_x), push(along_x, theta, along_y)


def pull(value: Tensor, theta: Tensor, cotangent: Tensor) -> Tensor:
    """``J^T cotangent`` for a value computed from theta, itself differentiable."""
    if not value.requires_grad:
        return torch.zeros_like(theta)
    return torch.autograd.grad(value, theta, cotangent, create_graph=True, materialize_grads=True)[0]


def push(value: Tensor, theta: Tensor, direction: Tensor) -> Tensor:
    """``J direction`` for a value computed from theta, itself differentiable also by the direction."""
    cotangent = torch.zeros_like(value, requires_grad=True)
    return pull(pull(value, theta, cotangent), cotangent, direction)
