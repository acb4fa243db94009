"""Activations: piecewise linear ones through free gates, smooth ones through their differential equations."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from gradlaws.errors import UnsupportedError
from gradlaws.exact.execute import RULES, Data, Masked
from gradlaws.exact.formal import ERF, EXP, LOG, NORMAL, RECIPROCAL, SIGMOID, SINE, SOFTPLUS, TANH
from gradlaws.exact.jet import Jet, constant
from gradlaws.exact.rules.structure import apply, gather

GATED = frozenset(
    f"aten.{name}"
    for name in [
        "relu",
        "leaky_relu",
        "rrelu",
        "abs",
        "hardtanh",
        "relu6",
        "clamp",
        "clamp_min",
        "clamp_max",
        "threshold",
    ]
) | {
    "aten.prelu",
    "aten.elu",
    "aten.celu",
    "aten.selu",
    "aten.hardswish",
    "aten.hardsigmoid",
    "aten.dropout",
    "aten.native_dropout",
}
"""Operations that need one random residue for each entry."""

POOLED = frozenset({"aten.max_pool2d", "aten.amax", "aten.topk", "aten.argmax", "aten.sort"})
"""Operations that need a random residue for each entry of their input: weights, or an order."""


def _gate(site: Any, x: Jet, *_args: Any, **_kwargs: Any) -> Jet:
    """``x -> gate * x``."""
    return x * site.choices


def _saturated(site: Any, x: Jet, *_args: Any, **_kwargs: Any) -> Jet:
    """``x -> gate * x + (1 - gate) * level``: on its outer cells the unit is constant."""
    gate = site.choices
    return x * gate + (site.context.number(1.0) - gate) * site.context.number(0.7310585)


def _prelu(site: Any, x: Jet, slope: Any) -> Jet:
    """``x -> gate * x + (1 - gate) * slope * x``; the slope is a parameter, one for each channel or one for all."""
    jet, gate = site.context.jet(slope), site.choices
    c = jet.coefficients
    if jet.shape.numel() > 1:
        jet = Jet(c.reshape(*c.shape, *[1] * (len(x.shape) - 2)), x.field)
    return x * (gate + (site.context.number(1.0) - gate) * jet)


def _elu(site: Any, x: Jet, alpha: float = 1.0, scale: float = 1.0, input_scale: float = 1.0) -> Jet:
    number, gate = site.context.number, site.choices
    low = number(alpha) * (EXP(x * number(input_scale))[0] - number(1.0))
    return (x * gate + (number(1.0) - gate) * low) * number(scale)


def _celu(site: Any, x: Jet, alpha: float = 1.0) -> Jet:
    return _elu(site, x, alpha, 1.0, 1.0 / alpha)


def _selu(site: Any, x: Jet) -> Jet:
    return _elu(site, x, 1.6732632423543772, 1.0507009873554805)


def _hardswish(site: Any, x: Jet) -> Jet:
    """``x * (x + 3) / 6`` between two linear cells."""
    number, gate = site.context.number, site.choices
    return x * (gate * (x + number(3.0)) * RECIPROCAL(number(6.0))[0] + (number(1.0) - gate))


def _gelu(site: Any, x: Jet, *, approximate: str = "none") -> Jet:
    if approximate == "none":
        return x * NORMAL(x)[0]
    number = site.context.number
    inner = number(0.7978845608028654) * (x + number(0.044715) * (x * x * x))
    return x * (TANH(inner)[0] + number(1.0)) * number(0.5)


def _silu(_site: Any, x: Jet) -> Jet:
    return x * SIGMOID(x)[0]


def _mish(_site: Any, x: Jet) -> Jet:
    return x * TANH(SOFTPLUS(x)[0])[0]


def _softplus(site: Any, x: Jet, beta: float = 1.0, _threshold: float = 20.0) -> Jet:
    number = site.context.number(beta)
    return SOFTPLUS(x * number)[0] * RECIPROCAL(number)[0]


def softmax(site: Any, x: Any, dim: int, *_args: Any, **_kwargs: Any) -> Jet:
    """Exponentials over their sum; masked entries weigh zero."""
    if isinstance(x, Masked):
        weights = EXP(x.jet)[0]
        alive = (~x.dead).to(torch.float64).to(weights.coefficients.device)
        weights = weights * constant(alive.unsqueeze(0), weights.field)
    else:
        weights = EXP(x)[0]
    total: Jet = apply(weights, lambda t: t.sum(dim, keepdim=True))
    return weights * RECIPROCAL(total)[0]


def _log_softmax(site: Any, x: Any, dim: int, *_args: Any, **_kwargs: Any) -> Jet:
    if isinstance(x, Masked):
        raise UnsupportedError("log_softmax of masked entries is minus infinity: use softmax")
    total: Jet = apply(EXP(x)[0], lambda t: t.sum(dim, keepdim=True))
    return x - LOG(total)[0]


def _logsumexp(_site: Any, x: Jet, dim: Any, keepdim: bool = False) -> Jet:
    total: Jet = apply(EXP(x)[0], lambda t: t.sum(dim, keepdim=keepdim))
    return LOG(total)[0]


def _max_pool(site: Any, x: Jet, *args: Any, **kwargs: Any) -> Jet:
    """Random weights on every entry, added over each window."""
    window = torch.nn.functional.avg_pool2d if args and isinstance(args[0], list) and len(args[0]) == 2 else None
    if window is None:
        raise UnsupportedError("max_pool1d and max_pool3d have no exact rule: use max_pool2d")
    size, stride, padding = args[0], (args[1] if len(args) > 1 else []), (args[2] if len(args) > 2 else 0)
    pooled: Jet = apply(x * site.choices, lambda t: window(t, size, stride or size, padding, divisor_override=1))
    return pooled


def _amax(site: Any, x: Jet, dim: Any = (), keepdim: bool = False) -> Jet:
    axes = list(range(len(x.shape))) if dim in ((), []) else dim
    chosen: Jet = apply(x * site.choices, lambda t: t.sum(axes, keepdim=keepdim))
    return chosen


def _order(site: Any, dim: int) -> Tensor:
    """A random order of the entries along an axis, for each example."""
    drawn = site.choices.coefficients[0]
    return drawn.argsort(dim % (drawn.dim() - 1) + 1)


def _topk(site: Any, x: Jet, k: int, dim: int = -1, *_args: Any, **_kwargs: Any) -> tuple[Jet, Data]:
    """Routing is a discrete choice: it belongs to the instance and is drawn at random."""
    order = _order(site, dim)
    chosen = Data(order.narrow(dim % (order.dim() - 1) + 1, 0, k))
    return gather(x, dim, chosen), chosen


def _sort(site: Any, x: Jet, dim: int = -1, *_args: Any, **_kwargs: Any) -> tuple[Jet, Data]:
    return _topk(site, x, x.shape[dim], dim)


def _argmax(site: Any, x: Jet, dim: int, keepdim: bool = False) -> Data:
    first = _order(site, dim).select(dim % len(x.shape) + 1, 0)
    return Data(first.unsqueeze(dim % len(x.shape) + 1) if keepdim else first)


def _sin(site: Any, x: Any) -> Jet:
    return SINE(x)[0] if isinstance(x, Jet) else _table(site, x, 0)


def _cos(site: Any, x: Any) -> Jet:
    return SINE(x)[1] if isinstance(x, Jet) else _table(site, x, 1)


def _table(site: Any, angles: Any, which: int) -> Jet:
    return constant(site.context.residues.circle(angles)[which].unsqueeze(0), site.context.field)


def _dropout(site: Any, x: Any, _p: float, train: bool) -> Any:
    return _gate(site, x) if train else x


RULES |= {f"aten.{name}": _gate for name in ("relu", "leaky_relu", "rrelu", "abs", "threshold")}
RULES |= {
    f"aten.{name}": _saturated for name in ("hardtanh", "relu6", "clamp", "clamp_min", "clamp_max", "hardsigmoid")
}
RULES |= {
    "aten.prelu": _prelu,
    "aten.elu": _elu,
    "aten.celu": _celu,
    "aten.selu": _selu,
    "aten.hardswish": _hardswish,
    "aten.gelu": _gelu,
    "aten.silu": _silu,
    "aten.mish": _mish,
    "aten.softplus": _softplus,
    "aten.sigmoid": lambda _site, x: SIGMOID(x)[0],
    "aten.log_sigmoid": lambda _site, x: -SOFTPLUS(-x)[0],
    "aten.tanh": lambda _site, x: TANH(x)[0],
    "aten.erf": lambda _site, x: ERF(x)[0],
    "aten.exp": lambda _site, x: EXP(x)[0],
    "aten.log": lambda _site, x: LOG(x)[0],
    "aten.sin": _sin,
    "aten.cos": _cos,
    "aten.softmax": softmax,
    "aten._softmax": softmax,
    "aten.log_softmax": _log_softmax,
    "aten._log_softmax": _log_softmax,
    "aten.logsumexp": _logsumexp,
    "aten.max_pool2d": _max_pool,
    "aten.amax": _amax,
    "aten.topk": _topk,
    "aten.sort": _sort,
    "aten.argmax": _argmax,
    "aten.dropout": _dropout,
    "aten.native_dropout": lambda site, x, p, train: (_dropout(site, x, p, train), None),
}
