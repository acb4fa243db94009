"""What a search keeps of a few exact gradients of a model that is too large to keep them all."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from math import prod

import torch
from torch import Tensor

from gradlaws.exact.field import PrimeField
from gradlaws.flows.flow import Flow
from gradlaws.laws.contraction import Contraction
from gradlaws.laws.law import Law
from gradlaws.laws.pieces import axes, folded, parted, whole
from gradlaws.laws.structured import Probe, probe
from gradlaws.laws.sums import FrozenLaw
from gradlaws.models.family import Shapes
from gradlaws.progress import Progress

_FEWEST = 3
_MOST = 64
_NUMBERS = 2**31
_SPARE = 4
Along = dict[tuple[str, int], list[Tensor]]
"""For each tensor and axis, a number for each index ``[length]`` and sample."""


@dataclass(frozen=True, eq=False, slots=True)
class Seen:
    """Derivatives of squared norms (halved) and of sums along every axis, and which entries stayed."""

    state: Shapes
    norms: Along
    sums: Along
    still: dict[str, Tensor]

    def columns(self, kept: Along, pieces: list[Contraction], field: PrimeField) -> Tensor:
        """One column for each piece, one row for each sample and index."""
        columns = [
            torch.cat([piece.collected(along, field) for along in kept[piece.tensor, piece.axis]]) for piece in pieces
        ]
        return torch.stack(columns, dim=1)

    def add(self, probed: Probe) -> None:
        """One more gradient."""
        field = probed.field
        for name, shape in self.state.items():
            moved = probed.velocity[name][0]
            product = field.reduce(probed.theta[name][0] * moved)
            for axis in range(max(1, len(shape))):
                piece = Contraction(name, axis, len(shape))
                for kept, x in ((self.norms, product), (self.sums, moved)):
                    kept[name, axis].append(field.reduce(piece.rows({name: x}).sum(-1)))
            zero = moved == 0
            self.still[name] = self.still[name] & zero if name in self.still else zero

    def frozen_and_moving(self, tables: frozenset[str]) -> tuple[list[Law], list[Contraction]]:
        """Slices that never moved, and the axes of what is left.

        Args:
            tables: parameters of which one gradient moves some random rows only.
        """
        frozen: list[Law] = []
        moving: list[Contraction] = []
        for name, shape in self.state.items():
            every = axes({name: shape})
            runs = {axis: _runs(axis.rows({name: self.still[name]}).all(-1)) for axis in every}
            best = max(every, key=lambda axis: sum(b - a for a, b in runs[axis]) / axis.length(shape))
            length = best.length(shape)
            if runs[best] == [(0, length)]:
                frozen.append(FrozenLaw(best, prod(shape)))
                continue
            if runs[best] and name not in tables:
                each = prod(shape) // length
                frozen += [FrozenLaw(replace(best, start=a, stop=b), each * (b - a)) for a, b in runs[best]]
                every = [axis for axis in every if axis != best]
                moving += [replace(best, start=a, stop=b) for a, b in _gaps(runs[best], length)]
            moving += every
        return frozen, moving


def observe(
    flow: Flow, field: PrimeField, generator: torch.Generator, on_progress: Progress | None
) -> tuple[Seen, Probe]:
    """As many exact gradients as there are unknowns for each index, while that is affordable; the last one in full."""
    seen = Seen(flow.state, defaultdict(list), defaultdict(list), {})
    every = axes(flow.state)
    readings = whole(every, flow.state), parted(every, every, flow.state), folded(every, flow.state)
    groups = [item for reading in readings for item in reading.items()]
    wanted = max([-(-(len(group) + _SPARE) // length) for length, group in groups], default=_FEWEST)
    samples = max(_FEWEST, min(wanted, _MOST, _NUMBERS // flow.footprint))
    for i in range(samples):
        if on_progress:
            on_progress("exact gradients", i / samples)
        last = probe(flow, 1, field, generator)
        seen.add(last)
    return seen, last


def _runs(flags: Tensor) -> list[tuple[int, int]]:
    """Where truth values are true, as ranges."""
    padded = torch.cat([flags.new_zeros(1), flags, flags.new_zeros(1)]).int()
    edges = padded.diff().nonzero().squeeze(1).tolist()
    return list(zip(edges[::2], edges[1::2], strict=True))


def _gaps(runs: list[tuple[int, int]], length: int) -> list[tuple[int, int]]:
    """The ranges between ranges."""
    starts, stops = [0, *(stop for _, stop in runs)], [*(start for start, _ in runs), length]
    return [(start, stop) for start, stop in zip(starts, stops, strict=True) if start < stop]
