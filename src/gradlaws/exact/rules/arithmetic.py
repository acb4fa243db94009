"""Sums, scalings, powers and roots of entries."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from gradlaws.errors import UnsupportedError
from gradlaws.exact.constants import MINUS_INFINITY
from gradlaws.exact.execute import RULES, Masked
from gradlaws.exact.formal import RECIPROCAL
from gradlaws.exact.jet import Jet
from gradlaws.exact.rules.normalise import inverse_root
from gradlaws.exact.rules.structure import apply

_TINY = 1e-3
"""A positive constant below this, added to something, is the epsilon of a normalisation."""


def _add(site: Any, a: Any, b: Any, *, alpha: float = 1) -> Any:
    for x, y in ((a, b), (b, a)):
        if isinstance(y, Tensor) and y.is_floating_point() and bool((y <= MINUS_INFINITY).any()):
            dead = y <= MINUS_INFINITY
            return Masked(site.context.jet(x) + site.context.jet(y.masked_fill(dead, 0.0)), dead)
        if isinstance(x, Masked):
            return Masked(x.jet + site.context.jet(y), x.dead)
    if isinstance(b, float) and 0 < b <= _TINY:
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


def mean(site: Any, x: Jet, dim: Any = None, keepdim: bool = False) -> Jet:
    """Exact mean over some axes."""
    axes = list(range(len(x.shape))) if dim is None or dim == [] else ([dim] if isinstance(dim, int) else list(dim))
    count = 1
    for axis in axes:
        count *= x.shape[axis]
    total: Jet = apply(x, lambda t: t.sum(axes, keepdim=keepdim))
    return total * RECIPROCAL(site.context.number(count))[0]


def _mean(site: Any, x: Jet, dim: Any = None, keepdim: bool = False, **_kwargs: Any) -> Jet:
    return mean(site, x, dim, keepdim)


def _var(site: Any, x: Jet, dim: Any = None, *, correction: float = 1, keepdim: bool = False) -> Jet:
    centred = x - mean(site, x, dim, True)
    size = 1
    for axis in range(len(x.shape)) if dim is None else dim:
        size *= x.shape[axis]
    total: Jet = apply(centred * centred, lambda t: t.sum(dim, keepdim=keepdim))
    return total * RECIPROCAL(site.context.number(size - correction))[0]


def _norm(site: Any, x: Jet, order: Any = 2, dim: Any = None, keepdim: bool = False, **_kwargs: Any) -> Jet:
    if float(order) != 2:
        raise UnsupportedError(f"the vector norm of order {order} has no exact rule: only order 2 has")
    squares: Jet = apply(x * x, lambda t: t.sum(dim, keepdim=keepdim))
    return squares * inverse_root(site, squares)


def _addcmul(site: Any, a: Any, b: Any, c: Any, *, value: float = 1) -> Any:
    return _add(site, a, _mul(site, b, c), alpha=value)


RULES |= {
    "aten.add": _add,
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
    "aten.linalg_vector_norm": _norm,
    "aten.norm": _norm,
    "aten.addcmul": _addcmul,
    "aten.zeros_like": lambda _site, x, **_k: torch.zeros(x.shape),
    "aten.ones_like": lambda _site, x, **_k: torch.ones(x.shape),
}
