"""Normalisations, written out in elementary operations: the built-in ones have wrong third derivatives (torch 2.13)."""

from __future__ import annotations

from typing import Any

from gradlaws.exact.execute import RULES
from gradlaws.exact.formal import INVERSE_ROOT, RECIPROCAL, Formal, constant_like, draw_value, is_square
from gradlaws.exact.jet import Jet
from gradlaws.exact.rules.structure import apply
from gradlaws.exact.tape import tape_of

FREE_ROOT = Formal(
    "inverse square root up to a factor",
    lambda u, f: [draw_value(u, "root", f)],
    lambda v, u: [-(constant_like((u.field.prime + 1) // 2, u) * (v[0] * RECIPROCAL(u)[0]))],
)


_MACHINE = 1.1920928955078125e-07
"""The epsilon of torch.nn.RMSNorm where none is given: that of single precision."""


def inverse_root(site: Any, x: Jet) -> Jet:
    """``x**(-1/2)``; reports which examples have square radicands only."""
    if site.context.free_roots:
        return FREE_ROOT(x)[0]
    if tape_of(x.field):
        return INVERSE_ROOT(x)[0]
    site.context.squares.append(is_square(x.coefficients[0].detach(), x.field).reshape(x.coefficients.shape[1], -1))
    return INVERSE_ROOT(x)[0]


def _centred(site: Any, x: Jet, axes: list[int]) -> Jet:
    return x - _average(site, x, axes)


def _average(site: Any, x: Jet, axes: list[int]) -> Jet:
    count = 1
    for axis in axes:
        count *= x.shape[axis]
    total: Jet = apply(x, lambda t: t.sum(axes, keepdim=True))
    return total * RECIPROCAL(site.context.number(count))[0]


def _scaled(site: Any, x: Jet, axes: list[int], eps: float) -> Jet:
    """Divide by the root of the mean square over some axes."""
    return x * inverse_root(site, _average(site, x * x, axes) + site.context.epsilon(eps))


def _affine(site: Any, x: Jet, weight: Any, bias: Any, trailing: int = 0) -> Jet:
    """Gain and shift along the axis that `trailing` more axes follow."""
    for parameter, combine in ((weight, Jet.__mul__), (bias, Jet.__add__)):
        if parameter is not None:
            jet = site.context.jet(parameter)
            c = jet.coefficients
            x = combine(x, Jet(c.reshape(*c.shape, *[1] * trailing), x.field))
    return x


def _layer_norm(
    site: Any, x: Jet, shape: list[int], weight: Any = None, bias: Any = None, eps: float = 1e-5, *_: Any
) -> Jet:
    axes = list(range(-len(shape), 0))
    return _affine(site, _scaled(site, _centred(site, x, axes), axes, eps), weight, bias)


def _rms_norm(site: Any, x: Jet, shape: list[int], weight: Any = None, eps: float | None = None) -> Jet:
    return _affine(site, _scaled(site, x, list(range(-len(shape), 0)), _MACHINE if eps is None else eps), weight, None)


def _group_norm(
    site: Any, x: Jet, groups: int, weight: Any = None, bias: Any = None, eps: float = 1e-5, *_: Any
) -> Jet:
    shape = tuple(x.shape)
    grouped: Jet = apply(x, lambda t: t.reshape(shape[0], groups, -1))
    scaled = _scaled(site, _centred(site, grouped, [-1]), [-1], eps)
    back: Jet = apply(scaled, lambda t: t.reshape(shape))
    return _affine(site, back, weight, bias, len(shape) - 2)


def _instance_norm(
    site: Any,
    x: Jet,
    weight: Any,
    bias: Any,
    mean: Any,
    var: Any,
    use_input: bool,
    momentum: float,
    eps: float,
    *_: Any,
) -> Jet:
    """Statistics of each example and channel, or the running ones where these are used."""
    if not use_input:
        return _batch_norm_eval(site, x, weight, bias, mean, var, momentum, eps)[0]
    axes = list(range(2, len(x.shape)))
    return _affine(site, _scaled(site, _centred(site, x, axes), axes, eps), weight, bias, len(x.shape) - 2)


def _batch_norm_train(site: Any, x: Jet, weight: Any, bias: Any, *rest: Any) -> tuple[Jet, None, None]:
    axes, eps = [0, *range(2, len(x.shape))], rest[-1]
    normal = _scaled(site, _centred(site, x, axes), axes, eps)
    return _affine(site, normal, weight, bias, len(x.shape) - 2), None, None


def _batch_norm_functional(site: Any, x: Jet, weight: Any, bias: Any, *rest: Any) -> tuple[Any, ...]:
    mean, var, *_ = rest
    return (*_batch_norm_train(site, x, weight, bias, rest[-1]), mean, var)


def _batch_norm_eval(
    site: Any, x: Jet, weight: Any, bias: Any, mean: Any, var: Any, _momentum: float, eps: float
) -> tuple[Jet, None, None]:
    trailing = len(x.shape) - 2
    centred = _affine(site, x, None, -site.context.jet(mean), trailing)
    scale = RECIPROCAL(site.context.jet(var) + site.context.epsilon(eps))[0]
    # The running variance is a constant: its inverse root is a number of its own, any nonzero factor of each channel.
    return _affine(site, _affine(site, centred, scale, None, trailing), weight, bias, trailing), None, None


def _weight_norm(site: Any, v: Jet, g: Any, dim: int = 0) -> Jet:
    axes = [axis for axis in range(len(v.shape)) if axis != dim % len(v.shape)]
    squares: Jet = apply(v * v, lambda t: t.sum(axes, keepdim=True))
    return v * (inverse_root(site, squares) * site.context.jet(g))


RULES |= {
    "aten.layer_norm": _layer_norm,
    "aten.rms_norm": _rms_norm,
    "aten.group_norm": _group_norm,
    "aten.instance_norm": _instance_norm,
    "aten._native_batch_norm_legit_no_training": _batch_norm_eval,
    "aten._native_batch_norm_legit": _batch_norm_train,
    "aten._native_batch_norm_legit_functional": _batch_norm_functional,
    "aten._weight_norm": _weight_norm,
    "aten._weight_norm_interface": lambda site, v, g, dim=0: (_weight_norm(site, v, g, dim), None),
}
