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
from gradlaws.exact.execute import RULES, TAKES_MASKS, Data, Masked, OneHot
from gradlaws.exact.jet import Jet
from gradlaws.exact.tape import tape_of

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
    "index_select",
    "upsample_nearest1d",
    "upsample_nearest2d",
    "upsample_nearest3d",
    "pixel_unshuffle",
    "col2im",
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
_WRITES = ("slice_scatter", "scatter", "scatter_add", "index_add", "index_put")
_BLANKS = ("zeros_like", "ones_like", "full_like", "new_zeros", "new_ones", "new_full", "new_empty", "empty_like")


def apply(x: Jet, op: Callable[[Tensor], Any]) -> Any:
    """A linear map of one array, applied to every coefficient of every example."""
    coefficients = x.coefficients
    if tape := tape_of(x.field):
        return pytree.tree_map(lambda y: Jet(y, x.field), tape.linear(op, coefficients))
    lead = coefficients.shape[:2]
    out = torch.vmap(op)(coefficients.flatten(0, 1))
    return pytree.tree_map(lambda y: Jet(autodiff.reduce(y.unflatten(0, lead), x.field), x.field), out)


def _linear(op: Any) -> Callable[..., Any]:
    def rule(_site: Any, x: Any, *args: Any, **kwargs: Any) -> Any:
        if isinstance(x, Masked):
            moved = apply(x.jet, lambda t: op(t, *args, **kwargs))
            dead = torch.vmap(lambda t: op(t, *args, **kwargs))(x.dead.expand(-1, *x.jet.shape))
            return pytree.tree_map(Masked, moved, dead)
        return apply(x, lambda t: op(t, *args, **kwargs))

    return rule


def _no_memory_format(op: Any) -> Callable[..., Any]:
    inner = _linear(op)
    return lambda site, x, *_args, **_kwargs: inner(site, x)


def _sum(op: Any) -> Callable[..., Any]:
    """Sums do not change their type on the way: residues stay exact."""
    inner = _linear(op)

    def rule(site: Any, x: Any, *args: Any, **kwargs: Any) -> Any:
        return inner(site, x, *args, **{name: value for name, value in kwargs.items() if name != "dtype"})

    return rule


def _pad(_site: Any, x: Jet, widths: list[int], mode: Any = "constant", value: float | None = None) -> Jet:
    """Copies of entries, or a constant, which is no part of any derivative."""
    if not isinstance(mode, str):
        mode, value = "constant", mode  # as constant_pad_nd has it
    padded: Jet = apply(x, lambda t: aten.pad(t, widths, mode))
    if mode != "constant" or not value:
        return padded
    frame = aten.pad(torch.zeros(x.shape), widths, "constant", 1.0)
    return padded + _site.context.jet(frame) * _site.context.number(value)


def _same(_site: Any, x: Any, *_args: Any, **_kwargs: Any) -> Any:
    """Casts and copies: inside the field every one is the identity."""
    return x


def _detach(_site: Any, x: Jet) -> Jet:
    return Jet(_stopped(x), x.field)


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


def _embedding(_site: Any, weight: Jet, indices: Any, padding: int = -1, *_args: Any) -> Jet:
    """Rows of a table; the row of the padding is never trained."""
    if padding >= 0:
        c = weight.coefficients
        still = (torch.arange(c.shape[2], device=c.device) == padding).unsqueeze(-1)
        weight = Jet(torch.where(still, _stopped(weight), c), weight.field)
    if isinstance(indices, OneHot):
        chosen: Jet = indices.rows @ apply(weight, lambda w: w[: indices.rows.shape[-1]])
        return chosen
    return _indexed(weight, lambda w, i: w[i], indices)


def _stopped(x: Jet) -> Tensor:
    """Coefficients of the same values, of which nothing is learnt."""
    tape = tape_of(x.field)
    return tape.still(x.coefficients) if tape else x.coefficients.detach()


def _jointly(op: Any) -> Callable[..., Jet]:
    """Writes the second of two arrays into the first, or adds it: linear in both together."""

    def rule(site: Any, x: Any, *args: Any, **kwargs: Any) -> Jet:
        leaves, spec = pytree.tree_flatten(((x, *args), kwargs))
        values = [0, *(i for i, leaf in enumerate(leaves) if isinstance(leaf, Jet) and i)]
        if len(values) == 1:  # what is written is a constant
            values += [i for i, leaf in enumerate(leaves) if isinstance(leaf, Tensor) and leaf.is_floating_point()]
        coefficients, field = _common(site, [leaves[i] for i in values])
        choices = [i for i, leaf in enumerate(leaves) if isinstance(leaf, Data)]

        def one(*arrays: Tensor) -> Tensor:
            filled = list(leaves)
            for i, array in zip([*values, *choices], arrays, strict=True):
                filled[i] = array
            inner_args, inner_kwargs = pytree.tree_unflatten(filled, spec)
            result: Tensor = op(*inner_args, **inner_kwargs)
            return result

        if tape := tape_of(field):
            shapes = [c.shape[2:] for c in coefficients]
            flat = torch.cat([c.flatten(2) for c in coefficients], 2)
            return Jet(tape.linear(lambda t: one(*_cut(t, shapes)), flat), field)
        indices = [leaves[i].values for i in choices]
        batch = max([c.shape[1] for c in coefficients] + [len(i) for i in indices])
        arrays = [c.expand(-1, batch, *c.shape[2:]) for c in coefficients]
        inner = torch.vmap(one, in_dims=(*[0] * len(values), *[None] * len(choices)))
        axes = (*[1] * len(values), *[0] * len(choices))
        return Jet(autodiff.reduce(torch.vmap(inner, in_dims=axes, out_dims=1)(*arrays, *indices), field), field)

    return rule


def _cut(flat: Tensor, shapes: list[Any]) -> list[Tensor]:
    """Arrays that were written one after the other."""
    pieces = flat.split([shape.numel() for shape in shapes])
    return [piece.reshape(shape) for piece, shape in zip(pieces, shapes, strict=True)]


def _select_scatter(x: Tensor, source: Tensor, dim: int, index: int) -> Tensor:
    """Written with a slice: the gradient of torch.select_scatter under vmap is wrong (torch 2.13)."""
    start = index % x.shape[dim]
    written: Tensor = aten.slice_scatter(x, source.unsqueeze(dim), dim, start, start + 1)
    return written


def _copied(site: Any, x: Any, source: Any, *_args: Any) -> Jet:
    shape = x.shape
    copied: Jet = apply(site.context.jet(source), lambda t: t.expand(shape))
    return copied


def _blank(site: Any, x: Jet, *args: Any, **kwargs: Any) -> Any:
    """Constants of which only the shape comes from a value."""
    return site.node.target(torch.zeros(x.shape), *args, **kwargs)


def _index(_site: Any, x: Jet, indices: list[Any]) -> Jet:
    return _indexed(x, lambda t, *i: aten.index(t, list(i)), *indices)


def gather(x: Jet, dim: int, index: Any) -> Jet:
    """torch.gather, with an index that may differ from example to example."""
    return _indexed(x, lambda t, i: torch.gather(t, dim, i), index)


def _where(site: Any, condition: Any, a: Any, b: Any) -> Any:
    truth = condition.values if isinstance(condition, Data) else condition.unsqueeze(0)
    if is_minus_infinity(b):
        return _hidden(site, a, ~truth)
    if is_minus_infinity(a):
        return _hidden(site, b, truth)
    keep, one = site.context.jet(condition), site.context.number(1.0)
    return keep * site.context.jet(a) + (one - keep) * site.context.jet(b)


def _hidden(site: Any, x: Any, dead: Tensor) -> Masked:
    """Some more entries become minus infinity."""
    return Masked(x.jet, x.dead | dead) if isinstance(x, Masked) else Masked(site.context.jet(x), dead)


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


RULES |= {f"aten.{name}": _linear(getattr(aten, name)) for name in _MOVES if hasattr(aten, name)}
RULES |= {f"aten.{name}": _sum(getattr(aten, name)) for name in _SUMS}
RULES |= {f"aten.{name}": _jointly(getattr(aten, name)) for name in _WRITES}
RULES |= {f"aten.{name}": _blank for name in _BLANKS}
RULES |= {f"aten.{name}": _linear(aten.reshape) for name in ("view", "_unsafe_view")}
RULES |= {f"aten.{name}": _no_memory_format(lambda t: t.clone()) for name in ("clone", "contiguous")}
RULES |= {f"aten.{name}": _same for name in ("to", "_to_copy", "type_as", "float", "double", "half", "bfloat16")}
RULES |= {f"aten.{name}": _refuse_value for name in ("gt", "lt", "ge", "le", "eq", "ne", "sign", "round", "floor")}
RULES |= {f"aten.{name}": _refuse_value for name in ("ceil", "isnan", "isinf", "item", "nonzero")}
RULES |= {
    "getitem": _getitem,
    "aten.detach": _detach,
    "aten.pad": _pad,
    "aten.constant_pad_nd": _pad,
    "aten.copy": _copied,
    "aten.select_scatter": _jointly(_select_scatter),
    "aten.cat": _cat,
    "aten.concat": _cat,
    "aten.stack": _stack,
    "aten.embedding": _embedding,
    "aten.index": _index,
    "aten.gather": lambda _site, x, dim, index, **_k: gather(x, dim, index),
    "aten.where": _where,
    "aten.masked_fill": _masked_fill,
    "aten.expand_as": _expand_as,
}
TAKES_MASKS |= {f"aten.{name}" for name in (*_MOVES, "clone", "contiguous", "to", "_to_copy", "type_as", "float")}
TAKES_MASKS |= {"getitem", "aten.add", "aten.mul", "aten.div", "aten.true_divide", "aten.where", "aten.masked_fill"}
TAKES_MASKS |= {"aten.softmax", "aten._softmax", "aten.log_softmax", "aten._log_softmax", "aten.dropout"}
TAKES_MASKS |= {"aten.addmm", "aten.baddbmm", "aten.scaled_dot_product_attention"}
