"""Operations that move, copy, select or add up entries: linear maps with coefficients 0 and 1."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from gradlaws.errors import UnsupportedError
from gradlaws.exact import autodiff
from gradlaws.exact.constants import MINUS_INFINITY
from gradlaws.exact.execute import RULES, Data, Masked
from gradlaws.exact.jet import Jet

aten = torch.ops.aten

_MOVES = [
    "view",
    "reshape",
    "permute",
    "transpose",
    "t",
    "expand",
    "unsqueeze",
    "squeeze",
    "slice",
    "select",
    "split",
    "split_with_sizes",
    "chunk",
    "unbind",
    "clone",
    "alias",
    "contiguous",
    "flatten",
    "unflatten",
    "movedim",
    "narrow",
    "flip",
    "roll",
    "repeat",
    "repeat_interleave",
    "pixel_shuffle",
    "unfold",
    "diagonal",
    "tril",
    "triu",
    "constant_pad_nd",
    "pad",
    "index_select",
    "upsample_nearest1d",
    "upsample_nearest2d",
    "lift_fresh_copy",
    "lift_fresh",
    "_unsafe_view",
    "swapaxes",
    "adjoint",
    "mT",
    "diag_embed",
    "im2col",
    "unfold_copy",
    "rot90",
    "channel_shuffle",
    "select_copy",
]
_SUMS = ("sum", "cumsum", "trace")


def apply(x: Jet, op: Callable[[Tensor], Any]) -> Any:
    """A linear map of one array, applied to every coefficient of every example."""
    coefficients = x.coefficients
    lead = coefficients.shape[:2]
    out = torch.vmap(op)(coefficients.flatten(0, 1))
    return pytree.tree_map(lambda y: Jet(autodiff.reduce(y.unflatten(0, lead), x.field), x.field), out)


def _linear(op: Any) -> Callable[..., Any]:
    def rule(_site: Any, x: Any, *args: Any, **kwargs: Any) -> Any:
        if isinstance(x, Masked):
            moved = apply(x.jet, lambda t: op(t, *args, **kwargs))
            return Masked(moved, op(x.dead.expand(x.jet.shape), *args, **kwargs))
        return apply(x, lambda t: op(t, *args, **kwargs))

    return rule


def _no_memory_format(op: Any) -> Callable[..., Any]:
    inner = _linear(op)
    return lambda site, x, *_args, **_kwargs: inner(site, x)


def _same(_site: Any, x: Any, *_args: Any, **_kwargs: Any) -> Any:
    """Casts and copies: inside the field every one is the identity."""
    return x


def _detach(_site: Any, x: Jet) -> Jet:
    return Jet(x.coefficients.detach(), x.field)


def _getitem(_site: Any, x: Any, index: int) -> Any:
    return x[index]


def _common(site: Any, items: list[Any]) -> tuple[list[Tensor], Any]:
    """Coefficients of several values with as many nilpotents and examples each."""
    jets = [site.context.jet(item) for item in items]
    lead = tuple(max(jet.coefficients.shape[axis] for jet in jets) for axis in (0, 1))
    out = []
    for jet in jets:
        c = jet.coefficients
        if len(c) < lead[0]:
            c = torch.cat([c, c.new_zeros(lead[0] - len(c), *c.shape[1:])])
        out.append(c.expand(*lead, *jet.shape))
    return out, jets[0].field


def _cat(site: Any, items: list[Any], dim: int = 0) -> Jet:
    coefficients, field = _common(site, items)
    return Jet(torch.cat(coefficients, dim % (coefficients[0].dim() - 2) + 2), field)


def _stack(site: Any, items: list[Any], dim: int = 0) -> Jet:
    coefficients, field = _common(site, items)
    return Jet(torch.stack(coefficients, dim % (coefficients[0].dim() - 1) + 2), field)


def _indexed(x: Jet, pick: Callable[..., Tensor], *indices: Any) -> Jet:
    """Select entries with indices that may differ from example to example."""
    if not any(isinstance(index, Data) for index in indices):
        picked: Jet = apply(x, lambda t: pick(t, *indices))
        return picked
    batch = next(len(index.values) for index in indices if isinstance(index, Data))
    values = [index.values if isinstance(index, Data) else index for index in indices]
    axes = tuple(0 if isinstance(index, Data) else None for index in indices)
    c = x.coefficients.expand(-1, batch, *x.shape)
    inner = torch.vmap(pick, in_dims=(0, *[None] * len(indices)))
    out = torch.vmap(inner, in_dims=(1, *axes), out_dims=1)(c, *values)
    return Jet(out, x.field)


def _embedding(_site: Any, weight: Jet, indices: Any, *_args: Any) -> Jet:
    return _indexed(weight, lambda w, i: w[i], indices)


def _index(_site: Any, x: Jet, indices: list[Any]) -> Jet:
    return _indexed(x, lambda t, *i: aten.index(t, list(i)), *indices)


def gather(x: Jet, dim: int, index: Any) -> Jet:
    """torch.gather, with an index that may differ from example to example."""
    return _indexed(x, lambda t, i: torch.gather(t, dim, i), index)


def _where(site: Any, condition: Any, a: Any, b: Any) -> Any:
    keep = site.context.jet(condition)
    one = site.context.number(1.0)
    if is_minus_infinity(b) and not isinstance(condition, Data):
        return Masked(site.context.jet(a), ~condition)
    if is_minus_infinity(a) and not isinstance(condition, Data):
        return Masked(site.context.jet(b), condition)
    return keep * site.context.jet(a) + (one - keep) * site.context.jet(b)


def _masked_fill(site: Any, x: Any, mask: Any, value: Any) -> Any:
    return _where(site, mask, value, x)


def is_minus_infinity(value: Any) -> bool:
    """Whether a number, or every entry of a constant tensor, stands for minus infinity."""
    if isinstance(value, Tensor):
        return value.is_floating_point() and bool((value <= MINUS_INFINITY).all())
    return isinstance(value, float) and value <= MINUS_INFINITY


def _refuse_value(_site: Any, *_args: Any, **_kwargs: Any) -> Any:
    raise UnsupportedError(
        "the program branches on values that depend on the parameters, so it has no single polynomial form: "
        "use torch.relu, torch.abs, torch.clamp or a mask made of constants instead"
    )


def _expand_as(_site: Any, x: Jet, other: Any) -> Jet:
    shape = other.shape
    expanded: Jet = apply(x, lambda t: t.expand(shape))
    return expanded


RULES |= {f"aten.{name}": _linear(getattr(aten, name)) for name in _MOVES + list(_SUMS) if hasattr(aten, name)}
RULES |= {f"aten.{name}": _linear(aten.reshape) for name in ("view", "_unsafe_view")}
RULES |= {f"aten.{name}": _no_memory_format(lambda t: t.clone()) for name in ("clone", "contiguous")}
RULES |= {f"aten.{name}": _same for name in ("to", "_to_copy", "type_as", "float", "double", "half", "bfloat16")}
RULES |= {f"aten.{name}": _refuse_value for name in ("gt", "lt", "ge", "le", "eq", "ne", "sign", "round", "floor")}
RULES |= {f"aten.{name}": _refuse_value for name in ("ceil", "argsort", "isnan", "isinf", "item", "nonzero")}
RULES |= {
    "getitem": _getitem,
    "aten.detach": _detach,
    "aten.cat": _cat,
    "aten.concat": _cat,
    "aten.stack": _stack,
    "aten.embedding": _embedding,
    "aten.index": _index,
    "aten.gather": lambda _site, x, dim, index, **_k: gather(x, dim, index),
    "aten.where": _where,
    "aten.masked_fill": _masked_fill,
    "aten.expand_as": _expand_as,
    "aten._assert_tensor_metadata": lambda *_a, **_k: None,
}
