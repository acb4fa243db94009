"""The a-priori bounds in use before the exact error: Marcotte et al. 2022 (arXiv 2104.14652), in logarithms."""

from __future__ import annotations

from math import exp, inf, lgamma, log


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
