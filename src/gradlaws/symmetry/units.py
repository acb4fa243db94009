"""Units that a network can do without: dead, constant, unseen, or copies of others."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from gradlaws.symmetry.between import Between
from gradlaws.symmetry.sequential import Layer


@dataclass(frozen=True, slots=True)
class Removed:
    """How many units of a layer went, by reason."""

    layer: str
    constant: int = 0
    unseen: int = 0
    copies: int = 0

    def __str__(self) -> str:
        """One line, or nothing."""
        reasons = {"dead or constant": self.constant, "unseen by what follows": self.unseen, "copies": self.copies}
        said = ", ".join(f"{count} {reason}" for reason, count in reasons.items() if count)
        return f"{self.layer}: {said}" if said else ""


def without_idle_units(start: list[Layer], rounding: float) -> tuple[list[Layer], list[Removed]]:
    """Go through the layers until nothing more can go.

    Bounds on the activations, from the weights alone and for every input, tell which units are constant: those of a
    ReLU that never opens, for example. A constant goes into the next bias; copies of a unit, or multiples where the
    activation lets them through, add their outgoing weights to it.

    Where a grouped convolution would become larger, because groups lose different numbers of units, its inputs and its
    units all stay.

    Args:
        start: layers of a Sequential.
        rounding: of the weights: a copy agrees to a few of these.
    """
    locked: set[str] = set()
    while True:
        layers, removed = _without_idle_units(list(start), rounding, locked)
        grown = {b.name for a, b in zip(start, layers, strict=True) if b.size > a.size and a.groups > 1} - locked
        if not grown:
            return layers, removed
        locked |= grown


def _without_idle_units(
    layers: list[Layer], rounding: float, locked: Container[str]
) -> tuple[list[Layer], list[Removed]]:
    removed = {layer.name: Removed(layer.name) for layer in layers}
    while True:
        before = sum(len(layer.weight) for layer in layers)
        inputs = layers[0].weight.shape[1]
        low, high = torch.full((inputs,), -torch.inf).double(), torch.full((inputs,), torch.inf).double()
        for i in range(len(layers) - 1):
            name = layers[i].name
            low, high = layers[i].after.values(*_range(layers[i], low, high))
            if name in locked or layers[i + 1].name in locked:
                continue
            layers[i], layers[i + 1], kept, gone = _thinned(layers[i], layers[i + 1], low, high, rounding)
            low, high, was = low[kept], high[kept], removed[name]
            removed[name] = Removed(
                name, was.constant + gone.constant, was.unseen + gone.unseen, was.copies + gone.copies
            )
        if sum(len(layer.weight) for layer in layers) == before:
            return layers, list(removed.values())


def _range(layer: Layer, low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
    """Bounds on each unit before the activation, from bounds on the units before."""
    if layer.pads:
        low, high = low.clamp(max=0), high.clamp(min=0)
    columns = layer.columns(len(low))
    edges = [torch.where(columns == 0, 0.0, columns * bound.view(1, -1, 1)) for bound in (low, high)]
    least, most = torch.minimum(*edges), torch.maximum(*edges)
    return least.sum((1, 2)) + layer.offset, most.sum((1, 2)) + layer.offset


def _thinned(
    layer: Layer, following: Layer, low: Tensor, high: Tensor, rounding: float
) -> tuple[Layer, Layer, Tensor, Removed]:
    """The layers without the idle units of the first; which are kept; how many went why."""
    outgoing = following.columns(len(layer.weight))
    unseen = (outgoing == 0).all(2).all(0)
    constant = (low == high) & low.isfinite() & ~unseen
    if following.pads:
        constant &= low == 0  # zeros around the edges: any other constant would not be one there
    idle = unseen | constant
    shift = (outgoing.sum(2) * torch.where(constant, low, 0.0)).sum(1)
    bias = following.bias if not bool(shift.any()) else following.offset + shift
    multiples = _multiples(layer, ~idle, rounding)
    kept = multiples.any(0).nonzero().squeeze(1)
    if not len(kept):  # a layer keeps a unit, which is zero and sees nothing
        kept, constant[0], unseen[0], layer = torch.zeros(1, dtype=torch.long), False, False, _silenced(layer)
    spread = multiples[:, kept]
    gathered = torch.einsum("oik,ij->ojk", outgoing, spread)
    thinner = replace(
        layer,
        weight=layer.weight[kept],
        bias=None if layer.bias is None else layer.bias[kept],
        embedding=None if layer.embedding is None else layer.embedding @ spread,
    )
    gone = Removed(layer.name, int(constant.sum()), int(unseen.sum()), max(0, int((~idle).sum()) - len(kept)))
    return thinner, replace(following.with_columns(gathered), bias=bias), kept, gone


def _silenced(layer: Layer) -> Layer:
    bias = None if layer.bias is None else torch.zeros_like(layer.bias)
    return replace(layer, weight=torch.zeros_like(layer.weight), bias=bias)


def _multiples(layer: Layer, alive: Tensor, rounding: float) -> Tensor:
    """See `leaders`; multiples are those that pass the activation."""
    rows = torch.cat([layer.weight.flatten(1), layer.offset.unsqueeze(1)], 1)
    return leaders(rows, _scales(layer.after, rows, rows @ _mark(rows)), alive, rounding)


def leaders(rows: Tensor, scales: Tensor, alive: Tensor, rounding: float) -> Tensor:
    """``[units, units]``: row i has the factor of unit i in the column of the unit that it is a multiple of.

    Sorted by a random mark, copies are neighbours: only those with nearly the same mark are compared.

    Args:
        rows: ``[units, incoming numbers]``.
        scales: what to divide each row by.
        alive: units that count; the rows of others are zero.
        rounding: units agree to a few of these.
    """
    random = _mark(rows)
    rows = rows / scales.unsqueeze(1)
    marks, sizes = rows @ random, rows.abs().amax(1)
    found = torch.zeros(len(rows), len(rows), dtype=rows.dtype)
    near = 8 * rounding * float(sizes.max()) * float(random.abs().sum())
    recent: list[int] = []
    for i in marks.argsort(stable=True).tolist():
        if not alive[i]:
            continue
        recent = [j for j in recent if marks[i] - marks[j] <= near]
        apart = 4 * rounding * sizes[i]
        leader = next((j for j in recent if bool((rows[i] - rows[j]).abs().max() <= apart)), i)
        recent += [i] if leader == i else []
        found[i, leader] = scales[i] / scales[leader]
    return found


def _mark(rows: Tensor) -> Tensor:
    return torch.randn(rows.shape[1], generator=torch.Generator().manual_seed(0), dtype=rows.dtype)


def _scales(after: Between, rows: Tensor, marks: Tensor) -> Tensor:
    """What to divide each row by, so that multiples which pass the activation become equal."""
    ones = torch.ones(len(rows), dtype=rows.dtype)
    sizes = rows.norm(dim=1)
    scale = torch.where(sizes > 0, sizes, 1.0) if after.homogeneous else ones
    return torch.where(marks < 0, -scale, scale) if after.odd else scale
