"""Sums, scalings, powers and roots of entries."""

from __future__ import annotations

from math import prod
from typing import Any

import torch
from torch import Tensor

from gradlaws.errors import UnsupportedError
from gradlaws.exact.constants import MINUS_INFINITY, TINY
from gradlaws.exact.execute import RULES, Masked
from gradlaws.exact.formal import RECIPROCAL
from gradlaws.exact.jet import Jet
from gradlaws.exact.rules.normalise import inverse_root
from gradlaws.exact.rules.structure import apply


def add(site: Any, a: Any, b: Any, *, alpha: float = 1) -> Any:
    """Sums; minus infinities make a mask, and tiny constants are the epsilons of normalisations."""
    for x, y in ((a, b), (b, a)):
        if isinstance(y, Tensor) and y.is_floating_point() and bool((y <= MINUS_INFINITY).any()):
            dead = y <= MINUS_INFINITY
            return Masked(site.context.jet(x) + site.context.jet(y.masked_fill(dead, 0.0)), dead.unsqueeze(0))
        if isinstance(x, Masked) and isinstance(y, Masked):
            return Masked(x.jet + y.jet, x.dead | y.dead)
        if isinstance(x, Masked):
            return Masked(x.jet + site.context.jet(y), x.dead)
    if isinstance(b, float) and 0 < b <= TINY:
        return site.context.jet(a) + site.context.epsilon(b)
    right = site.context.jet(b)
    return site.context.jet(a) + (right if alpha == 1 else right * site.context.number(alpha))


def _sub(site: Any, a: Any, b: Any, *, alpha: float = 1) -> Any:
    return site.context.jet(a) - site.context.jet(b) * site.context.number(alpha)


def _rsub(site: Any, a: Any, b: Any, alpha: float = 1) -> Any:
    return _sub(site, b, a, alpha=alpha)


def _mul(site: Any, a: Any, b: Any) -> Any:
    if isinstance(a, Masked):
        return Masked(_mul(site, a.jet, b), a.dead)
    return site.context.jet(a) * site.context.jet(b)


def _div(site: Any, a: Any, b: Any) -> Any:
    if isinstance(a, Masked):
        return Masked(_div(site, a.jet, b), a.dead)
    return site.context.jet(a) * RECIPROCAL(site.context.jet(b))[0]


def integer_power(x: Jet, exponent: int) -> Jet:
    """``x**exponent`` for an exponent of at least one."""
    result = x
    for bit in bin(exponent)[3:]:
        result = result * result
        if bit == "1":
            result = result * x
    return result


def _pow(site: Any, x: Any, exponent: Any) -> Any:
    if isinstance(exponent, Jet) or not isinstance(x, Jet):
        raise UnsupportedError("the exponent of a power must be a number: write exp(a log(b)) instead")
    doubled = 2 * float(exponent)
    if doubled != int(doubled):
        raise UnsupportedError(f"the power {exponent} is neither whole nor half-whole: no exact rule")
    if doubled == 0:
        return site.context.number(1.0)
    root = int(doubled) % 2
    whole = int(doubled) // 2 if doubled > 0 else -int(doubled) // 2
    base = inverse_root(site, x) if root else (x if doubled > 0 else RECIPROCAL(x)[0])
    if root and doubled > 0:  # x**(n + 1/2) = x**(n + 1) * x**(-1/2)
        return integer_power(x, whole + 1) * base
    if root:  # x**(-n - 1/2)
        return base * integer_power(RECIPROCAL(x)[0], whole) if whole else base
    return integer_power(base, whole)


def _axes(x: Jet, dim: Any) -> list[int]:
    """The axes that an operation works on: all where none is named."""
    if dim is None or dim == []:
        return list(range(len(x.shape)))
    return [dim] if isinstance(dim, int) else list(dim)


def _count(x: Jet, dim: Any) -> int:
    return prod(x.shape[axis] for axis in _axes(x, dim))


def mean(site: Any, x: Jet, dim: Any = None, keepdim: bool = False) -> Jet:
    """Exact mean over some axes."""
    if not x.shape:
        return x
    total: Jet = apply(x, lambda t: t.sum(_axes(x, dim), keepdim=keepdim))
    return total * RECIPROCAL(site.context.number(_count(x, dim)))[0]


def _mean(site: Any, x: Jet, dim: Any = None, keepdim: bool = False, **_kwargs: Any) -> Jet:
    return mean(site, x, dim, keepdim)


def _var(
    site: Any, x: Jet, dim: Any = None, unbiased: bool = True, keepdim: bool = False, *, correction: float | None = None
) -> Jet:
    if isinstance(dim, bool):  # var(unbiased)
        dim, unbiased = None, dim
    centred = x - mean(site, x, dim, True)
    less = (1 if unbiased else 0) if correction is None else correction
    squares, count = mean(site, centred * centred, dim, keepdim), _count(x, dim)
    return squares * site.context.number(count) * RECIPROCAL(site.context.number(count - less))[0]


def _std(site: Any, *args: Any, **kwargs: Any) -> Jet:
    squares = _var(site, *args, **kwargs)
    return squares * inverse_root(site, squares)


def _with_mean(rule: Any) -> Any:
    """The rule, and the mean over the same axes."""

    def both(site: Any, x: Jet, dim: Any = None, unbiased: bool = True, keepdim: bool = False, **kwargs: Any) -> Any:
        centre = mean(site, x, None if isinstance(dim, bool) else dim, keepdim)
        return rule(site, x, dim, unbiased, keepdim, **kwargs), centre

    return both


def _norm(site: Any, x: Jet, order: Any = 2, dim: Any = None, keepdim: bool = False, **_kwargs: Any) -> Jet:
    if order is not None and float(order) != 2:
        raise UnsupportedError(f"the vector norm of order {order} has no exact rule: only order 2 has")
    squares: Jet = apply(x * x, lambda t: t.sum(_axes(x, dim), keepdim=keepdim))
    return squares * inverse_root(site, squares)


def _prod(_site: Any, x: Jet, dim: int | None = None, keepdim: bool = False, **_kwargs: Any) -> Jet:
    """Products of the slices along an axis, or of all entries."""
    flat: Jet = apply(x, torch.flatten) if dim is None else x
    total: Jet = _running(flat, 0 if dim is None else dim)[-1]
    return apply(total, lambda t: t.unsqueeze(dim)) if keepdim and dim is not None else total


def _cumprod(_site: Any, x: Jet, dim: int, **_kwargs: Any) -> Jet:
    pieces = _running(x, dim)
    axis = dim % len(x.shape) + 2
    length = max(len(piece.coefficients) for piece in pieces)
    return Jet(torch.stack([piece.coefficients[:length] for piece in pieces], axis), x.field)


def _running(x: Jet, dim: int) -> list[Jet]:
    slices: list[Jet] = list(apply(x, lambda t: t.unbind(dim)))
    for i in range(1, len(slices)):
        slices[i] = slices[i - 1] * slices[i]
    return slices


def _addcmul(site: Any, a: Any, b: Any, c: Any, *, value: float = 1) -> Any:
    return add(site, a, _mul(site, b, c), alpha=value)


RULES |= {
    "aten.add": add,
    "aten.sub": _sub,
    "aten.rsub": _rsub,
    "aten.mul": _mul,
    "aten.div": _div,
    "aten.true_divide": _div,
    "aten.neg": lambda _site, x: -x,
    "aten.pow": _pow,
    "aten.square": lambda _site, x: x * x,
    "aten.reciprocal": lambda _site, x: RECIPROCAL(x)[0],
    "aten.sqrt": lambda site, x: x * inverse_root(site, x),
    "aten.rsqrt": inverse_root,
    "aten.mean": _mean,
    "aten.var": _var,
    "aten.std": _std,
    "aten.var_mean": _with_mean(_var),
    "aten.std_mean": _with_mean(_std),
    "aten.prod": _prod,
    "aten.cumprod": _cumprod,
    "aten.linalg_vector_norm": _norm,
    "aten.norm": _norm,
    "aten.addcmul": _addcmul,
}
