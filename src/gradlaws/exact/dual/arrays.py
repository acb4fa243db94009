"""Arithmetic of arrays of cells: only entries that move are computed, the others are new variables."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction

import torch
from torch import Tensor

from gradlaws.exact.dual.cells import DEAD, NOTHING, ONE, ZERO, Cells, Dual, NotProvedError
from gradlaws.exact.polynomial import Polynomial, sum_of_products, variable

LARGEST = 2**24
"""Pairs of entries that one contraction may look at."""


def pointwise(cells: Cells, function: Callable[..., Dual], *arrays: Tensor) -> Tensor:
    """A function of corresponding entries, at the entries where any of them moves; arrays are broadcast."""
    together = torch.broadcast_tensors(*arrays)
    flat = [x.flatten() for x in together]
    out = cells.fresh(together[0].shape)
    moving = torch.stack([cells.moving(x) for x in flat]).any(0) | bool(cells.keep)
    columns = list(zip(*(x[moving].tolist() for x in flat), strict=True))
    distinct = list(dict.fromkeys(columns))
    recorded = dict(
        zip(distinct, cells.record([function(*map(cells.dual, column)) for column in distinct]), strict=True)
    )
    out.view(-1)[moving] = torch.tensor([recorded[column] for column in columns], dtype=torch.int64)
    return out


def add(cells: Cells, a: Tensor, b: Tensor) -> Tensor:
    """The sum; minus infinity stays what it is."""
    a, b = torch.broadcast_tensors(a, b)
    dead = (a == DEAD) | (b == DEAD)
    total = pointwise(cells, _kept if cells.keep else _plus, a.masked_fill(dead, ZERO), b.masked_fill(dead, ZERO))
    total = torch.where(a == ZERO, b, torch.where(b == ZERO, a, total))
    return total.masked_fill(dead, DEAD)


def _plus(a: Dual, b: Dual) -> Dual:
    tangent = a.tangent + b.tangent
    return Dual(a.value + b.value if tangent.terms else NOTHING, tangent)  # cut: the value is not needed


def _kept(a: Dual, b: Dual) -> Dual:
    return a + b


def scale(cells: Cells, x: Tensor, factor: Fraction | int) -> Tensor:
    """A rational multiple."""
    return pointwise(cells, lambda dual: dual * factor, x)


def multiply(cells: Cells, a: Tensor, b: Tensor) -> Tensor:
    """The product, entry by entry."""
    a, b = torch.broadcast_tensors(a, b)
    zero = (a == ZERO) | (b == ZERO)
    return pointwise(cells, cells.times, a.masked_fill(zero, ZERO), b.masked_fill(zero, ZERO)).masked_fill(zero, ZERO)


def contract(cells: Cells, a: Tensor, b: Tensor) -> Tensor:
    """``sum over the last axis of a * b``; in each sum, all products that do not move are one variable.

    Raises:
        NotProvedError: too many pairs, or a mask among them.
    """
    a, b = torch.broadcast_tensors(a, b)
    if a.numel() > LARGEST:
        raise NotProvedError("a product of arrays is too large")
    present = (a != ZERO) & (b != ZERO)
    moving = (cells.moving(a) | cells.moving(b)) & present
    wanted = present if cells.keep else moving
    rows = wanted.flatten(0, -2).any(1) if a.dim() > 1 else wanted.any().unsqueeze(0)
    out = torch.where(present.any(-1), cells.fresh(a.shape[:-1]), ZERO).contiguous()
    a, b, moving, present = (x.reshape(-1, x.shape[-1])[rows] for x in (a, b, moving, present))
    keep = moving if cells.names else present
    rest = (present & ~keep).any(1).tolist()
    duals = []
    for i in range(len(a)):
        pairs = list(zip(a[i, keep[i]].tolist(), b[i, keep[i]].tolist(), strict=True))
        duals.append(_paired(cells, pairs, rest[i]))
    out.view(-1)[rows] = torch.tensor(cells.record(duals), dtype=torch.int64)
    return out


def _paired(cells: Cells, pairs: Sequence[tuple[int, int]], rest: bool) -> Dual:
    left, right = [cells.dual(a) for a, _ in pairs], [cells.dual(b) for _, b in pairs]
    both = list(zip(left, right, strict=True))
    cells.spend(
        sum(len(x.tangent.terms) * len(y.value.terms) + len(x.value.terms) * len(y.tangent.terms) for x, y in both)
    )
    cells.spend(sum(len(x.value.terms) * len(y.value.terms) for x, y in both))
    tangent = sum_of_products([pair for x, y in both for pair in ((x.tangent, y.value), (x.value, y.tangent))])
    if not tangent.terms and not cells.keep:
        return Dual(NOTHING, tangent)  # cut: the value is not needed
    value = sum_of_products([(x.value, y.value) for x, y in both])
    return Dual(value + variable(cells.one()) if rest else value, tangent)


def total(cells: Cells, x: Tensor, axes: Sequence[int], keepdim: bool = False) -> Tensor:
    """The sum over some axes."""
    axes = sorted(axis % x.dim() for axis in axes)
    others = [axis for axis in range(x.dim()) if axis not in axes]
    rows = x.permute(*others, *axes).reshape(*(x.shape[axis] for axis in others), -1)
    summed = contract(cells, rows, torch.tensor(cells.number(1)).expand(rows.shape))
    for axis in axes if keepdim else ():
        summed = summed.unsqueeze(axis)
    return summed


def mean(cells: Cells, x: Tensor, axes: Sequence[int], keepdim: bool = False, correction: float = 0) -> Tensor:
    """The sum over some axes, divided by how many entries there are, less the correction."""
    count = 1
    for axis in axes:
        count *= x.shape[axis]
    return scale(cells, total(cells, x, axes, keepdim), 1 / Fraction(count - correction))


def centred(cells: Cells, x: Tensor, axes: Sequence[int]) -> Tensor:
    """The array without its mean over some axes."""
    return add(cells, x, scale(cells, mean(cells, x, axes, keepdim=True), -1))


def reciprocal(cells: Cells, x: Tensor) -> Tensor:
    """``w = 1/x`` with ``w' = -w^2 x'``."""

    def inverse(dual: Dual) -> Dual:
        w = _inverse(cells, dual.value, 1)
        return Dual(w, _product(cells, w, w, dual.tangent) * -1)

    return pointwise(cells, inverse, x)


def inverse_root(cells: Cells, x: Tensor) -> Tensor:
    """``r = x**(-1/2)`` with ``r' = -r^3 x' / 2``."""

    def inverse(dual: Dual) -> Dual:
        r = _inverse(cells, dual.value, 2)
        return Dual(r, _product(cells, r, r, r, dual.tangent) * Fraction(-1, 2))

    return pointwise(cells, inverse, x)


def smooth(cells: Cells, name: str, x: Tensor) -> Tensor:
    """A function of which nothing is known but that equal arguments have equal values and slopes."""

    def applied(dual: Dual) -> Dual:
        key = (name, frozenset(dual.value.terms.items()))
        value, slope = cells.known(key, lambda: (variable(cells.one()), variable(cells.one())))
        if name == "exp":
            slope = value
        return Dual(value, _product(cells, slope, dual.tangent))

    return pointwise(cells, applied, x)


def _inverse(cells: Cells, argument: Polynomial, power: int) -> Polynomial:
    """The variable w with ``w**power * argument = 1``."""
    if power == 1 and argument.terms.keys() == {()}:
        return Polynomial({(): 1 / Fraction(argument.terms[()])})

    def make() -> Polynomial:
        w = cells.one()
        cells.relations.inverses[w] = (power, argument)
        return variable(w)

    known: Polynomial = cells.known(("inverse", power, frozenset(argument.terms.items())), make)
    return known


def _product(cells: Cells, *factors: Polynomial) -> Polynomial:
    result = ONE
    for factor in factors:
        cells.spend(len(result.terms) * len(factor.terms))
        result = result * factor
    return result
