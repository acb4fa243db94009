"""Laws of momentum: antisymmetric matrices of tensors and their velocities, ``W1 W1'^T - W1' W1^T``, times a weight.

An infinitesimal rotation A of the parameters that does not change the potential conserves ``exp(integral of tau) <v,
A theta>`` (Noether's theorem). For linear layers these are the entries of antisymmetric matrices (Marcotte, Gribonval,
Peyre 2024).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import torch
from torch import Tensor

from gradlaws.exact.polynomial import Polynomial, variables
from gradlaws.exact.ring import Reals, Ring
from gradlaws.flows.momentum import velocity_of
from gradlaws.laws.contraction import Contraction, latex_name
from gradlaws.laws.law import Law, Point, signed_sum
from gradlaws.models.family import Shapes

Pair = tuple[Contraction, Contraction]
"""P and Q stand for ``A - A^T`` with ``A = P Q'^T``, to which ``Q P'^T`` is added where the two are different."""


@dataclass(frozen=True, slots=True)
class SkewLaw(Law):
    """``clock**weight * sum of coefficient * (A - A^T)``, entries above the diagonal.

    Args:
        parts: pairs of rows of equal shape, with coprime integer coefficients.
        width: how many rows.
        clock: the state variable that tells the time.
        weight: its power.
        heads: only the entries in so many equal blocks along the diagonal.
    """

    parts: tuple[tuple[Pair, int], ...]
    width: int
    clock: str
    weight: int
    heads: int = 1

    @property
    def kind(self) -> str:
        """Always ``antisymmetric``."""
        return "antisymmetric"

    @property
    def degree(self) -> int:
        return 2 + self.weight

    @property
    def count(self) -> int:
        block = self.width // self.heads
        return self.heads * block * (block - 1) // 2

    @property
    def text(self) -> str:
        """For example ``exp(t) (W1 W1'^T - W1' W1^T + W2^T W2' - W2'^T W2)``."""
        terms = [(sign * c, f"{a} {b}") for pair, c in self.parts for sign, a, b in _written(pair)]
        body = signed_sum(terms)
        body = f"blocks of {body}" if self.heads > 1 else body
        power = f"^{self.weight}" if self.weight > 1 else ""
        return f"{self.clock}{power} ({body})" if self.weight else body

    @property
    def latex(self) -> str:
        """The text with dots for velocities."""
        terms = [(sign * c, f"{_latex(a)} {_latex(b)}") for pair, c in self.parts for sign, a, b in _written(pair)]
        body, clock = signed_sum(terms, r"\,"), self.clock
        if self.clock.startswith("exp("):
            clock = f"e^{{{self.clock[4:-1]}}}"
        return rf"{clock}{f'^{self.weight}' * (self.weight > 1)} \left({body}\right)" if self.weight else body

    @property
    def terms(self) -> tuple[dict[str, Any], ...]:
        """Tensors, axes and coefficient of each pair, and the weight."""
        return tuple(
            p.term | {"with": q.term, "coefficient": str(c), "weight": f"{self.clock}^{self.weight}"}
            for (p, q), c in self.parts
        )

    def value(self, theta: Point, ring: Ring = Reals()) -> Tensor:
        return self._weighted(self._entries(theta, theta, ring), theta, ring)

    def derivative(self, theta: Point, direction: Point, ring: Ring = Reals()) -> Tensor:
        moved = self._entries(theta, direction, ring) + self._entries(direction, theta, ring)
        total = self._weighted(ring.reduce(moved), theta, ring)
        if self.weight:
            slope = ring.reduce(self._power(theta, self.weight - 1, ring) * ring.residue(self.weight))
            slope = ring.reduce(slope * direction[self.clock].unsqueeze(-1))
            total = ring.reduce(total + ring.reduce(self._entries(theta, theta, ring) * slope))
        return total

    def polynomials(self, shapes: Shapes) -> list[Polynomial]:
        clock = variables(shapes, only=self.clock)[()]
        total: Any = 0
        for (p, q), c in self.parts:
            total = total + self._outer(p, q, shapes) * c
            if p != q:
                total = total + self._outer(q, p, shapes) * c
        found = []
        for i, j in self._places():
            entry = total[i, j] - total[j, i]
            for _ in range(self.weight):
                entry = entry * clock
            found.append(entry)
        return found

    @staticmethod
    def _outer(p: Contraction, q: Contraction, shapes: Shapes) -> Any:
        rows, moving = p.array(variables(shapes, only=p.tensor)), _moving(q)
        return rows @ moving.array(variables(shapes, only=moving.tensor)).T

    def _places(self) -> list[tuple[int, int]]:
        """Entries that are laws."""
        block = self.width // self.heads
        pairs = ((i, j) for i in range(self.width) for j in range(i + 1, self.width))
        return [(i, j) for i, j in pairs if i // block == j // block]

    def _entries(self, theta: Point, velocity: Point, ring: Ring) -> Tensor:
        """``A - A^T`` with tensors of one point and velocities of another, ``[*batch, count]``."""
        total: Tensor | None = None
        for (p, q), c in self.parts:
            outer = self._block(p.rows(theta), _moving(q).rows(velocity), ring)
            if p != q:
                outer = ring.reduce(outer + self._block(q.rows(theta), _moving(p).rows(velocity), ring))
            term = ring.reduce(outer * ring.residue(Fraction(c)))
            total = term if total is None else ring.reduce(total + term)
        assert total is not None
        i, j = torch.triu_indices(self.width // self.heads, self.width // self.heads, 1)
        return ring.reduce(total[..., i, j] - total[..., j, i]).flatten(-2)

    def _block(self, a: Tensor, b: Tensor, ring: Ring) -> Tensor:
        """``a b^T`` in the diagonal blocks, ``[*batch, heads, block, block]``."""
        a, b = (x.unflatten(-2, (self.heads, -1)) for x in (a, b))
        return ring.matmul(a, b.mT)

    def _power(self, theta: Point, exponent: int, ring: Ring) -> Tensor:
        clock = theta[self.clock].unsqueeze(-1)
        total = torch.ones_like(clock)
        for _ in range(exponent):
            total = ring.reduce(total * clock)
        return total

    def _weighted(self, entries: Tensor, theta: Point, ring: Ring) -> Tensor:
        return ring.reduce(entries * self._power(theta, self.weight, ring)) if self.weight else entries


def _moving(part: Contraction) -> Contraction:
    """The same rows of the velocity."""
    return replace(part, tensor=velocity_of(part.tensor))


def _written(pair: Pair) -> list[tuple[int, str, str]]:
    """Signs and factors of ``A - A^T``."""
    p, q = pair
    terms = [(1, _left(p), _right(_moving(q))), (-1, _left(_moving(q)), _right(p))]
    if p != q:
        terms += [(1, _left(q), _right(_moving(p))), (-1, _left(_moving(p)), _right(q))]
    return terms


def _plain(part: Contraction) -> bool:
    return part.whole and part.order < 3


def _left(part: Contraction) -> str:
    if not _plain(part):
        return f"<{part.slice('i')},"
    return part.tensor if part.axis == 0 else f"{part.tensor}^T"


def _right(part: Contraction) -> str:
    if not _plain(part):
        return f"{part.slice('j')}>"
    return f"{part.tensor}^T" if part.axis == 0 else part.tensor


def _latex(factor: str) -> str:
    """W1'^T becomes a dotted letter with its index, transposed."""
    opening, closing = factor.startswith("<"), factor.endswith(">")
    body = factor.strip("<>,")
    transposed = body.endswith("^T")
    body = body.removesuffix("^T")
    dotted = "'" in body
    name = body.replace("'", "")
    shown = latex_name(name)
    shown = rf"\dot{{{shown}}}" if dotted else shown
    shown += r"^\top" * transposed
    return (r"\langle " if opening else "") + shown + ("," if opening else "") + (r"\rangle" if closing else "")
