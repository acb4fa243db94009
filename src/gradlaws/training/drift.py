"""What one optimizer step did to a law, and why: the exact step identity.

The update u of a step is a sum, u = decay + gradient + momentum, or decay + direction. Adding its terms to the weights
one after the other splits the observed change of h into one part for each; what is left is unexplained. Nothing is
approximated: along a segment the derivative of a polynomial h of degree d is a polynomial of degree d - 1, which
Gauss's quadrature integrates exactly, and for quadratic h that is the midpoint rule, free of cancellation.

Where h is a law of the gradient g (<grad h, g> = 0 everywhere), A its matrix and the rate lr is one for all its
tensors, the parts are those of the theory: decay ``((1 - lr lambda)^2 - 1) h``, gradient ``lr^2 g^T A g``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from torch import Tensor

from gradlaws.laws.law import Law, Point
from gradlaws.training.step import Move

_ORDER = ("decay", "gradient", "momentum", "direction")
"""In which the terms of an update are added to the weights: decay first, as the theory has it."""


@dataclass(frozen=True, eq=False, slots=True)
class Drift:
    """One step of one law; every entry is a float64 tensor ``[count]`` or a number.

    Args:
        value: of the law before the step.
        observed: change of the law.
        decay: part of weight decay.
        gradient: part of this step's gradient: the step-size term.
        momentum: part of the momentum buffer.
        first: of an adaptive direction, the part of first order in it.
        second: the part of higher order.
        unexplained: observed less all parts; None if the optimizer is not known well enough.
        slope: the derivative of the law along the gradient: zero for a law.
        scale: size of the tensors to the power of the degree, what changes are compared with.
        steepness: size of the tensors to one power less, times the size of their gradient.
    """

    value: Tensor
    observed: Tensor
    decay: Tensor
    gradient: Tensor
    momentum: Tensor
    first: Tensor
    second: Tensor
    unexplained: Tensor | None
    slope: Tensor
    scale: float
    steepness: float

    @property
    def predicted(self) -> Tensor:
        """The change that is explained."""
        return self.decay + self.gradient + self.momentum + self.first + self.second

    @property
    def residual(self) -> float | None:
        """Size of the unexplained part relative to `scale`."""
        return None if self.unexplained is None else relative(self.unexplained, self.scale)

    @property
    def identity(self) -> float:
        """Tier (a): |<grad h, g>| relative to the sizes of the tensors and their gradient; 0 if there is none."""
        return relative(self.slope, self.steepness)


def relative(values: Tensor, scale: float) -> float:
    """Euclidean size divided by a scale; 0 where both are 0."""
    size = float(values.norm())
    return size / scale if scale else size


def change(law: Law, start: Point, step: Point) -> Tensor:
    """``h(start + step) - h(start)``, exact for polynomial laws up to rounding of the step, not of the values.

    Args:
        law: of any degree.
        start: tensors, float64 or float32.
        step: what is added to them.

    Returns:
        Tensor ``[count]``, float64.
    """
    if law.degree < 2:
        return law.derivative(start, step).double()
    total: Tensor | None = None
    for node, weight in _quadrature((law.degree + 1) // 2):
        between = {name: start[name].add(step[name], alpha=(1 + node) / 2) for name in start}
        term = law.derivative(between, step).double() * (weight / 2)
        total = term if total is None else total + term
    assert total is not None
    return total


@cache
def _quadrature(points: int) -> tuple[tuple[float, float], ...]:
    """Gauss's nodes and weights on [-1, 1]."""
    nodes, weights = np.polynomial.legendre.leggauss(points)
    return tuple(zip(nodes.tolist(), weights.tolist(), strict=True))


def step_drift(law: Law, moves: Mapping[str, Move], names: Sequence[str]) -> Drift:
    """Split the change of a law over one step.

    Args:
        law: over `names`.
        moves: of at least those tensors.
        names: of the tensors that the law touches.
    """
    own = {name: moves[name] for name in names}
    theta, grad = {n: m.theta for n, m in own.items()}, {n: m.grad for n, m in own.items()}
    observed = change(law, theta, {n: m.update for n, m in own.items()})
    at: Point = theta
    parts = dict.fromkeys(("decay", "gradient", "momentum", "direction", "first"), torch.zeros_like(observed))
    kinds = [kind for kind in _ORDER if any(getattr(m.parts, kind) is not None for m in own.values())]
    for kind in kinds:
        leg = {n: getattr(m.parts, kind) for n, m in own.items()}
        filled = {n: torch.zeros_like(at[n]) if part is None else part for n, part in leg.items()}
        parts[kind] = change(law, at, filled)
        if kind == "direction":
            parts["first"] = law.derivative(at, filled).double()
        if kind != kinds[-1]:
            at = {n: x if leg[n] is None else x + filled[n] for n, x in at.items()}
    together, first = parts.pop("direction"), parts["first"]
    known = all(m.error is not None for m in own.values())
    explained = parts["decay"] + parts["gradient"] + parts["momentum"] + together
    size, slant = _norm(theta), _norm(grad)
    return Drift(
        value=law.value(theta).double(),
        observed=observed,
        second=together - first,
        unexplained=observed - explained if known else None,
        slope=law.derivative(theta, grad).double(),
        scale=size**law.degree,
        steepness=size ** (law.degree - 1) * slant,
        **parts,
    )


def _norm(point: Point) -> float:
    return float(torch.stack([x.norm() for x in point.values()]).norm())
