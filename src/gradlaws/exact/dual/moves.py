"""Operations that move, copy or select entries run as they are on the numbers of the cells."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from gradlaws.exact.dual.arrays import LARGEST
from gradlaws.exact.dual.cells import ONE, Dual, NotProvedError
from gradlaws.exact.dual.run import DUAL_RULES, STRUCTURAL, Entries, Site, Unknown
from gradlaws.exact.polynomial import Polynomial, variable

aten = torch.ops.aten

# fmt: off
_MOVES = (
    "view", "reshape", "permute", "transpose", "t", "expand", "unsqueeze", "squeeze", "slice", "select", "split",
    "split_with_sizes", "chunk", "unbind", "clone", "alias", "contiguous", "flatten", "unflatten", "movedim",
    "narrow", "flip", "roll", "repeat", "repeat_interleave", "_unsafe_view", "swapaxes", "lift_fresh_copy",
    "lift_fresh", "select_copy", "expand_as", "pixel_shuffle", "unfold", "diagonal", "upsample_nearest1d",
    "upsample_nearest2d", "channel_shuffle", "adjoint", "mT",
)
# fmt: on
_PADDED = ["tril", "triu", "diag_embed"]
_CASTS = ["to", "_to_copy", "type_as", "float", "double", "half", "bfloat16"]


def moved(op: Callable[..., Any], cells: Tensor, *args: Any, **kwargs: Any) -> Any:
    """The operation on numbers of cells, which float64 holds exactly, so that it need not know whole numbers."""
    return pytree.tree_map(lambda y: y.to(torch.int64), op(cells.to(torch.float64), *args, **kwargs))


def _move(op: Any, pads: bool = False) -> Callable[..., Any]:
    def rule(site: Site, x: Any, *args: Any, **kwargs: Any) -> Any:
        if any(isinstance(y, Entries | Unknown) for y in pytree.tree_leaves((args, kwargs))):
            return _unless_moving(site, x)
        if isinstance(x, Entries):
            return pytree.tree_map(Entries, moved(op, x.cells, *args, **kwargs))
        if isinstance(x, Unknown) and not pads:
            return pytree.tree_map(Unknown, moved(op, x.handles, *args, **kwargs))
        return _unless_moving(site, x)

    return rule


def _unless_moving(site: Site, *arguments: Any) -> Any:
    """Outputs that do not move, for calls that no rule describes.

    Raises:
        NotProvedError: an argument moves.
    """
    for x in pytree.tree_leaves(arguments):
        if isinstance(x, Entries) and bool(site.cells.moving(x.cells).any()):
            raise NotProvedError(f"no rule for this use of {site.node.target}")
    return site.still()


def _clone(site: Site, x: Any, *_args: Any, **_kwargs: Any) -> Any:
    return x


def _cast(site: Site, x: Any, *_args: Any, **_kwargs: Any) -> Any:
    """A cast between floating point types, or to whole numbers from such, changes nothing; others do not move."""
    dtype = site.node.meta["val"].dtype
    same = dtype.is_floating_point if isinstance(x, Entries) else dtype == torch.int64
    return x if same else site.still()


def _joined(op: Callable[..., Tensor]) -> Callable[..., Any]:
    def rule(site: Site, items: list[Any], dim: int = 0) -> Any:
        if any(isinstance(x, Unknown) for x in items):
            return _unless_moving(site, items)
        return Entries(op([site.entries(x) for x in items], dim))

    return rule


def _pad(site: Site, x: Any, widths: list[int], *rest: Any) -> Any:
    """Padding with zeros or with other entries."""
    modes = [value for value in rest if value not in ("constant", None)]
    if not isinstance(x, Entries) or any(isinstance(value, int | float) and value for value in modes):
        return _unless_moving(site, x)
    mode = next((value for value in modes if isinstance(value, str)), "constant")
    return Entries(moved(lambda cells: torch.nn.functional.pad(cells, widths, mode=mode), x.cells))


def _where(site: Site, condition: Any, a: Any, b: Any) -> Any:
    if not site.node.meta["val"].is_floating_point():
        return _unless_moving(site, a, b)
    left, right = site.entries(a), site.entries(b)
    if isinstance(condition, Tensor):
        return Entries(torch.where(condition, left, right))
    return _unless_moving(site, a, b, condition)


def _masked_fill(site: Site, x: Any, mask: Any, value: Any) -> Any:
    return _where(site, mask, value, x)


def select(site: Site, x: Any, index: Any, dim: int, pick: Callable[[Tensor, Tensor], Tensor]) -> Any:
    """Entries of x along an axis at known places, or at unknown ones: then by indicators of which a single one is 1."""
    if not isinstance(x, Entries):
        return _unless_moving(site, x)
    if isinstance(index, Tensor):
        return Entries(moved(pick, x.cells, index))
    length, handles = x.cells.shape[dim], index.handles
    if not bool(site.cells.moving(x.cells).any()):
        return site.still()
    if handles.numel() * x.cells.numel() > LARGEST:
        raise NotProvedError("a table is too large")
    every = [moved(pick, x.cells, torch.full_like(handles, i)) for i in range(length)]
    shape = list(x.cells.shape)
    shape[dim] = handles.numel()
    line = torch.arange(handles.numel()).reshape([-1 if axis == dim % len(shape) else 1 for axis in range(len(shape))])
    places = moved(pick, line.expand(shape), torch.arange(handles.numel()).reshape(handles.shape))
    return Entries(_mixed(site, torch.stack(every), handles.flatten()[places]))


def _mixed(site: Site, candidates: Tensor, handles: Tensor) -> Tensor:
    """``sum of indicator * candidate`` along the first axis."""
    cells = site.cells
    out = cells.fresh(handles.shape)
    moving = cells.moving(candidates).any(0)
    places = moving.nonzero(as_tuple=True)
    duals = []
    columns = candidates.movedim(0, -1)[places]
    for handle, column in zip(handles[places].tolist(), columns.tolist(), strict=True):
        mixed = Dual(Polynomial({}), Polynomial({}))
        for indicator, cell in zip(_indicators(site, handle, len(column)), column, strict=True):
            mixed = mixed + cells.times(Dual(indicator, Polynomial({})), cells.dual(cell))
        duals.append(mixed)
    out[places] = torch.tensor(cells.record(duals), dtype=torch.int64)
    return out


def _indicators(site: Site, handle: int, length: int) -> list[Polynomial]:
    """Which of the first whole numbers the unknown one is: they add up to 1."""
    cells = site.cells

    def make() -> list[Polynomial]:
        names = cells.fresh((length - 1,)).tolist()
        cells.relations.indicators.update(dict.fromkeys(names, names[0]))
        last = ONE
        for name in names:
            last = last + variable(name) * -1
        return [*map(variable, names), last]

    found: list[Polynomial] = cells.known(("indicators", handle, length), make)
    return found


def _embedding(site: Site, weight: Any, index: Any, padding: int = -1, *_args: Any) -> Any:
    """Rows of a table; the row of the padding is never trained through it."""
    if padding >= 0 and isinstance(weight, Entries):
        trained = weight.cells.clone()
        trained[padding] = site.cells.fresh(trained[padding].shape)
        weight = Entries(trained)
    return select(site, weight, index, 0, lambda w, i: w[i])


def _index_select(site: Site, x: Any, dim: int, index: Any) -> Any:
    return select(site, x, index, dim, lambda t, i: t.index_select(dim, i))


def _gather(site: Site, x: Any, dim: int, index: Any, **_kwargs: Any) -> Any:
    return select(site, x, index, dim, lambda t, i: torch.gather(t, dim, i))


def _index(site: Site, x: Any, indices: list[Any]) -> Any:
    unknown = [place for place, index in enumerate(indices) if isinstance(index, Unknown)]
    if not unknown:
        return select(site, x, torch.empty(0), 0, lambda t, _: aten.index(t, indices))
    if len(unknown) > 1 or not isinstance(x, Entries) or any(_is_mask(node) for node in _nodes(site)):
        return _unless_moving(site, x)
    (place,) = unknown

    def pick(t: Tensor, index: Tensor) -> Tensor:
        return aten.index(t, [*indices[:place], index, *indices[place + 1 :]])

    return select(site, x, indices[place], place, pick)


def _nodes(site: Site) -> list[Any]:
    indices: Any = site.node.args[1]
    return list(indices)


def _is_mask(node: Any) -> bool:
    """Whether an index is an array of truth values, which takes up as many axes as it has."""
    return node is not None and node.meta["val"].dtype == torch.bool


DUAL_RULES |= {f"aten.{name}": _move(getattr(aten, name)) for name in _MOVES if hasattr(aten, name)}
DUAL_RULES |= {f"aten.{name}": _move(aten.reshape) for name in ("view", "_unsafe_view")}
DUAL_RULES |= {f"aten.{name}": _move(getattr(aten, name), pads=True) for name in _PADDED}
DUAL_RULES |= {f"aten.{name}": _clone for name in ("clone", "contiguous", "alias", "lift_fresh_copy", "lift_fresh")}
DUAL_RULES |= {f"aten.{name}": _cast for name in _CASTS}
DUAL_RULES |= {
    "getitem": lambda _site, x, index: x[index],
    "aten._assert_tensor_metadata": lambda *_args, **_kwargs: None,
    "aten.detach": lambda site, _x: site.still(),
    "aten.cat": _joined(torch.cat),
    "aten.concat": _joined(torch.cat),
    "aten.stack": _joined(torch.stack),
    "aten.constant_pad_nd": _pad,
    "aten.pad": _pad,
    "aten.where": _where,
    "aten.masked_fill": _masked_fill,
    "aten.embedding": _embedding,
    "aten.index_select": _index_select,
    "aten.gather": _gather,
    "aten.index": _index,
}
STRUCTURAL |= set(DUAL_RULES)
