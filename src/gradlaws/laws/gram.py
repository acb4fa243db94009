"""Quadratic laws made of contractions of parameter tensors with themselves: ``W1 W1^T + b1 b1^T - W2^T W2``."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any, Literal

import torch
from torch import Tensor

from gradlaws.exact.polynomial import Polynomial, variables
from gradlaws.exact.ring import Reals, Ring
from gradlaws.laws.law import Law, Point, signed_sum
from gradlaws.models.family import Shapes

Selection = Literal["matrix", "diagonal", "trace"]


@dataclass(frozen=True, slots=True)
class Contraction:
    """The Gram matrix of a tensor along one axis: ``M[i, j] = sum over the other axes of T[.. i ..] T[.. j ..]``.

    Args:
        tensor: name of the parameter.
        axis: the axis that stays, counted from 0.
        order: number of axes of the tensor.
        start: first index of the axis that takes part.
        stop: the one after the last, None for the end.
    """

    tensor: str
    axis: int
    order: int
    start: int = 0
    stop: int | None = None

    def rows(self, point: Point) -> Tensor:
        """The tensor as a matrix ``[*batch, size of the axis, everything else]``."""
        x = point[self.tensor]
        if self.order < 2:
            return x.reshape(*x.shape[: x.dim() - self.order], -1, 1)[..., self.start : self.stop, :]
        rows = x.movedim(x.dim() - self.order + self.axis, -self.order).flatten(1 - self.order)
        return rows[..., self.start : self.stop, :]

    def text(self, selection: Selection) -> str:
        """One term of a formula."""
        name = self.tensor
        if selection == "trace":
            return f"|{name}|^2"
        if selection == "diagonal":
            return f"{name}[{self._slots('k')}]^2" if self.order == 1 else f"|{name}[{self._slots('k')}]|^2"
        if self.order == 1 and self.whole:
            return f"{name} {name}^T"
        if self.order == 2 and self.whole:
            return f"{name} {name}^T" if self.axis == 0 else f"{name}^T {name}"
        return f"{name}[{self._slots('i')}].{name}[{self._slots('j')}]"

    def latex(self, selection: Selection) -> str:
        """One term of a formula."""
        name = _latex_name(self.tensor)
        if selection == "trace":
            return rf"\|{name}\|^2"
        if selection == "diagonal":
            return f"{name}[{self._slots('k')}]^2" if self.order == 1 else rf"\|{name}[{self._slots('k')}]\|^2"
        if self.whole and (self.order == 1 or (self.order == 2 and self.axis == 0)):
            return rf"{name} {name}^\top"
        if self.order == 2 and self.whole:
            return rf"{name}^\top {name}"
        return rf"\langle {name}[{self._slots('i')}], {name}[{self._slots('j')}]\rangle"

    @property
    def whole(self) -> bool:
        """Whether every index of the axis takes part."""
        return self.start == 0 and self.stop is None

    def _slots(self, index: str) -> str:
        moved = f"{self.start}+{index}" if self.start else index
        return ",".join(moved if axis == self.axis else ":" for axis in range(self.order))


def _latex_name(name: str) -> str:
    """W12 becomes W_{12}; anything else is set upright."""
    letters = name.rstrip("0123456789")
    digits = name[len(letters) :]
    if len(letters) == 1:
        return f"{letters}_{{{digits}}}" if digits else letters
    return rf"\mathrm{{{name}}}".replace("_", r"\_")


@dataclass(frozen=True, slots=True)
class GramLaw(Law):
    """``sum of coefficient * contraction``, whole (upper triangle), its diagonal, or its trace.

    Args:
        parts: contractions with coprime integer coefficients; all axes have the same length, but for traces.
        width: that length; 1 for a trace.
        selection: which entries are laws.
        heads: of a matrix, only the entries in so many equal blocks along its diagonal.
    """

    parts: tuple[tuple[Contraction, int], ...]
    width: int
    selection: Selection
    heads: int = 1

    @property
    def kind(self) -> str:
        """Which entries are laws."""
        return self.selection

    @property
    def degree(self) -> int:
        """Two."""
        return 2

    @property
    def count(self) -> int:
        """Entries on and above the diagonal, or on it, or one."""
        block = self.width // self.heads
        matrices = self.heads * block * (block + 1) // 2
        return {"matrix": matrices, "diagonal": self.width, "trace": 1}[self.selection]

    @property
    def text(self) -> str:
        """For example ``|W1[k,:]|^2 - |W2[:,k]|^2``."""
        formula = signed_sum([(c, part.text(self.selection)) for part, c in self.parts])
        return f"{formula}  (each of {self.heads} heads)" if self.heads > 1 else formula

    @property
    def latex(self) -> str:
        r"""For example ``W_{1} W_{1}^\top - W_{2}^\top W_{2}``."""
        return signed_sum([(c, part.latex(self.selection)) for part, c in self.parts], r"\,")

    @property
    def terms(self) -> tuple[dict[str, Any], ...]:
        """Tensor, axis and coefficient of each contraction."""
        return tuple(
            {"tensor": p.tensor, "axis": p.axis, "coefficient": str(c)}
            | ({} if p.whole else {"start": p.start, "stop": p.stop})
            for p, c in self.parts
        )

    def renamed(self, names: dict[str, str], width: int) -> GramLaw:
        """The same formula for other tensors and another width."""
        parts = tuple((replace(part, tensor=names[part.tensor]), c) for part, c in self.parts)
        return replace(self, parts=parts, width=width)

    def value(self, theta: Point, ring: Ring = Reals()) -> Tensor:
        """Values ``[*batch, count]``."""
        return self._total([(c, part.rows(theta), part.rows(theta)) for part, c in self.parts], ring)

    def derivative(self, theta: Point, direction: Point, ring: Ring = Reals()) -> Tensor:
        """Derivatives ``[*batch, count]``."""
        pairs = [(c, part.rows(theta), part.rows(direction)) for part, c in self.parts]
        if self.selection == "matrix":
            swapped = [(c, v, t) for c, t, v in pairs]
            return ring.reduce(self._total(pairs, ring) + self._total(swapped, ring))
        return ring.reduce(2 * self._total(pairs, ring))

    def polynomials(self, shapes: Shapes) -> list[Polynomial]:
        """The scalar laws as polynomials in the flattened parameters."""
        total: Any = 0
        for part, c in self.parts:
            x = variables(shapes, only=part.tensor)
            rows = x.transpose(part.axis, *(a for a in range(part.order) if a != part.axis))
            rows = rows.reshape(x.shape[part.axis], -1)[part.start : part.stop]
            gram = rows @ rows.T if self.selection != "trace" else (rows * rows).sum()
            total = total + gram * c
        if self.selection == "trace":
            return [total]
        block = self.width // self.heads if self.selection == "matrix" else 1
        pairs = [(i, j) for i in range(self.width) for j in range(i, self.width) if i // block == j // block]
        return [total[pair] for pair in pairs]

    def _total(self, pairs: list[tuple[int, Tensor, Tensor]], ring: Ring) -> Tensor:
        """Sum of coefficient * (a b^T), entries selected."""
        total: Tensor | float = 0.0
        for c, a, b in pairs:
            if self.selection == "matrix":
                i, j = torch.triu_indices(self.width // self.heads, self.width // self.heads)
                blocks = [x.unflatten(-2, (self.heads, -1)) for x in (a, b)]
                entries = ring.matmul(blocks[0], blocks[1].mT)[..., i, j].flatten(-2)
            else:
                axes = (-1,) if self.selection == "diagonal" else (-2, -1)
                entries = ring.reduce(ring.reduce(a * b).sum(axes))
                entries = entries if self.selection == "diagonal" else entries.unsqueeze(-1)
            total = total + ring.reduce(entries * ring.residue(Fraction(c)))
        assert isinstance(total, Tensor)
        return ring.reduce(total)
