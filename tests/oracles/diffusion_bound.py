"""The a-priori bounds in use before the exact error: Marcotte et al. 2022 (arXiv 2104.14652), in logarithms."""

from __future__ import annotations

from math import exp, inf, lgamma, log

import numpy as np


def log_bound(order: int, c: float) -> float:
    """Logarithm of the bound g(K, C) on the error of order K, C = t * largest eigenvalue / 4; inf for K <= C - 1."""
    if order <= c - 1:
        return inf
    return log(2) + c * c / (order + 2) - 2 * c + (order + 1) * log(c) - lgamma(order + 1) - log(order + 1 - c)


def bound(order: int, c: float) -> float:
    """The bound itself."""
    return exp(log_bound(order, c))


def least_order(c: float, squared_error: float, extra: float = 0.0) -> int:
    """The least K whose squared bound, times exp(extra), is at most the squared error."""
    return next(k for k in range(10_000) if 2 * log_bound(k, c) + extra <= log(squared_error))


def released_order(c: float, squared_error: float, extra: float = 0.0) -> int:
    """What the released search makes of it: powers and factorials overflow beyond order 170, and no number is smaller.

    It doubles the whole part of C until the bound is not too large, then halves the interval.
    """
    with np.errstate(all="ignore"):

        def squared(order: int) -> np.float64:
            power, factorial = np.float64(c) ** (order + 1), np.prod(np.arange(1.0, order + 1))
            g = 2 * np.exp(c * c / (order + 2) - 2 * c) * power / (factorial * (order + 1 - c))
            return g**2 * np.exp(np.float64(extra))

        low, high = int(c), 2 * int(c)
        while squared(high) > squared_error:
            low, high = high, 2 * high
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if squared(middle) <= squared_error else (middle, high)
    return high
