"""The course of a charge under steps of finite size, momentum and weight decay.

Three symmetries of losses have charges that gradient flow keeps (Kunin, Sagastuy-Brena, Ganguli, Yamins, Tanaka
2021): a shift a sum of weights (degree 1), a scale a squared length, a rescaling a difference of two (degree 2).
Weight decay lets them fade, and those of degree 2 are driven by the squares of the updates: `recursion` says how,
exactly, for heavy ball with the decay in the gradient, as ``torch.optim.SGD`` has it. `Oscillator` is the published
approximation by a damped oscillator, `normalised_length` that of a weight that is normalised (Tanaka, Kunin 2021).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import Any

import numpy as np

from gradlaws.errors import InputError
from gradlaws.geometry.integrate import read_times
from gradlaws.geometry.objective import Array
from gradlaws.geometry.steps import Method

_METHOD = Method("DOP853", 1e-12, 1e-13)


def recursion(
    start: float, steps: int | Sequence[float] | Any, *, degree: int, eta: float, decay: float = 0.0, beta: float = 0.0
) -> Array:
    """The charge after each step of SGD, exactly.

    With u the update of a step, ``u <- beta u - eta (g + decay theta)``, and ``g`` without a part along the symmetry:
    ``s <- s + u_s`` with ``u_s <- beta u_s - eta decay s`` for a sum; for a square h, with ``p = <theta, u>`` in its
    form and ``q = <u, u>``: ``h <- h + 2 (beta p - eta decay h) + q``, ``p <- beta p - eta decay h + q``.

    Args:
        start: the charge before the first step; there is no momentum yet.
        steps: how many; for degree 2 the squares q of the updates instead, ``[steps]``: ``|u|^2`` of a scale,
            ``|u_1|^2 - |u_2|^2`` of a rescaling. A number stands for squares that are zero: the part of decay alone.
        degree: 1 or 2.
        eta: step size.
        decay: lambda, ``weight_decay`` of SGD.
        beta: momentum.

    Returns:
        ``[steps + 1]``.

    Raises:
        InputError: a number makes no sense.
    """
    _check(degree, eta, decay, beta)
    squares = _squares(steps, degree)
    values, moving = [_finite(start, "start")], 0.0
    for q in squares:
        pulled = beta * moving - eta * decay * values[-1]
        moving = pulled + q
        values.append(values[-1] + degree * pulled + q)
    return np.array(values)


@dataclass(frozen=True, slots=True)
class Oscillator:
    """``c'' + 2 gamma c' + omega^2 c = 2 |theta'|^2`` in time t = eta * steps; without the right side for degree 1.

    It stands for ``(eta (1 + beta) / 2) theta'' + (1 - beta) theta' = -grad L - lambda theta``, which is itself an
    approximation of heavy ball: of first order in eta, poor where the oscillator is underdamped. `recursion` is exact.

    Args:
        degree: of the charge, 1 or 2.
        eta: step size.
        decay: lambda.
        beta: momentum.

    Raises:
        InputError: a number makes no sense.
    """

    degree: int
    eta: float
    decay: float
    beta: float = 0.0

    def __post_init__(self) -> None:
        _check(self.degree, self.eta, self.decay, self.beta)

    @property
    def gamma(self) -> float:
        """Half the friction, ``(1 - beta) / (eta (1 + beta))``."""
        return (1 - self.beta) / (self.eta * (1 + self.beta))

    @property
    def omega(self) -> float:
        """Frequency without friction, ``sqrt(2 degree lambda / (eta (1 + beta)))``."""
        return float(np.sqrt(2 * self.degree * self.decay / (self.eta * (1 + self.beta))))

    @property
    def underdamped(self) -> bool:
        """Whether the charge swings through zero instead of fading."""
        return self.gamma < self.omega

    def free(self, times: Any) -> Array:
        """What is left at each time of a charge of 1, starting at rest."""
        t = _grid(times)
        slow, fast = self._rates()
        return np.real(np.exp(slow * t) - slow * self._kernel(t, slow, fast))

    def kick(self, times: Any) -> Array:
        """The charge at each time after a push of 1 at time zero."""
        return np.real(self._kernel(_grid(times), *self._rates()))

    def course(self, start: float, steps: int | Sequence[float] | Any) -> Array:
        """The charge after each step, ``[steps + 1]``; arguments as for `recursion`."""
        squares = _squares(steps, self.degree)
        times = self.eta * np.arange(len(squares) + 1)
        pushed = np.convolve(2 / self.eta * squares, self.kick(times))[: len(squares)] if len(squares) else squares
        return _finite(start, "start") * self.free(times) + np.concatenate([[0.0], pushed])

    def _rates(self) -> tuple[complex, complex]:
        root = np.emath.sqrt(self.gamma**2 - self.omega**2)
        fast = -self.gamma - root
        slow = self.omega**2 / fast  # the product of both, without cancellation
        return slow, fast

    @staticmethod
    def _kernel(t: Array, slow: complex, fast: complex) -> Any:
        """``(e^{slow t} - e^{fast t}) / (slow - fast)``, also where they are equal."""
        gap = slow - fast
        return np.exp(slow * t) * (t if gap == 0 else -np.expm1(-gap * t) / gap)


def normalised_length(
    start: float, times: Any, *, mass: float, damping: float, decay: float, force: float | Callable[[float], float]
) -> Array:
    """``|q|^2`` at each time, of a weight q whose length the loss does not see: Noether's learning dynamics.

    The motion ``m q'' + mu q' + grad f(q) + k q = 0`` gives ``m y'' + mu y' + 2 k y = 2 m |q'|^2`` for ``y = |q|^2``.
    Without the inertia of y and with ``|q'| = sqrt(G / y) / mu`` that is ``(y^2)' = (4 / mu) (m G / mu^2 - k y^2)``: an
    average of squared gradients, as RMSProp keeps one. For heavy ball ``m = eta (1 + beta) / 2``, ``mu = 1 - beta``.

    Args:
        start: ``|q|^2`` at time 0.
        times: of at least zero, increasing.
        mass: m.
        damping: mu.
        decay: k, the weight decay.
        force: G, ``|grad f|^2`` at q / |q|: a number, or a function of time.

    Raises:
        InputError: a number makes no sense.
    """
    when = read_times(np.atleast_1d(times))
    for name, x in {"start": start, "mass": mass, "damping": damping}.items():
        if not 0 < x < np.inf:
            raise InputError(f"{name} = {x}: expected a positive number")
    if not 0 <= decay < np.inf:
        raise InputError(f"a weight decay of {decay} makes no sense: expected a number of at least 0")

    def slope(time: float, square: Array) -> Array:
        pushed = _finite(force(time) if callable(force) else force, "force")
        if pushed < 0:
            raise InputError(f"force = {pushed} at t = {time:g}: expected a squared length, of at least 0")
        return 4 / damping * (mass * pushed / damping**2 - decay * square)

    if when[0] > 0:
        when = np.concatenate([[0.0], when])
    first = np.array([float(start) ** 2])
    found = [first, *(state for _, passed in _METHOD.march(slope, when, first) for state in passed)]
    return np.sqrt(np.concatenate(found))[-np.atleast_1d(times).size :]


def settled_length(*, mass: float, damping: float, decay: float, force: float) -> float:
    """Where `normalised_length` tends to under a constant force: ``sqrt(m G / (mu^2 k))``.

    Raises:
        InputError: a number is not positive.
    """
    if not all(0 < x < np.inf for x in (mass, damping, decay, force)):
        raise InputError(
            f"mass {mass}, damping {damping}, decay {decay}, force {force}: expected positive numbers, for without one "
            "of them the length settles nowhere"
        )
    return float(np.sqrt(mass * force / decay) / damping)


def _squares(steps: Any, degree: int) -> Array:
    """What drives the charge at each step."""
    if isinstance(steps, Integral) and not isinstance(steps, bool):
        if steps < 0:
            raise InputError(f"{steps} steps make no sense: expected a whole number of at least 0")
        return np.zeros(int(steps))
    values = np.asarray(steps.detach().cpu().numpy() if hasattr(steps, "detach") else steps)
    if values.dtype.kind not in "iuf" or values.ndim != 1 or not np.isfinite(values).all():
        raise InputError("steps are not understood: expected how many, or the square of the update of each, [steps]")
    if degree == 1:
        raise InputError("a charge of degree 1 is not driven by squares of updates: expected the number of steps")
    return values.astype(np.float64)


def _grid(times: Any) -> Array:
    values = np.atleast_1d(np.asarray(times, dtype=np.float64))
    if not (np.isfinite(values).all() and (values >= 0).all()):
        raise InputError("a time is negative, NaN or infinite: expected finite numbers of at least zero")
    return values


def _finite(value: float, name: str) -> float:
    if not np.isfinite(value):
        raise InputError(f"{name} = {value}: expected a finite number")
    return float(value)


def _check(degree: int, eta: float, decay: float, beta: float) -> None:
    if degree not in (1, 2):
        raise InputError(f"a charge of degree {degree} is not covered: expected 1, a sum, or 2, squared lengths")
    if not 0 < eta < np.inf:
        raise InputError(f"a step size of {eta} makes no sense: expected eta > 0")
    if not 0 <= decay < np.inf:
        raise InputError(f"a weight decay of {decay} makes no sense: expected a number of at least 0")
    if not 0 <= beta < 1:
        raise InputError(f"a momentum of {beta} makes no sense: expected beta from 0 to below 1")
