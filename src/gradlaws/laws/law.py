"""Law: one or several scalar functions of the named parameters that training conserves."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

import torch
from torch import Tensor

from gradlaws.exact.polynomial import Polynomial
from gradlaws.exact.ring import Reals, Ring
from gradlaws.models.family import Shapes

Point = Mapping[str, Tensor]
"""Named parameters, or directions: float64 tensors ``[*batch, *shape]``."""


class Law(ABC):
    """A bundle of `count` scalar laws that a person writes as one formula."""

    @property
    @abstractmethod
    def kind(self) -> str:
        """``matrix``, ``diagonal``, ``trace`` or ``polynomial``."""

    @property
    @abstractmethod
    def degree(self) -> int:
        """Degree of the laws as polynomials in the parameters."""

    @property
    @abstractmethod
    def count(self) -> int:
        """Number of scalar laws in the bundle."""

    @property
    @abstractmethod
    def text(self) -> str:
        """The formula in plain text."""

    @property
    @abstractmethod
    def latex(self) -> str:
        """The formula in LaTeX, without delimiters."""

    @property
    @abstractmethod
    def terms(self) -> tuple[dict[str, Any], ...]:
        """What the formula is made of, ready for JSON."""

    @abstractmethod
    def value(self, theta: Point, ring: Ring = Reals()) -> Tensor:
        """Values ``[*batch, count]``."""

    @abstractmethod
    def derivative(self, theta: Point, direction: Point, ring: Ring = Reals()) -> Tensor:
        """Derivatives ``[*batch, count]`` at theta along a direction; batch axes broadcast."""

    @abstractmethod
    def polynomials(self, shapes: Shapes) -> list[Polynomial]:
        """The scalar laws as polynomials in the flattened parameters."""


def gradients(law: Law, theta: Point, ring: Ring = Reals()) -> Tensor:
    """Gradients ``[count, D]`` at one point, for parameter spaces small enough to hold D directions."""
    shapes = {name: value.shape for name, value in theta.items()}
    dimension = sum(shape.numel() for shape in shapes.values())
    every = torch.eye(dimension, dtype=torch.float64, device=next(iter(theta.values())).device)
    directions = unflatten(every, {n: tuple(s) for n, s in shapes.items()})
    return law.derivative(theta, directions, ring).mT


def unflatten(flat: Tensor, shapes: Shapes) -> dict[str, Tensor]:
    """Named arrays ``[*batch, *shape]`` from flat ones ``[*batch, D]``."""
    sizes = [int(torch.Size(shape).numel()) for shape in shapes.values()]
    pieces = flat.split(sizes, dim=-1)
    named = zip(pieces, shapes.items(), strict=True)
    return {name: piece.unflatten(-1, shape) if shape else piece.squeeze(-1) for piece, (name, shape) in named}


def flatten(point: Point, shapes: Shapes) -> Tensor:
    """Flat arrays ``[*batch, D]`` from named ones ``[*batch, *shape]``."""
    parts = []
    for name, shape in shapes.items():
        x = point[name]
        parts.append(x.reshape(*x.shape[: x.dim() - len(shape)], -1))
    return torch.cat(parts, dim=-1)


def signed_sum(parts: Sequence[tuple[Fraction | int, str]], one: str = "") -> str:
    """``a - 2 b`` from coefficients and factors; a coefficient of one is left out, a factor of one is empty."""
    words: list[str] = []
    for coefficient, factor in parts:
        size = abs(coefficient)
        body = factor if size == 1 and factor else f"{size}{(one or ' ') * bool(factor)}{factor}"
        words.append(("- " if coefficient < 0 else "+ ") + body if words else ("-" if coefficient < 0 else "") + body)
    return " ".join(words)
