"""Activations: piecewise linear ones through free gates, smooth ones through their differential equations."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from gradlaws.errors import UnsupportedError
from gradlaws.exact.constants import TINY
from gradlaws.exact.execute import RULES, Data, Masked, operation
from gradlaws.exact.formal import ERF, EXP, LOG, NORMAL, RECIPROCAL, SIGMOID, SINE, SOFTPLUS, TANH
from gradlaws.exact.jet import Jet, constant
from gradlaws.exact.rules.pooling import weighted
from gradlaws.exact.rules.structure import apply, gather
from gradlaws.exact.tape import tape_of

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
        "prelu",
        "elu",
        "celu",
        "selu",
        "hardswish",
        "hardsigmoid",
        "maximum",
        "minimum",
        "dropout",
        "native_dropout",
        "bernoulli",
    ]
)
"""Operations that need one random residue for each entry of what they return."""

POOLED = frozenset(
    f"aten.{name}"
    for name in ["amax", "amin", "max", "min", "topk", "argmax", "argmin", "sort", "argsort"]
    + [f"{kind}max_pool{axes}d" for kind in ("", "adaptive_") for axes in (1, 2, 3)]
)
"""Operations that need a random residue for each entry of their input: weights, or an order."""

ATTENTION = "aten.scaled_dot_product_attention"


def choice_shape(node: Any) -> tuple[int, ...] | None:
    """The shape of the random residues that a step of a program needs, or None."""
    name = operation(node)
    binary = name in ("aten.max", "aten.min") and len(node.all_input_nodes) > 1
    if name in GATED or binary:
        value = node.meta["val"]
        return tuple((value[0] if isinstance(value, tuple | list) else value).shape)
    if name in POOLED:
        return tuple(node.args[0].meta["val"].shape)
    if name == ATTENTION and _attention_dropout(*node.args, **node.kwargs):
        query, key = (x.meta["val"].shape for x in node.args[:2])
        return (*query[:-1], key[-2])
    return None


def _attention_dropout(
    _q: Any, _k: Any, _v: Any, _mask: Any = None, dropout_p: float = 0.0, *_: Any, **_k2: Any
) -> float:
    return dropout_p


def _gate(site: Any, x: Jet, *_args: Any, **_kwargs: Any) -> Jet:
    """``x -> gate * x``."""
    return x * site.choices


def _levels(site: Any, x: Jet, *levels: Any) -> Jet:
    """``x`` on its inner cell, constant on the outer ones: ``gate * x``, plus a generic constant unless all are zero.

    Below a tiny bound nothing is clamped: it only guards a division.
    """
    bounds = [level for level in levels if level is not None]
    if any(not isinstance(level, int | float) for level in bounds):
        raise UnsupportedError("the limits of a clamp must be numbers")
    if len(bounds) == 1 and 0 < bounds[0] <= TINY:
        return x
    gated = x * site.choices
    if not any(bounds):
        return gated
    return gated + (site.context.number(1.0) - site.choices) * site.context.number(0.7310585)


def _clamp(site: Any, x: Jet, low: Any = None, high: Any = None) -> Jet:
    return _levels(site, x, low, high)


def _extreme(site: Any, a: Any, b: Any) -> Jet:
    """The larger or smaller of two: one of them."""
    first, second = site.context.jet(a), site.context.jet(b)
    return second + site.choices * (first - second)


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
    inverse, gate, one = RECIPROCAL(site.context.number(alpha))[0], site.choices, site.context.number(1.0)
    return x * gate + (one - gate) * site.context.number(alpha) * (EXP(x * inverse)[0] - one)


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
        alive = (~x.dead).to(device=weights.coefficients.device, dtype=torch.float64)
        weights = weights * constant(alive, weights.field)
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


def _order(site: Any, dim: int) -> Tensor:
    """A random order of the entries along an axis, for each example."""
    drawn = site.choices.coefficients[0]
    _refuse_to_record(site)
    return drawn.argsort(dim % (drawn.dim() - 1) + 1)


def _refuse_to_record(site: Any) -> None:
    if tape_of(site.context.field):
        raise UnsupportedError("a certificate cannot hold a discrete choice, such as routing")


def _topk(site: Any, x: Jet, k: int, dim: int = -1, *_args: Any, **_kwargs: Any) -> tuple[Jet, Data]:
    """Routing is a discrete choice: it belongs to the instance and is drawn at random."""
    order = _order(site, dim)
    chosen = Data(order.narrow(dim % (order.dim() - 1) + 1, 0, k))
    return gather(x, dim, chosen), chosen


def _sort(site: Any, x: Jet, dim: int = -1, *_args: Any, **_kwargs: Any) -> tuple[Jet, Data]:
    return _topk(site, x, x.shape[dim], dim)


def _argsort(site: Any, _x: Jet, dim: int = -1, *_args: Any, **_kwargs: Any) -> Data:
    return Data(_order(site, dim))


def _argmax(site: Any, x: Jet, dim: int | None = None, keepdim: bool = False) -> Data:
    if dim is None:
        _refuse_to_record(site)
        return Data(site.choices.coefficients[0].flatten(1).argmax(1))
    first = _order(site, dim).select(dim % len(x.shape) + 1, 0)
    return Data(first.unsqueeze(dim % len(x.shape) + 1) if keepdim else first)


def _amax(site: Any, x: Jet, dim: Any = (), keepdim: bool = False) -> Jet:
    axes = list(range(len(x.shape))) if dim in ((), []) else dim
    return weighted(site, x, lambda t: apply(t, lambda entries: entries.sum(axes, keepdim=keepdim)))


def _max(site: Any, x: Any, dim: Any = None, keepdim: bool = False) -> Any:
    """The largest of all entries, or values and places along an axis."""
    if dim is None:
        return _amax(site, x)
    if not isinstance(dim, int):  # the other of two tensors
        return _extreme(site, x, dim)
    place = _argmax(site, x, dim, True)
    value = gather(x, dim, place)
    if keepdim:
        return value, place
    axis = dim % len(x.shape)
    return apply(value, lambda t: t.squeeze(axis)), Data(place.values.squeeze(axis + 1))


def _sin(site: Any, x: Any) -> Jet:
    return SINE(x)[0] if isinstance(x, Jet) else _table(site, x, 0)


def _cos(site: Any, x: Any) -> Jet:
    return SINE(x)[1] if isinstance(x, Jet) else _table(site, x, 1)


def _table(site: Any, angles: Any, which: int) -> Jet:
    return constant(site.context.residues.circle(angles)[which].unsqueeze(0), site.context.field)


def _dropout(site: Any, x: Any, _p: float, train: bool) -> Any:
    return _gate(site, x) if train else x


RULES |= {f"aten.{name}": _gate for name in ("relu", "leaky_relu", "rrelu", "abs")}
RULES |= {f"aten.{name}": _max for name in ("max", "min")}
RULES |= {f"aten.{name}": _argmax for name in ("argmax", "argmin")}
RULES |= {f"aten.{name}": _extreme for name in ("maximum", "minimum")}
RULES |= {f"aten.{name}": _clamp for name in ("clamp", "clamp_min", "clamp_max")}
RULES |= {
    "aten.hardtanh": lambda site, x, low=-1.0, high=1.0: _levels(site, x, low, high),
    "aten.relu6": lambda site, x: _levels(site, x, 0.0, 6.0),
    "aten.hardsigmoid": lambda site, x: _levels(site, x, 0.0, 1.0),
    "aten.threshold": lambda site, x, _threshold, value: _levels(site, x, value),
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
    "aten.amax": _amax,
    "aten.amin": _amax,
    "aten.argsort": _argsort,
    "aten.topk": _topk,
    "aten.sort": _sort,
    "aten.dropout": _dropout,
    "aten.native_dropout": lambda site, x, p, train: (_dropout(site, x, p, train is not False), None),
    "aten.bernoulli": lambda site, *_args, **_kwargs: site.choices,
}
