"""Laws made of chosen entries of the parameters: sums, sums of squares, and the Gram matrices of chosen rows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations_with_replacement, pairwise
from math import prod
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from gradlaws.exact.polynomial import Monomial, Polynomial
from gradlaws.exact.ring import Reals, Ring
from gradlaws.laws.law import Law, Point, flatten, signed_sum
from gradlaws.models.family import Shape, Shapes

Selection = Literal["linear", "diagonal", "matrix"]


@dataclass(frozen=True, slots=True)
class GatherLaw(Law):
    """With ``G[k, m] = theta[indices[k][m]]``: the laws ``G a``, the diagonal of ``G diag(a) G^T``, or all of it.

    Args:
        indices: for each k, entries of the flattened parameters.
        coefficients: the integers a, one for each m.
        selection: ``linear``, ``diagonal`` or ``matrix`` (upper triangle).
        shapes: names and shapes of the parameters.
    """

    indices: tuple[tuple[int, ...], ...]
    coefficients: tuple[int, ...]
    selection: Selection
    shapes: tuple[tuple[str, Shape], ...]

    @property
    def kind(self) -> str:
        """Which combination is conserved."""
        return self.selection

    @property
    def degree(self) -> int:
        """One or two."""
        return 1 if self.selection == "linear" else 2

    @property
    def count(self) -> int:
        """One for each k, or for each pair."""
        n = len(self.indices)
        return n * (n + 1) // 2 if self.selection == "matrix" else n

    @property
    def text(self) -> str:
        """One term for each tensor and coefficient, k or (i, j) counting the laws."""
        return signed_sum([(c, self._term(name, slots)) for c, name, slots in self._parts()])

    @property
    def latex(self) -> str:
        """The text with names set upright."""
        parts = [(c, self._term(rf"\mathrm{{{name}}}".replace("_", r"\_"), s)) for c, name, s in self._parts()]
        return signed_sum(parts, r"\,").replace("<", r"\langle ").replace(">", r"\rangle").replace("|", r"\|")

    @property
    def terms(self) -> tuple[dict[str, Any], ...]:
        """Tensor, slots and coefficient of each term."""
        return tuple({"tensor": name, "slots": slots, "coefficient": str(c)} for c, name, slots in self._parts())

    def value(self, theta: Point, ring: Ring = Reals()) -> Tensor:
        """Values ``[*batch, count]``."""
        rows = self._rows(theta)
        if self.selection == "linear":
            return ring.reduce(self._weighted(rows, ring).sum(-1))
        return self._select(self._weighted(rows, ring), rows, ring)

    def derivative(self, theta: Point, direction: Point, ring: Ring = Reals()) -> Tensor:
        """Derivatives ``[*batch, count]``."""
        moved = self._rows(direction)
        if self.selection == "linear":
            return ring.reduce(self._weighted(moved, ring).sum(-1))
        rows = self._rows(theta)
        one, other = self._weighted(rows, ring), self._weighted(moved, ring)
        return ring.reduce(self._select(one, moved, ring) + self._select(other, rows, ring))

    def polynomials(self, shapes: Shapes) -> list[Polynomial]:
        """The scalar laws as polynomials in the flattened parameters."""
        if self.selection == "linear":
            return [self._sum(((i,), c) for i, c in zip(row, self.coefficients, strict=True)) for row in self.indices]
        every = range(len(self.indices))
        pairs = (
            zip(every, every, strict=True) if self.selection == "diagonal" else combinations_with_replacement(every, 2)
        )
        return [self._product(k, j) for k, j in pairs]

    def _product(self, k: int, j: int) -> Polynomial:
        pairs = zip(self.indices[k], self.indices[j], self.coefficients, strict=True)
        return self._sum((tuple(sorted((a, b))), c) for a, b, c in pairs)

    @staticmethod
    def _sum(terms: Iterable[tuple[Monomial, int]]) -> Polynomial:
        """The sum of the terms, of which several may have the same monomial."""
        total: dict[Monomial, int] = {}
        for monomial, c in terms:
            total[monomial] = total.get(monomial, 0) + c
        return Polynomial({monomial: c for monomial, c in total.items() if c})

    def _rows(self, point: Point) -> Tensor:
        flat = flatten(point, dict(self.shapes))
        return flat[..., torch.tensor(self.indices, device=flat.device)]

    def _weighted(self, rows: Tensor, ring: Ring) -> Tensor:
        return ring.reduce(rows * rows.new_tensor([ring.residue(c) for c in self.coefficients]))

    def _select(self, a: Tensor, b: Tensor, ring: Ring) -> Tensor:
        if self.selection == "diagonal":
            return ring.reduce(ring.reduce(a * b).sum(-1))
        i, j = torch.triu_indices(len(self.indices), len(self.indices))
        return ring.matmul(a, b.mT)[..., i, j]

    def _term(self, name: str, slots: str) -> str:
        """One tensor of the formula; ``#`` in the slots stands for the number of the law."""
        one = f"{name}[{slots}]" if slots.strip(":,") else name
        if self.selection == "linear":
            return f"sum {one}".replace("#", "k") if ":" in slots else one.replace("#", "k")
        if self.selection == "diagonal":
            return f"|{one}|^2".replace("#", "k")
        return f"<{one.replace('#', 'i')}, {one.replace('#', 'j')}>"

    def _parts(self) -> list[tuple[int, str, str]]:
        """Coefficient, tensor and slots for each tensor and coefficient that occur."""
        table, coefficients = np.array(self.indices), np.array(self.coefficients)
        parts, start = [], 0
        for name, shape in self.shapes:
            inside = (table[0] >= start) & (table[0] < start + prod(shape))
            for c in dict.fromkeys(coefficients[inside].tolist()):
                columns = table[:, inside & (coefficients == c)] - start
                parts.append((c, name, slots(columns, shape)))
            start += prod(shape)
        return parts


def slots(table: np.ndarray, shape: Sequence[int]) -> str:
    """Writes rows of flat indices as slices, # counting the rows: ``#,:`` or ``:,4+#``."""
    axes = np.unravel_index(table, tuple(shape)) if shape else ()
    found = [[sorted(set(row)) for row in axis.tolist()] for axis in axes]
    return ",".join(_slot(rows, length) for rows, length in zip(found, shape, strict=True))


def _slot(found: list[list[int]], length: int) -> str:
    """One axis: its indices for every k."""
    first = found[0]
    if all(row == first for row in found):
        return _span(first, length)
    steps = {row[0] - before[0] for before, row in pairwise(found)}
    if len(first) == 1 and len(steps) == 1:
        return _affine(first[0], steps.pop())
    if len(steps) == 1 and all(row == list(range(row[0], row[-1] + 1)) for row in found):
        step = steps.pop()
        return f"{_affine(first[0], step)}:{_affine(first[-1] + 1, step)}"
    return "{" + " ".join(_span(row, length) for row in found) + "}"


def _span(indices: list[int], length: int) -> str:
    if len(indices) == length and length > 1:
        return ":"
    if indices == list(range(indices[0], indices[-1] + 1)) and len(indices) > 1:
        return f"{indices[0]}:{indices[-1] + 1}"
    return "/".join(map(str, indices))


def _affine(start: int, step: int) -> str:
    multiple = "#" if step == 1 else f"{step}#"
    return multiple if start == 0 else f"{start}+{multiple}"
