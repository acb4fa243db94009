"""Chebyshev coefficients of ``exp(-z (1 + s))`` on ``-1 <= s <= 1`` and the exact error of cutting the series.

    exp(-z (1 + s)) = w_0 + 2 sum_k (-1)^k w_k T_k(s),    w_k = e^{-z} I_k(z)

w_k is the probability that two independent Poisson numbers of mean z/2 differ by k. So the weights of all whole numbers
add up to one, and the error of stopping at order K, the largest over the interval, is attained at s = -1 and equals the
probability of a difference beyond K. Nothing overflows, and the order grows like the square root of z. The bound in use
before, with factorials (Marcotte, Barbe, Gribonval, Vayer, Sebban, Borgnat, Goncalves 2022), grows like z and overflows
beyond order 170 when it is not taken in logarithms.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

_DEEP = 120.0
"""Logarithm of what the last weight is below: far below rounding."""

_RUN_IN = 20
"""Ratios that the continued fraction needs to forget where it was cut."""


def weights(z: Array, order: int) -> Array:
    """``e^{-z} I_k(z)`` for k = 0 .. order, ``[len(z), order + 1]``, by continued fractions of ratios in (0, 1).

    Args:
        z: numbers of at least zero.
        order: the last k.
    """
    last = max(order + _RUN_IN, reach(float(z.max(initial=0.0)), _DEEP))
    ratios, ratio = np.zeros((last + 1, len(z))), np.zeros_like(z)
    for k in range(last, 0, -1):
        ratio = z / (2 * k + z * ratio)
        ratios[k] = ratio
    ratios[0] = 1.0
    relative = np.cumprod(ratios, axis=0)
    total = relative[0] + 2 * relative[1:][::-1].sum(axis=0)
    return np.ascontiguousarray((relative / total)[: order + 1].T)


def tails(z: Array) -> Array:
    """The exact error of each order, ``[len(z), K + 1]``: ``2 sum_{k > K} e^{-z} I_k(z)``, up to where it vanishes."""
    beyond = weights(z, reach(float(z.max(initial=0.0)), _DEEP))[:, 1:]
    sums = 2 * np.cumsum(beyond[:, ::-1], axis=1)[:, ::-1]
    return np.append(sums, np.zeros((len(z), 1)), axis=1)


def orders(z: Array, tolerance: float) -> NDArray[np.int64]:
    """For each z the least order whose error is at most the tolerance everywhere on the interval, ``[len(z)]``."""
    return np.argmax(tails(z) <= tolerance, axis=1)


def reach(z: float, depth: float) -> int:
    """An order with an error below ``2 exp(-depth)``, by Chernoff's bound on the difference of Poisson numbers."""
    low, high = 0, 1
    while _exponent(z, high) > -depth:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if _exponent(z, middle) > -depth else (low, middle)
    return high


def _exponent(z: float, k: int) -> float:
    """``log P(difference >= k)`` is at most this."""
    if z == 0.0:
        return -np.inf
    root = np.hypot(k, z)
    return float(k * k / (root + z) - k * np.arcsinh(k / z))
