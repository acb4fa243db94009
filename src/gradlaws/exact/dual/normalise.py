"""Softmax, attention and normalisations on cells, written out in elementary operations."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from gradlaws.exact.dual.arrays import add, centred, inverse_root, mean, multiply, smooth, total
from gradlaws.exact.dual.cells import DEAD, NOTHING, ONE, ZERO, Dual, NotProvedError
from gradlaws.exact.dual.products import matmul
from gradlaws.exact.dual.run import DUAL_RULES, STRUCTURAL, Entries, Site
from gradlaws.exact.polynomial import Polynomial, variable

_LONGEST_ROW = 64
"""Rows longer than this are given up where they move: sums of weights would be long."""


def softmax(site: Site, x: Tensor, dim: int) -> Tensor:
    """Weights that add up to one; masked entries weigh zero."""
    rows = x.movedim(dim, -1)
    out = torch.where(rows == DEAD, ZERO, site.cells.fresh(rows.shape)).contiguous()
    weights = out.view(-1, rows.shape[-1])
    for i, row in enumerate(rows.reshape(weights.shape).tolist()):
        alive = [k for k, cell in enumerate(row) if cell != DEAD]
        if not alive:
            raise NotProvedError("a softmax of nothing")
        weights[i, alive] = torch.tensor(_weights(site, [row[k] for k in alive]), dtype=torch.int64)
    return out.movedim(-1, dim)


def _weights(site: Site, row: list[int]) -> list[int]:
    """``p_i' = p_i (x_i' - sum of p_j x_j')``: zero where all arguments move alike."""
    cells = site.cells
    names, last = _free_weights(site, len(row))
    tangents = [cells.dual(cell).tangent for cell in row]
    if all(tangent == tangents[0] for tangent in tangents):
        return [*names, cells.one(last)]
    values = [*map(variable, names), last]
    average = _average(site, values, tangents)
    moved = [cells.times(Dual(p, NOTHING), Dual(NOTHING, t - average)) for p, t in zip(values, tangents, strict=True)]
    return cells.record([Dual(p, dual.tangent) for p, dual in zip(values, moved, strict=True)])


def _free_weights(site: Site, count: int) -> tuple[list[int], Polynomial]:
    """Variables for all weights but the last, which is one minus the others; for long rows it is unknown too."""
    names: list[int] = site.cells.fresh((count - 1,)).tolist()
    if count > _LONGEST_ROW:
        return names, variable(site.cells.one())
    last = ONE
    for name in names:
        last = last - variable(name)
    return names, last


def _average(site: Site, values: list[Polynomial], tangents: list[Polynomial]) -> Polynomial:
    average = NOTHING
    for p, tangent in zip(values, tangents, strict=True):
        average = average + site.cells.times(Dual(p, NOTHING), Dual(NOTHING, tangent)).tangent
    return average


def _softmax(site: Site, x: Any, dim: int, *_args: Any, **_kwargs: Any) -> Entries:
    return Entries(softmax(site, site.entries(x), dim))


def _log_softmax(site: Site, x: Any, dim: int, *_args: Any, **_kwargs: Any) -> Entries:
    """``x - logsumexp(x)``."""
    cells = site.entries(x)
    return Entries(add(site.cells, cells, multiply(site.cells, site.entries(-1), _log_total(site, cells, dim, True))))


def _logsumexp(site: Site, x: Any, dim: Any, keepdim: bool = False) -> Entries:
    (axis,) = [dim] if isinstance(dim, int) else dim
    return Entries(_log_total(site, site.entries(x), axis, keepdim))


def _log_total(site: Site, x: Tensor, dim: int, keepdim: bool) -> Tensor:
    """A value of its own, with the derivative ``sum of p_i x_i'``."""
    rows = x.movedim(dim, -1)
    flat = rows.reshape(-1, rows.shape[-1])
    duals = []
    for row in flat.tolist():
        names, last = _free_weights(site, len(row))
        tangents = [site.cells.dual(cell).tangent for cell in row]
        alike = all(tangent == tangents[0] for tangent in tangents)
        slope = tangents[0] if alike else _average(site, [*map(variable, names), last], tangents)
        duals.append(Dual(variable(site.cells.one()), slope))
    out = torch.tensor(site.cells.record(duals), dtype=torch.int64).reshape(rows.shape[:-1])
    return out.unsqueeze(dim) if keepdim else out


def _attention(
    site: Site,
    query: Any,
    key: Any,
    value: Any,
    attn_mask: Any = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    *,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Entries:
    """softmax(Q K^T scale + mask) V."""
    q, k, v = (site.entries(x) for x in (query, key, value))
    if dropout_p:
        raise NotProvedError("attention dropout")
    if enable_gqa:
        k, v = (x.repeat_interleave(q.shape[-3] // k.shape[-3], -3) for x in (k, v))
    factor = site.entries(q.shape[-1] ** -0.5 if scale is None else scale)
    scores = multiply(site.cells, matmul(site, q, k.mT), factor)
    if is_causal:
        scores = scores.masked_fill(~torch.ones(scores.shape[-2:], dtype=torch.bool).tril(), DEAD)
    elif attn_mask is not None:
        scores = _masked(site, scores, attn_mask)
    return Entries(matmul(site, softmax(site, scores, -1), v))


def _masked(site: Site, scores: Tensor, mask: Any) -> Tensor:
    if isinstance(mask, Tensor) and mask.dtype == torch.bool:
        return scores.masked_fill(~mask, DEAD)
    return add(site.cells, scores, site.entries(mask))


def _normal(site: Site, x: Tensor, axes: list[int], eps: float) -> Tensor:
    """Divided by the root of the mean square over some axes."""
    square = mean(site.cells, multiply(site.cells, x, x), axes, keepdim=True)
    return multiply(site.cells, x, inverse_root(site.cells, add(site.cells, square, site.epsilon(eps))))


def _affine(site: Site, x: Tensor, weight: Any, bias: Any, trailing: int = 0) -> Tensor:
    """Gain and shift along the axis that `trailing` more axes follow."""
    for parameter, combine in ((weight, multiply), (bias, add)):
        if parameter is not None:
            cells = site.entries(parameter)
            x = combine(site.cells, x, cells.reshape(*cells.shape, *[1] * trailing))
    return x


def _layer_norm(
    site: Site, x: Any, shape: list[int], weight: Any = None, bias: Any = None, eps: float = 1e-5, *_: Any
) -> Entries:
    axes = list(range(-len(shape), 0))
    return Entries(_affine(site, _normal(site, centred(site.cells, site.entries(x), axes), axes, eps), weight, bias))


def _rms_norm(site: Site, x: Any, shape: list[int], weight: Any = None, eps: float | None = None) -> Entries:
    normal = _normal(site, site.entries(x), list(range(-len(shape), 0)), eps or 1.2e-7)
    return Entries(_affine(site, normal, weight, None))


def _group_norm(
    site: Site, x: Any, groups: int, weight: Any = None, bias: Any = None, eps: float = 1e-5, *_: Any
) -> Entries:
    cells = site.entries(x)
    grouped = cells.reshape(cells.shape[0], groups, -1)
    normal = _normal(site, centred(site.cells, grouped, [-1]), [-1], eps).reshape(cells.shape)
    return Entries(_affine(site, normal, weight, bias, cells.dim() - 2))


def _instance_norm(
    site: Site, x: Any, weight: Any, bias: Any, _m: Any, _v: Any, _use: bool, _momentum: float, eps: float, *_: Any
) -> Entries:
    cells = site.entries(x)
    axes = list(range(2, cells.dim()))
    return Entries(_affine(site, _normal(site, centred(site.cells, cells, axes), axes, eps), weight, bias, len(axes)))


def _batch_norm_train(site: Site, x: Any, weight: Any, bias: Any, *rest: Any) -> tuple[Any, ...]:
    cells = site.entries(x)
    axes = [0, *range(2, cells.dim())]
    normal = _normal(site, centred(site.cells, cells, axes), axes, rest[-1])
    others = site.still()[1:]
    return (Entries(_affine(site, normal, weight, bias, cells.dim() - 2)), *others)


def _batch_norm_eval(
    site: Site, x: Any, weight: Any, bias: Any, mean: Any, var: Any, _momentum: float, eps: float
) -> tuple[Any, ...]:
    """The running statistics are constants: equal variances have equal inverse roots."""
    cells = site.entries(x)
    trailing = cells.dim() - 2
    shift = multiply(site.cells, site.entries(mean), site.entries(-1))
    factor = smooth(site.cells, f"running variance {eps}", site.entries(var))
    y = _affine(site, cells, None, Entries(shift), trailing)
    y = _affine(site, y, Entries(factor), None, trailing)
    return (Entries(_affine(site, y, weight, bias, trailing)), *site.still()[1:])


def _weight_norm(site: Site, v: Any, g: Any, dim: int = 0) -> Entries:
    cells = site.entries(v)
    axes = [axis for axis in range(cells.dim()) if axis != dim % cells.dim()]
    squares = total(site.cells, multiply(site.cells, cells, cells), axes, keepdim=True)
    return Entries(
        multiply(site.cells, multiply(site.cells, cells, inverse_root(site.cells, squares)), site.entries(g))
    )


DUAL_RULES |= {
    "aten.softmax": _softmax,
    "aten._softmax": _softmax,
    "aten.log_softmax": _log_softmax,
    "aten._log_softmax": _log_softmax,
    "aten.logsumexp": _logsumexp,
    "aten.scaled_dot_product_attention": _attention,
    "aten.layer_norm": _layer_norm,
    "aten.rms_norm": _rms_norm,
    "aten.group_norm": _group_norm,
    "aten.instance_norm": _instance_norm,
    "aten._native_batch_norm_legit_no_training": _batch_norm_eval,
    "aten._native_batch_norm_legit": _batch_norm_train,
    "aten._native_batch_norm_legit_functional": _batch_norm_train,
    "aten._weight_norm": _weight_norm,
    "aten._weight_norm_interface": lambda site, v, g, dim=0: (_weight_norm(site, v, g, dim), site.still()[1]),
}
STRUCTURAL |= {"aten.softmax", "aten._softmax"}
