"""Gradient descent with large steps balances the factors of a matrix: exact identities, regions and thresholds.

For ``f = |A - X Y^T|^2 / 2`` and ``E = A - X Y^T`` a step h changes the law ``X^T X - Y^T Y`` of gradient flow by
exactly ``h^2 (Y^T E^T E Y - X^T E E^T X)``. Where A is a number, X and Y vectors, the law shrinks by the factor
``1 - h^2 e^2``: the gap closes as long as the error e does not vanish, and steps beyond 2 / sharpness keep e alive
(Wang, Chen, Zhao, Tao 2022; deep chains: Ghosh, Kwon, Wang, Ravishankar, Qu 2025). The identities are exact; the region
of convergence is that of almost every start.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradlaws.errors import InputError, UnclearError

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False, slots=True)
class Descent:
    """A run of gradient descent on the factors of a matrix or a number.

    Args:
        factors: the last ones.
        losses: before each step and after the last, ``[steps + 1]``.
        gaps: the size of the law, ``|X^T X - Y^T Y|`` or, of a chain, largest less smallest square, ``[steps + 1]``.
    """

    factors: tuple[Array, ...]
    losses: Array
    gaps: Array

    def __str__(self) -> str:
        return (
            f"{len(self.losses) - 1} steps: loss {self.losses[0]:.6g} -> {self.losses[-1]:.6g}, gap {self.gaps[0]:.6g} "
            f"-> {self.gaps[-1]:.6g}"
        )


def descend_factors(target: Any, x: Any, y: Any, step: float, steps: int) -> Descent:
    """Gradient descent on ``|A - X Y^T|^2 / 2``.

    Args:
        target: A, ``[m, n]``.
        x: X, ``[m, r]``.
        y: Y, ``[n, r]``; for a number mu and two vectors all three have one row.
        step: h.
        steps: how many.

    Raises:
        InputError: shapes do not fit, or a number makes no sense.
        UnclearError: it diverges.
    """
    a, x, y = _read(target, x, y)
    _check(step, steps)
    losses, gaps = [], []
    for k in range(steps + 1):
        with np.errstate(all="ignore"):
            error = a - x @ y.T
            losses.append(float((error**2).sum()) / 2)
            gaps.append(float(np.linalg.norm(x.T @ x - y.T @ y)))
            _finite(losses[-1], k, step)
            if k < steps:
                x, y = x + step * error @ y, y + step * error.T @ x
    return Descent((x, y), np.array(losses), np.array(gaps))


def gap_change(target: Any, x: Any, y: Any, step: float) -> Array:
    """What one step of gradient descent adds to ``X^T X - Y^T Y``, exactly: ``[r, r]``.

    Args:
        target: A, ``[m, n]``.
        x: X, ``[m, r]``.
        y: Y, ``[n, r]``.
        step: h.
    """
    a, x, y = _read(target, x, y)
    _check(step, 0)
    error = a - x @ y.T
    along, across = error @ y, error.T @ x
    return np.asarray(step**2 * (along.T @ along - across.T @ across))


def largest_step(mu: float, x: Any, y: Any) -> float:
    """The step below which descent on ``(mu - x . y)^2 / 2`` converges, and above which it does not.

    That is ``8 / (q + sqrt(q^2 - 16 mu (x . y - mu)))`` with ``q = |x|^2 + |y|^2``, for mu > 0 and while it is below
    1 / mu. It holds for almost every start: one on the stable set of a saddle goes elsewhere.

    Args:
        mu: positive.
        x: vector ``[n]``.
        y: vector ``[n]``.

    Raises:
        InputError: mu is not positive, shapes do not fit, or the threshold is at 1 / mu or beyond, where nothing
            is known.
    """
    x, y = np.atleast_1d(_numbers(x, "x")), np.atleast_1d(_numbers(y, "y"))
    if x.ndim != 1 or x.shape != y.shape:
        raise InputError(f"x has shape {list(x.shape)} and y {list(y.shape)}: expected two vectors of equal length")
    if not 0 < mu < np.inf:
        raise InputError(f"mu = {mu} is not covered: expected a positive number")
    q = float(x @ x + y @ y)
    # q >= 2 |x . y|, so that the root is real: q^2 - 16 mu (p - mu) >= 4 (p - 2 mu)^2
    threshold = 8 / (q + float(np.sqrt(max(0.0, q * q - 16 * mu * (float(x @ y) - mu)))))
    if threshold * mu >= 1:
        raise InputError(
            f"the threshold {threshold:.4g} is not below 1 / mu = {1 / mu:.4g}, where it is known to be one: expected "
            "larger factors, or a smaller mu"
        )
    return threshold


def converges(mu: float, x: Any, y: Any, step: float) -> bool:
    """Whether descent on ``(mu - x . y)^2 / 2`` converges to a minimum: ``q - h mu x . y < 4/h - h mu^2``.

    Args:
        mu: positive.
        x: vector ``[n]``.
        y: vector ``[n]``.
        step: h, with h mu < 1.

    Raises:
        InputError: a number is outside of what is known.
    """
    x, y = np.atleast_1d(_numbers(x, "x")), np.atleast_1d(_numbers(y, "y"))
    _check(step, 0)
    if x.ndim != 1 or x.shape != y.shape:
        raise InputError(f"x has shape {list(x.shape)} and y {list(y.shape)}: expected two vectors of equal length")
    if not (mu > 0 and step * mu < 1):
        raise InputError(f"mu = {mu}, step = {step}: expected mu > 0 and step * mu < 1, for which the region is known")
    q = float(x @ x + y @ y)
    return q - step * mu * float(x @ y) < 4 / step - step * mu**2


def descend_chain(sigma: float, factors: Any, step: float, steps: int) -> Descent:
    """Gradient descent on ``(s_1 ... s_L - sigma)^2 / 2``: one singular value of a deep linear network.

    Args:
        sigma: the target.
        factors: ``[L]``, at least two.
        step: eta.
        steps: how many.

    Raises:
        InputError: a number makes no sense.
        UnclearError: it diverges.
    """
    s = _chain(factors)
    _check(step, steps)
    losses, gaps = [], []
    for k in range(steps + 1):
        with np.errstate(all="ignore"):
            error = float(np.prod(s)) - sigma
            losses.append(float(np.square(error)) / 2)
            gaps.append(float((s**2).max() - (s**2).min()))
            _finite(losses[-1], k, step)
            if k < steps:
                s = s - step * error * _others(s)
    return Descent((s,), np.array(losses), np.array(gaps))


def gap_factors(sigma: float, factors: Any, step: float) -> Array:
    """By what one step multiplies each ``s_l^2 - s_m^2``: ``1 - eta^2 e^2 P_lm^2``, P_lm all factors but two.

    Args:
        sigma: the target.
        factors: ``[L]``.
        step: eta.

    Returns:
        ``[L, L]``, ones on the diagonal, where there is no gap.
    """
    s = _chain(factors)
    _check(step, 0)
    error = float(np.prod(s)) - sigma
    result = np.ones((len(s), len(s)))
    for i in range(len(s)):
        for j in range(len(s)):
            if i != j:
                result[i, j] -= (step * error * np.prod(np.delete(s, [i, j]))) ** 2
    return result


def balanced_sharpness(layers: int, sigma: float) -> float:
    """Largest eigenvalue of the Hessian at the balanced minimum of a chain, ``L sigma^(2 - 2/L)``: the flattest one.

    Descent with eta above 2 over it cannot come to rest at any minimum.

    Raises:
        InputError: fewer than two layers, or sigma not positive.
    """
    if layers < 2 or not 0 < sigma < np.inf:
        raise InputError(f"{layers} layers with sigma = {sigma}: expected at least 2 and a positive number")
    return float(layers * sigma ** (2 - 2 / layers))


def _others(s: Array) -> Array:
    """Product of all factors but each."""
    return np.array([np.prod(np.delete(s, i)) for i in range(len(s))])


def _numbers(values: Any, name: str) -> Array:
    found = np.asarray(values.detach().cpu().numpy() if hasattr(values, "detach") else values)
    if found.dtype.kind not in "biuf" or not np.isfinite(found).all():
        raise InputError(f"{name} has entries that are no finite real numbers: expected such")
    return found.astype(np.float64)


def _read(target: Any, x: Any, y: Any) -> tuple[Array, Array, Array]:
    a, x, y = (_numbers(v, name) for v, name in ((target, "target"), (x, "x"), (y, "y")))
    if not a.ndim == x.ndim == y.ndim == 2 or a.shape != (len(x), len(y)) or x.shape[1] != y.shape[1]:
        raise InputError(
            f"shapes {list(a.shape)}, {list(x.shape)}, {list(y.shape)} do not fit: expected A [m, n], X [m, r] and "
            "Y [n, r]"
        )
    return a, x, y


def _chain(factors: Any) -> Array:
    s = _numbers(factors, "factors")
    if s.ndim != 1 or len(s) < 2:
        raise InputError(f"factors have shape {list(s.shape)}: expected a list of at least two numbers")
    return s


def _check(step: float, steps: int) -> None:
    if not 0 < step < np.inf:
        raise InputError(f"a step of {step} makes no sense: expected a positive number")
    if not isinstance(steps, int) or steps < 0:
        raise InputError(f"{steps} steps make no sense: expected a whole number of at least 0")


def _finite(loss: float, k: int, step: float) -> None:
    if not np.isfinite(loss):
        raise UnclearError(f"descent diverges: the loss is {loss} after {k} steps of {step:g}; expected a smaller step")
