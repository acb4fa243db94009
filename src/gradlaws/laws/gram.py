"""Quadratic laws made of contractions of parameter tensors with themselves: ``W1 W1^T + b1 b1^T - W2^T W2``."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gradlaws.exact.polynomial import Polynomial, variables
from gradlaws.exact.ring import Reals, Ring
from gradlaws.laws.contraction import Contraction, Selection
from gradlaws.laws.law import Law, Point, signed_sum
from gradlaws.models.family import Shapes


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
        return f"blocks of {formula}" if self.heads > 1 else formula

    @property
    def latex(self) -> str:
        r"""For example ``W_{1} W_{1}^\top - W_{2}^\top W_{2}``."""
        return signed_sum([(c, part.latex(self.selection)) for part, c in self.parts], r"\,")

    @property
    def terms(self) -> tuple[dict[str, Any], ...]:
        """Tensor, axis and coefficient of each contraction."""
        return tuple(part.term | {"coefficient": str(c)} for part, c in self.parts)

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
            return self._total(pairs, ring, symmetrised=True)
        return ring.reduce(2 * self._total(pairs, ring))

    def polynomials(self, shapes: Shapes) -> list[Polynomial]:
        """The scalar laws as polynomials in the flattened parameters."""
        total: Any = 0
        for part, c in self.parts:
            x = variables(shapes, only=part.tensor)
            rows = part.array(x)
            gram = rows @ rows.T if self.selection != "trace" else (rows * rows).sum()
            total = total + gram * c
        if self.selection == "trace":
            return [total]
        block = self.width // self.heads if self.selection == "matrix" else 1
        pairs = [(i, j) for i in range(self.width) for j in range(i, self.width) if i // block == j // block]
        return [total[pair] for pair in pairs]

    def _total(self, pairs: list[tuple[int, Tensor, Tensor]], ring: Ring, symmetrised: bool = False) -> Tensor:
        """Sum of coefficient * (a b^T), or of coefficient * (a b^T + b a^T), entries selected."""
        total: Tensor | float = 0.0
        for c, a, b in pairs:
            if self.selection == "matrix":
                blocks = [x.unflatten(-2, (self.heads, -1)) for x in (a, b)]
                product = ring.matmul(blocks[0], blocks[1].mT)
            else:
                axes = (-1,) if self.selection == "diagonal" else (-2, -1)
                product = ring.reduce(ring.reduce(a * b).sum(axes))
            total = total + (product if c == 1 else ring.reduce(product * ring.residue(Fraction(c))))
        assert isinstance(total, Tensor)
        total = ring.reduce(total)
        if self.selection == "matrix":
            total = ring.reduce(total + total.mT) if symmetrised else total
            return total.flatten(-2)[..., _upper(self.width // self.heads, total.device)].flatten(-2)
        return total if self.selection == "diagonal" else total.unsqueeze(-1)


def _upper(width: int, device: torch.device) -> Tensor:
    """Where the entries on and above the diagonal are in a flattened square."""
    return torch.from_numpy(_upper_of(width)).to(device)


@cache
def _upper_of(width: int) -> np.ndarray:
    i, j = np.triu_indices(width)
    return i * width + j
