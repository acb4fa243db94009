"""Flows of training integrated, and kept on the set that their laws allow.

Runge-Kutta methods of order 1, 2, 4 with fixed steps and of order 5 with adaptive ones (Dormand, Prince 1980).
Projection after every step keeps all given laws to rounding, and the order (Hairer, Lubich, Wanner 2006, IV.4).
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from gradlaws.errors import InputError, UnclearError
from gradlaws.geometry.diffusion import Progress
from gradlaws.geometry.fields import MomentumField, VelocityField
from gradlaws.laws.law import Law, gradients

Tableau = tuple[tuple[float, ...], ...]

TABLEAUS: dict[str, Tableau] = {
    "euler": ((), (1.0,)),
    "midpoint": ((), (1 / 2,), (0.0, 1.0)),
    "rk4": ((), (1 / 2,), (0.0, 1 / 2), (0.0, 0.0, 1.0), (1 / 6, 1 / 3, 1 / 3, 1 / 6)),
    "dopri5": (
        (),
        (1 / 5,),
        (3 / 40, 9 / 40),
        (44 / 45, -56 / 15, 32 / 9),
        (19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729),
        (9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656),
        (35 / 384, 0.0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84),
    ),
}
"""Weights of the earlier slopes in each stage; the last row gives the step."""

_LOWER = (5179 / 57600, 0.0, 7571 / 16695, 393 / 640, -92097 / 339200, 187 / 2100, 1 / 40)
_SMALLEST = 1e-12
_NEWTON = 8
_MOST = 50_000


@dataclass(frozen=True, eq=False, slots=True)
class Trajectory:
    """A run of a flow.

    Args:
        times: ``[m]``.
        states: ``[m, size]``.
        theta: the parameters in them, ``[m, D]``.
        losses: ``[m]``.
        laws: values of the given laws, ``[m, laws]``.
        steps: how many were accepted.
        evaluations: of the loss.
    """

    times: Tensor
    states: Tensor
    theta: Tensor
    losses: Tensor
    laws: Tensor
    steps: int
    evaluations: int

    @property
    def drift(self) -> float:
        """The farthest that a law went from where it began; 0 without laws."""
        return float((self.laws - self.laws[:1]).abs().max()) if self.laws.numel() else 0.0


def integrate(
    field: VelocityField,
    times: Sequence[float] | Tensor,
    *,
    method: str = "dopri5",
    step: float | None = None,
    rtol: float = 1e-8,
    atol: float = 1e-10,
    smallest: float = 0.0,
    laws: Sequence[Law] = (),
    project: bool = False,
    on_progress: Progress | None = None,
) -> Trajectory:
    """Follow a flow from the weights of its module at ``times[0]``.

    Args:
        field: `GradientField`, `MomentumField` or `ModifiedField`; or hand it to scipy or torchdiffeq itself.
        times: increasing; the states there are returned.
        method: ``dopri5``, adaptive unless a step is given, or ``rk4``, ``midpoint``, ``euler``, with a step.
        step: the largest of equal steps between two times.
        rtol: local error allowed, relative to the state.
        atol: the same, absolute.
        smallest: an adaptive step this short is taken whatever its error: ReLU networks can slide along a kink, where
            gates flip without end and no step is short enough.
        laws: of gradient flow, watched, and kept where `project` is set.
        project: after every step go to the nearest parameters where all laws have their first values.
        on_progress: hears the name of the stage and the fraction done.

    Raises:
        InputError: times do not increase, a method is unknown, or momentum is to be projected.
        UnclearError: the step becomes too small: the flow leaves all bounds, or a gate flips again and again.
    """
    when = _check(field, times, method, step, rtol, atol, project)
    run = _Run(field, method, (rtol, atol, smallest), tuple(laws) if project else ())
    watched = _Laws(field, tuple(laws))
    states, state, seen = [field.start], field.start, field.evaluations
    for now, after in itertools.pairwise(when):
        state = run.fixed(state, now, after, step) if step is not None else run.adaptive(state, now, after)
        states.append(state)
        if on_progress:
            on_progress("flow", (after - when[0]) / (when[-1] - when[0]))
    spent, stacked = field.evaluations - seen, torch.stack(states)
    theta = field.parameters(stacked)
    losses = torch.tensor([field.loss(point) for point in theta], dtype=torch.float64)
    values = torch.stack([watched.values(point) for point in theta])
    return Trajectory(torch.tensor(when, dtype=torch.float64), stacked, theta, losses, values, run.steps, spent)


class _Laws:
    """Some laws as one function of flat parameters."""

    def __init__(self, field: VelocityField, laws: tuple[Law, ...]) -> None:
        self._field, self._laws = field, laws
        self._first = self.values(field.theta)

    def values(self, theta: Tensor) -> Tensor:
        named = self._field.named(theta)
        return torch.cat([torch.zeros(0, dtype=torch.float64), *(law.value(named) for law in self._laws)])

    def nearest(self, theta: Tensor) -> Tensor:
        """Gauss-Newton steps of least length to where the laws have their first values."""
        for _ in range(_NEWTON):
            left = self.values(theta) - self._first
            if float(left.abs().max()) <= 1e-14 * (1 + float(self._first.abs().max())):
                break
            slopes = torch.cat([gradients(law, self._field.named(theta)) for law in self._laws])
            theta = theta - torch.linalg.lstsq(slopes, left[:, None], driver="gelsd").solution[:, 0]
        return theta


class _Run:
    """Steps of one method."""

    def __init__(
        self, field: VelocityField, method: str, tolerances: tuple[float, float, float], laws: tuple[Law, ...]
    ) -> None:
        self._field, self._tableau = field, TABLEAUS[method]
        self._rtol, self._atol, self._smallest = tolerances
        self._laws = _Laws(field, laws) if laws else None
        self._guess: float | None = None
        self._tried, self.steps = 0, 0

    def fixed(self, state: Tensor, now: float, after: float, step: float) -> Tensor:
        """Equal steps."""
        count = max(1, int(np.ceil((after - now) / step * (1 - 1e-12))))
        size = (after - now) / count
        for i in range(count):
            state = self._accepted(self._step(state, now + i * size, size)[0])
        return state

    def adaptive(self, state: Tensor, now: float, after: float) -> Tensor:
        """Steps as long as the local error allows."""
        whole = after - now
        size = min(whole, self._guess if self._guess is not None else self._first(state, now))
        while now < after:
            size = min(size, after - now)
            moved, error = self._step(state, now, size)
            scale = self._atol + self._rtol * torch.maximum(state.abs(), moved.abs())
            wrong = float((error / scale).square().mean().sqrt()) if bool(torch.isfinite(moved).all()) else np.inf
            factor = 0.9 * wrong**-0.2 if 0 < wrong < np.inf else (5.0 if wrong == 0 else 0.2)
            if wrong <= 1 or (size <= self._smallest and wrong < np.inf):
                state, now = self._accepted(moved), (after if size >= after - now else now + size)
            self._guess = size = max(size * min(5.0, max(0.2, factor)), self._smallest)
            self._tried += 1
            if now < after and (size < _SMALLEST * max(whole, abs(now)) or self._tried > _MOST):
                raise UnclearError(
                    f"the step became too small at t = {now:.6g}: the flow leaves all bounds there, or a gate flips "
                    "again and again; use shorter times, a looser rtol, or smallest=1e-3 to step over kinks"
                )
        return state

    def _first(self, state: Tensor, now: float) -> float:
        """A step that changes the state by about a hundredth."""
        speed = float(self._field.velocity(now, state).norm())
        return 0.01 * (float(state.norm()) + 1e-6) / speed if speed > 0 else float("inf")

    def _step(self, state: Tensor, now: float, size: float) -> tuple[Tensor, Tensor]:
        """The next state and, of dopri5, its error."""
        *stages, last = self._tableau
        slopes: list[Tensor] = []
        for row in stages:
            slopes.append(self._field.velocity(now + size * sum(row), self._combined(state, size, row, slopes)))
        moved = self._combined(state, size, last, slopes)
        if self._tableau is not TABLEAUS["dopri5"]:
            return moved, torch.zeros_like(moved)
        slopes.append(self._field.velocity(now + size, moved))
        return moved, moved - self._combined(state, size, _LOWER, slopes)

    @staticmethod
    def _combined(state: Tensor, size: float, row: tuple[float, ...], slopes: list[Tensor]) -> Tensor:
        for weight, slope in zip(row, slopes, strict=False):
            state = state + (size * weight) * slope
        return state

    def _accepted(self, state: Tensor) -> Tensor:
        self.steps += 1
        return self._laws.nearest(state) if self._laws else state


def _check(
    field: VelocityField,
    times: Sequence[float] | Tensor,
    method: str,
    step: float | None,
    rtol: float,
    atol: float,
    project: bool,
) -> list[float]:
    when = [float(t) for t in times]
    if len(when) < 2 or not all(a < b for a, b in itertools.pairwise(when)) or not np.isfinite(when).all():
        raise InputError(f"times {when[:4]} do not increase: expected at least two, each larger than the one before")
    if method not in TABLEAUS:
        raise InputError(f"unknown method {method!r}: expected one of {', '.join(TABLEAUS)}")
    if step is None and method != "dopri5":
        raise InputError(f"method {method!r} does not choose its steps: pass step=")
    if step is not None and not step > 0:
        raise InputError(f"a step of {step} makes no sense: expected a positive number")
    if not (rtol > 0 and atol > 0):
        raise InputError(f"tolerances rtol={rtol}, atol={atol} make no sense: expected positive numbers")
    if project and isinstance(field, MomentumField):
        raise InputError("laws of gradient flow do not hold under momentum: expected project=False")
    return when
