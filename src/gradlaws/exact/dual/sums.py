"""Sums, means, norms and pooling on cells."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from gradlaws.exact.dual.arrays import centred, contract, mean, multiply, total
from gradlaws.exact.dual.cells import NotProvedError
from gradlaws.exact.dual.entries import power
from gradlaws.exact.dual.moves import select
from gradlaws.exact.dual.run import DUAL_RULES, Entries, Site, Unknown


def _axes(x: Tensor, dim: Any) -> list[int]:
    if dim is None or dim in ([], ()):
        return list(range(x.dim()))
    return [dim] if isinstance(dim, int) else list(dim)


def _sum(site: Site, x: Any, dim: Any = None, keepdim: bool = False, **_kwargs: Any) -> Any:
    cells = site.entries(x)
    return Entries(total(site.cells, cells, _axes(cells, dim), keepdim))


def _mean(site: Site, x: Any, dim: Any = None, keepdim: bool = False, **_kwargs: Any) -> Any:
    cells = site.entries(x)
    return Entries(mean(site.cells, cells, _axes(cells, dim), keepdim))


def _cumsum(site: Site, x: Any, dim: int, **_kwargs: Any) -> Any:
    """A contraction with a triangle of ones."""
    cells = site.entries(x).movedim(dim, -1)
    triangle = site.cells.numbers(torch.ones(cells.shape[-1], cells.shape[-1]).tril())
    return Entries(contract(site.cells, cells.unsqueeze(-2), triangle).movedim(-1, dim))


def _var(site: Site, x: Any, dim: Any = None, *, correction: float = 1, keepdim: bool = False) -> Any:
    cells = site.entries(x)
    axes = _axes(cells, dim)
    apart = centred(site.cells, cells, axes)
    return Entries(mean(site.cells, multiply(site.cells, apart, apart), axes, keepdim, correction))


def _norm(site: Site, x: Any, order: Any = 2, dim: Any = None, keepdim: bool = False, **_kwargs: Any) -> Any:
    if float(order) != 2:
        raise NotProvedError(f"the norm of order {order}")
    cells = site.entries(x)
    return Entries(power(site, total(site.cells, multiply(site.cells, cells, cells), _axes(cells, dim), keepdim), 0.5))


def _max_pool(site: Site, x: Any, kernel: Any, stride: Any = (), padding: Any = 0, dilation: Any = 1, *_: Any) -> Any:
    """One entry of each window: free weights add them up."""
    windows = _windows(site.entries(x), kernel, stride, padding, dilation)
    return Entries(contract(site.cells, windows, site.cells.fresh(windows.shape)))


def _avg_pool(site: Site, x: Any, kernel: Any, stride: Any = (), padding: Any = 0, *rest: Any) -> Any:
    if any(_pair(padding)) or any(rest):
        raise NotProvedError("average pooling with padding")
    return Entries(mean(site.cells, _windows(site.entries(x), kernel, stride, 0, 1), [-1]))


def _windows(x: Tensor, kernel: Any, stride: Any, padding: Any, dilation: Any) -> Tensor:
    """Windows over the last two axes, padded with zeros, flattened into a new last axis."""
    rows, columns = _pair(padding)
    x = torch.nn.functional.pad(x, [columns, columns, rows, rows])
    places = x.dim() - 2
    for axis in range(2):
        size, step, gap = (_pair(value)[axis] for value in (kernel, stride or kernel, dilation))
        x = x.unfold(places + axis, gap * (size - 1) + 1, step)[..., ::gap]
    return x.flatten(-2)


def _pair(value: Any) -> tuple[int, int]:
    values = [value] if isinstance(value, int) else list(value)
    return values[0], values[-1]


def _adaptive_pool(site: Site, x: Any, size: Any) -> Any:
    cells = site.entries(x)
    spatial = cells.shape[-len(size) :]
    if any(n % m for n, m in zip(spatial, size, strict=True)):
        raise NotProvedError("adaptive pooling with uneven windows")
    first = cells.dim() - len(size)
    for axis, (n, m) in enumerate(zip(spatial, size, strict=True)):
        cells = cells.unflatten(first + 2 * axis, (m, n // m))
    return Entries(mean(site.cells, cells, [first + 2 * axis + 1 for axis in range(len(size))]))


def _amax(site: Site, x: Any, dim: Any = (), keepdim: bool = False) -> Any:
    cells = site.entries(x)
    weighted = multiply(site.cells, cells, site.cells.fresh(cells.shape))
    return Entries(total(site.cells, weighted, _axes(cells, dim), keepdim))


def _topk(site: Site, x: Any, _k: int, dim: int = -1, *_args: Any, **_kwargs: Any) -> Any:
    """Which entries are chosen does not move."""
    chosen = Unknown(site.cells.fresh(site.node.meta["val"][1].shape))
    return select(site, x, chosen, dim, lambda t, i: torch.gather(t, dim, i)), chosen


def _sort(site: Site, x: Any, dim: int = -1, *_args: Any, **_kwargs: Any) -> Any:
    return _topk(site, x, 0, dim)


DUAL_RULES |= {
    "aten.sum": _sum,
    "aten.mean": _mean,
    "aten.cumsum": _cumsum,
    "aten.var": _var,
    "aten.linalg_vector_norm": _norm,
    "aten.norm": _norm,
    "aten.max_pool2d": _max_pool,
    "aten.avg_pool2d": _avg_pool,
    "aten.adaptive_avg_pool1d": _adaptive_pool,
    "aten.adaptive_avg_pool2d": _adaptive_pool,
    "aten.amax": _amax,
    "aten.topk": _topk,
    "aten.sort": _sort,
    "aten.argmax": lambda site, _x, *_args, **_kwargs: site.still(),
}
