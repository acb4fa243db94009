"""Operations on entries: sums, scalings, powers, activations. A piecewise linear unit is a gate times its argument."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import torch
from torch import Tensor

from gradlaws.exact.constants import is_small
from gradlaws.exact.dual.arrays import add, inverse_root, multiply, pointwise, reciprocal, smooth
from gradlaws.exact.dual.cells import DEAD, NOTHING, ONE, ZERO, Dual, NotProvedError
from gradlaws.exact.dual.run import DUAL_RULES, STRUCTURAL, Entries, Site, Unknown
from gradlaws.exact.polynomial import variable

_HIGHEST = 12
"""Twice the highest power that is multiplied out."""

_TINY = 1e-3
"""As in the rules of the field: a positive constant below this, added to something, is an epsilon."""


def _scaled(site: Site, x: Any, factor: float) -> Tensor:
    cells = site.entries(x)
    return cells if factor == 1 else multiply(site.cells, cells, site.entries(factor))


def _add(site: Site, a: Any, b: Any, *, alpha: float = 1) -> Any:
    if not site.node.meta["val"].is_floating_point() or any(isinstance(x, Unknown) for x in (a, b)):
        return _without_unknown(site, a, b)
    right = site.epsilon(b) if isinstance(b, float) and 0 < b <= _TINY else _scaled(site, b, alpha)
    return Entries(add(site.cells, site.entries(a), right))


def _without_unknown(site: Site, *arguments: Any) -> Any:
    for x in arguments:
        if isinstance(x, Entries) and bool(site.cells.moving(x.cells).any()):
            raise NotProvedError(f"{site.node.target} of numbers that differ from example to example")
    return site.still()


def _sub(site: Site, a: Any, b: Any, *, alpha: float = 1) -> Any:
    return Entries(add(site.cells, site.entries(a), _scaled(site, b, -alpha)))


def _rsub(site: Site, a: Any, b: Any, alpha: float = 1) -> Any:
    return _sub(site, b, a, alpha=alpha)


def _mul(site: Site, a: Any, b: Any) -> Any:
    if any(isinstance(x, Unknown) for x in (a, b)):
        return _without_unknown(site, a, b)
    return _times(site, site.entries(a), site.entries(b), isinstance(b, int | float) and b > 0)


def _times(site: Site, a: Tensor, b: Tensor, positive: bool) -> Entries:
    """The product; a mask times a positive number stays a mask."""
    a, b = torch.broadcast_tensors(a, b)
    dead = (a == DEAD) & positive
    return Entries(multiply(site.cells, a.masked_fill(dead, ZERO), b).masked_fill(dead, DEAD))


def _div(site: Site, a: Any, b: Any, *, rounding_mode: str | None = None) -> Any:
    if rounding_mode is not None or any(isinstance(x, Unknown) for x in (a, b)):
        return _without_unknown(site, a, b)
    if not isinstance(b, int | float):
        return _times(site, site.entries(a), reciprocal(site.cells, site.entries(b)), False)
    exact = Fraction(b)
    small = is_small(exact) and exact != 0
    inverse = site.cells.number(1 / exact) if small else site.cells.known(("over", float(b)), site.cells.one)
    return _times(site, site.entries(a), torch.tensor(inverse), b > 0)


def power(site: Site, x: Tensor, exponent: float) -> Tensor:
    """Whole and half-whole powers by products, reciprocals and inverse roots; others are smooth functions."""
    doubled = 2 * Fraction(exponent)
    if doubled.denominator != 1 or abs(doubled) > _HIGHEST:
        return smooth(site.cells, f"power {exponent}", x)
    whole, root = divmod(int(doubled), 2)  # x**(n + 1/2) = x**(n + 1) * x**(-1/2)
    base = x if whole + root >= 0 else reciprocal(site.cells, x)
    factors = [base] * abs(whole + root) + [inverse_root(site.cells, x)] * root
    if not factors:
        return site.entries(1).expand(x.shape)
    result = factors[0]
    for factor in factors[1:]:
        result = multiply(site.cells, result, factor)
    return result


def _pow(site: Site, x: Any, exponent: Any) -> Any:
    if not isinstance(exponent, int | float):
        raise NotProvedError("an exponent that is no number")
    return Entries(power(site, site.entries(x), exponent))


def _addcmul(site: Site, a: Any, b: Any, c: Any, *, value: float = 1) -> Any:
    return _add(site, a, _mul(site, b, c), alpha=value)


def _gated(site: Site, x: Any, *_args: Any, **_kwargs: Any) -> Any:
    """Homogeneous units: ``x -> gate * x``."""
    cells = site.entries(x)
    return Entries(multiply(site.cells, cells, site.cells.fresh(cells.shape)))


def _bent(site: Site, x: Any, *_args: Any, **_kwargs: Any) -> Any:
    """Units that are linear, constant or smooth in pieces: the slope is a number of each entry, so is the value."""
    cells = site.cells

    def bent(entry: Dual) -> Dual:
        return Dual(variable(cells.one()), cells.times(Dual(variable(cells.one()), NOTHING), entry).tangent)

    return Entries(pointwise(cells, bent, site.entries(x)))


def _prelu(site: Site, x: Any, slope: Any) -> Any:
    """``x -> gate * x + (1 - gate) * slope * x``; the slope is a parameter, one for each channel or one for all."""
    cells, a = site.entries(x), site.entries(slope)
    if a.numel() > 1:
        a = a.reshape(-1, *[1] * (cells.dim() - 2))

    def unit(entry: Dual, steep: Dual, gate: Dual) -> Dual:
        shut = Dual(ONE, NOTHING) + gate * -1
        return site.cells.times(entry, gate + site.cells.times(shut, steep))

    return Entries(pointwise(site.cells, unit, cells, a, site.cells.fresh(cells.shape)))


def _dropout(site: Site, x: Any, _p: float, train: bool) -> Any:
    return _gated(site, x) if train else x


def _smooth(name: str) -> Callable[..., Any]:
    def rule(site: Site, x: Any, *args: Any, **kwargs: Any) -> Any:
        options = f"{name} {args} {sorted(kwargs.items())}" if args or kwargs else name
        return Entries(smooth(site.cells, options, site.entries(x)))

    return rule


_GATED = ("relu", "leaky_relu", "rrelu", "abs")
_BENT = ("threshold", "hardtanh", "relu6", "clamp", "clamp_min", "clamp_max", "hardsigmoid", "elu", "celu", "selu")
_SMOOTH = ("gelu", "silu", "mish", "sigmoid", "tanh", "softplus", "log_sigmoid", "erf", "exp", "log", "sin", "cos")

DUAL_RULES |= {f"aten.{name}": _gated for name in _GATED}
DUAL_RULES |= {f"aten.{name}": _bent for name in (*_BENT, "hardswish")}
DUAL_RULES |= {f"aten.{name}": _smooth(name) for name in _SMOOTH}
DUAL_RULES |= {
    "aten.add": _add,
    "aten.sub": _sub,
    "aten.rsub": _rsub,
    "aten.mul": _mul,
    "aten.div": _div,
    "aten.true_divide": _div,
    "aten.neg": lambda site, x: _mul(site, x, -1),
    "aten.pow": _pow,
    "aten.square": lambda site, x: _pow(site, x, 2),
    "aten.sqrt": lambda site, x: _pow(site, x, 0.5),
    "aten.rsqrt": lambda site, x: _pow(site, x, -0.5),
    "aten.reciprocal": lambda site, x: _pow(site, x, -1),
    "aten.addcmul": _addcmul,
    "aten.prelu": _prelu,
    "aten.dropout": _dropout,
    "aten.native_dropout": lambda site, x, p, train: (_dropout(site, x, p, train), site.still()[1]),
}
STRUCTURAL |= {"aten.add", "aten.mul", "aten.div"}
