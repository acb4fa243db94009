"""Linear laws of whole tensors: slices that never move, and sums over some of the axes."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from torch import Tensor

from gradlaws.exact.polynomial import Polynomial, variables
from gradlaws.exact.ring import Reals, Ring
from gradlaws.laws.contraction import Contraction
from gradlaws.laws.law import Law, Point, signed_sum
from gradlaws.models.family import Shapes


@dataclass(frozen=True, slots=True)
class FrozenLaw(Law):
    """Every entry of the chosen slices of one tensor is a law by itself.

    Args:
        slices: which indices of which axis.
        entries: how many numbers that are.
    """

    slices: Contraction
    entries: int

    @property
    def kind(self) -> str:
        """Always ``frozen``."""
        return "frozen"

    @property
    def degree(self) -> int:
        """One."""
        return 1

    @property
    def count(self) -> int:
        """One for each entry."""
        return self.entries

    @property
    def text(self) -> str:
        """For example ``h.0.attn.c_attn.bias[768:1536] never moves``."""
        own = "" if self.slices.whole else f"{self.slices.start}:{self.slices.stop}"
        slots = [own if axis == self.slices.axis else ":" for axis in range(self.slices.order)]
        return f"{self.slices.tensor}[{','.join(slots)}] never moves" if own else f"{self.slices.tensor} never moves"

    @property
    def latex(self) -> str:
        """The text, set upright."""
        return rf"\text{{{self.text}}}".replace("_", r"\_")

    @property
    def terms(self) -> tuple[dict[str, Any], ...]:
        """Tensor, axis and range."""
        return (self.slices.term,)

    def value(self, theta: Point, ring: Ring = Reals()) -> Tensor:
        """Values ``[*batch, count]``."""
        return self.slices.rows(theta).flatten(-2)

    def derivative(self, theta: Point, direction: Point, ring: Ring = Reals()) -> Tensor:
        """Derivatives ``[*batch, count]``: the value at the direction."""
        return self.value(direction, ring)

    def polynomials(self, shapes: Shapes) -> list[Polynomial]:
        """The scalar laws as polynomials in the flattened parameters."""
        return list(self.slices.array(variables(shapes, only=self.slices.tensor)).flatten())


@dataclass(frozen=True, slots=True)
class SumLaw(Law):
    """``sum of coefficient * (sum over the other axes)`` at each index that stays.

    Args:
        parts: contractions of equal length with coprime integer coefficients.
        width: that length.
    """

    parts: tuple[tuple[Contraction, int], ...]
    width: int

    @property
    def kind(self) -> str:
        """Always ``linear``."""
        return "linear"

    @property
    def degree(self) -> int:
        """One."""
        return 1

    @property
    def count(self) -> int:
        """One for each index."""
        return self.width

    @property
    def text(self) -> str:
        """For example ``sum wpe.weight[:,k] - sum wte.weight[:,k]``."""
        return signed_sum([(c, f"{self._sign(part)}{part.slice('k')}") for part, c in self.parts])

    @property
    def latex(self) -> str:
        """The text, set upright."""
        return signed_sum([(c, self._latex(part)) for part, c in self.parts], r"\,")

    @property
    def terms(self) -> tuple[dict[str, Any], ...]:
        """Tensor, axis and coefficient of each sum."""
        return tuple(part.term | {"coefficient": str(c)} for part, c in self.parts)

    def value(self, theta: Point, ring: Ring = Reals()) -> Tensor:
        """Values ``[*batch, count]``."""
        total: Tensor | None = None
        for part, c in self.parts:
            term = ring.reduce(ring.reduce(part.rows(theta).sum(-1)) * ring.residue(Fraction(c)))
            total = term if total is None else total + term
        assert total is not None
        return ring.reduce(total)

    def derivative(self, theta: Point, direction: Point, ring: Ring = Reals()) -> Tensor:
        """Derivatives ``[*batch, count]``: the value at the direction."""
        return self.value(direction, ring)

    def polynomials(self, shapes: Shapes) -> list[Polynomial]:
        """The scalar laws as polynomials in the flattened parameters."""
        total: Any = 0
        for part, c in self.parts:
            total = total + part.array(variables(shapes, only=part.tensor)).sum(1) * c
        return list(total)

    def _sign(self, part: Contraction) -> str:
        return "sum " if part.order > 1 or part.fold else ""

    def _latex(self, part: Contraction) -> str:
        name = rf"\mathrm{{{part.slice('k')}}}".replace("_", r"\_")
        return rf"\textstyle\sum {name}" if self._sign(part) else name
