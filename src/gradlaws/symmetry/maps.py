"""Many affine maps of many parameters, of which only the entries that are not zero are held."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import torch
from torch import Tensor

from gradlaws.exact.field import PrimeField
from gradlaws.models.family import Shape
from gradlaws.symmetry.generator import Generator

_NUMBERS = 2**24


@dataclass(frozen=True, eq=False, slots=True)
class Maps:
    """Affine maps ``theta -> B theta + b`` with whole numbers as entries.

    Args:
        count: how many.
        dimension: D; the column D holds b.
        owner: the map of each entry.
        row: of each entry.
        column: of each entry.
        value: of each entry, a small integer in float64; entries at one place of one map are added.
    """

    count: int
    dimension: int
    owner: Tensor
    row: Tensor
    column: Tensor
    value: Tensor

    @classmethod
    def joined(cls, several: Sequence[Maps], dimension: int) -> Maps:
        """All maps of several, one after the other."""
        counts = [maps.count for maps in several]
        starts = [sum(counts[:i]) for i in range(len(counts))]
        empty = torch.zeros(0, dtype=torch.long)
        return cls(
            sum(counts),
            dimension,
            torch.cat([empty, *(maps.owner + start for maps, start in zip(several, starts, strict=True))]),
            torch.cat([empty, *(maps.row for maps in several)]),
            torch.cat([empty, *(maps.column for maps in several)]),
            torch.cat([empty.double(), *(maps.value for maps in several)]),
        )

    def chosen(self, numbers: Sequence[int]) -> Maps:
        """Some of them, in this order."""
        place = torch.full((self.count,), -1)
        place[torch.tensor(numbers, dtype=torch.long)] = torch.arange(len(numbers))
        kept = place[self.owner] >= 0
        return Maps(
            len(numbers),
            self.dimension,
            place[self.owner[kept]],
            self.row[kept],
            self.column[kept],
            self.value[kept],
        )

    def at(self, theta: Tensor, field: PrimeField) -> Tensor:
        """The values ``B theta + b`` at one point, ``[count, D]``."""
        if not self.count:
            return theta.new_zeros(0, self.dimension)
        extended = torch.cat([theta, theta.new_ones(1)])
        moved = field.reduce(extended[self.column] * self.value)
        total = torch.zeros(self.count * self.dimension, dtype=torch.float64)
        return field.reduce(total.index_add_(0, self.owner * self.dimension + self.row, moved)).view(self.count, -1)

    def after(self, direction: Tensor, field: PrimeField) -> Tensor:
        """The linear parts ``B v`` at one direction ``[D]``, or at one for each map ``[count, D]``: ``[count, D]``."""
        every = direction if direction.dim() == 2 else direction.expand(self.count, -1)
        zero = every.new_zeros(len(every), 1)
        taken = torch.cat([every, zero], 1)[self.owner, self.column]
        total = torch.zeros(self.count * self.dimension, dtype=torch.float64)
        total.index_add_(0, self.owner * self.dimension + self.row, field.reduce(taken * self.value))
        return field.reduce(total).view(self.count, -1)

    def applied(self, vectors: Tensor, field: PrimeField) -> Tensor:
        """The linear part of a single map at many directions ``[n, D]``."""
        linear = self.column < self.dimension
        row, column, value = self.row[linear], self.column[linear], self.value[linear]
        found = []
        for some in vectors.split(max(1, _NUMBERS // max(1, len(row)))):
            moved = field.reduce(some[:, column] * value)
            found.append(field.reduce(torch.zeros_like(some).index_add_(1, row, moved)))
        return torch.cat(found) if found else vectors

    def combined(self, weights: Tensor, field: PrimeField) -> Maps:
        """One map: the sum of all with these weights."""
        value = field.reduce(self.value * weights[self.owner])
        return Maps(1, self.dimension, torch.zeros_like(self.owner), self.row, self.column, value)

    def slopes(self, theta: Tensor, velocity: Tensor, field: PrimeField) -> Tensor:
        """``<velocity, B theta + b>`` for each sample ``[n, D]`` and map: ``[n, count]``."""
        found = []
        for t, v in zip(theta, velocity, strict=True):
            extended = torch.cat([t, t.new_ones(1)])
            products = field.reduce(field.reduce(v[self.row] * extended[self.column]) * self.value)
            found.append(field.reduce(t.new_zeros(self.count).index_add_(0, self.owner, products)))
        return torch.stack(found)

    def generators(self, shapes: tuple[tuple[str, Shape], ...]) -> tuple[Generator, ...]:
        """Written out one by one."""
        entries: list[dict[tuple[int, int], Fraction]] = [{} for _ in range(self.count)]
        known = {c: Fraction(int(c)) for c in self.value.unique().tolist()}
        rows = zip(self.owner.tolist(), self.row.tolist(), self.column.tolist(), self.value.tolist(), strict=True)
        for k, i, j, c in rows:
            entries[k][i, j] = entries[k].get((i, j), Fraction(0)) + known[c]
        return tuple(Generator(tuple((i, j, c) for (i, j), c in sorted(one.items()) if c), shapes) for one in entries)
