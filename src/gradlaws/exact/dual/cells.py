"""Numbered cells, each a number with its derivative along one direction: polynomials, cut wherever nothing moves.

Arrays hold the numbers of cells, so that operations which only move entries run as they are. A cell that does not move
is a variable of its own, whatever it was computed from: an identity for free values implies it for the actual ones. So
the polynomials stay small, and are more than variables only between the place where a symmetry enters and the place
where it cancels.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import torch
from torch import Tensor

from gradlaws.exact.constants import MINUS_INFINITY, is_small
from gradlaws.exact.dual.relations import Relations
from gradlaws.exact.polynomial import Monomial, Polynomial, constant, sum_of_products, variable

ZERO = 0
"""The cell of the number zero: what padding inserts."""

DEAD = -1
"""Stands for minus infinity: softmax gives it weight zero."""

_LONG = 4
"""A value with more than so many terms for each of its derivative gets a name, where names may be given."""

NOTHING = Polynomial({})
ONE = constant(1)


class NotProvedError(Exception):
    """The proof does not go through: a rule is missing, or the work would exceed the limit. Never seen by users."""


@dataclass(frozen=True, slots=True)
class Dual:
    """A value and its derivative."""

    value: Polynomial
    tangent: Polynomial

    def __add__(self, other: Dual) -> Dual:
        return Dual(self.value + other.value, self.tangent + other.tangent)

    def __mul__(self, other: Dual | Fraction | int) -> Dual:
        if not isinstance(other, Dual):
            return Dual(self.value * other, self.tangent * other)
        tangent = sum_of_products([(self.tangent, other.value), (self.value, other.tangent)])
        return Dual(self.value * other.value, tangent)


class Cells:
    """The cells of one proof.

    Args:
        gradient: derivatives of some of the first cells, by number; values and derivatives are polynomials whose
            variables are cells.
        count: how many cells there are at first: zero, and the parameters.
        work: products of terms after which the proof is given up.
        names: whether values whose derivatives are multiples of values may be given names. It keeps polynomials small
            but forgets how they were computed.
        keep: how many terms the value of a cell that does not move may have to be written out all the same, so that
            what adds up to zero, such as centred entries, is known to.
    """

    def __init__(
        self, gradient: Mapping[int, Polynomial], count: int, work: int, names: bool = True, keep: int = 0
    ) -> None:
        self.relations = Relations(self.spend)
        self.names = names
        self.keep = keep
        self._work = work
        self._next = count
        self._values: dict[int, Polynomial] = {ZERO: NOTHING}
        self._tangents: dict[int, Polynomial] = {}
        self._moves = torch.zeros(2 * count, dtype=torch.bool)
        self._known: dict[Hashable, Any] = {}
        for cell, tangent in gradient.items():
            self._move(cell, tangent)

    def spend(self, terms: int) -> None:
        """Count work.

        Raises:
            NotProvedError: there was too much.
        """
        self._work -= terms
        if self._work < 0:
            raise NotProvedError("the polynomials are too long")

    def fresh(self, shape: Sequence[int]) -> Tensor:
        """Cells that do not move and of which nothing is known."""
        start, size = self._next, int(torch.Size(shape).numel())
        self._next += size
        return torch.arange(start, self._next).reshape(tuple(shape))

    def known(self, key: Hashable, make: Callable[[], Any]) -> Any:
        """What was made for this key before, or what is made now: equal arguments get equal values."""
        if key not in self._known:
            self._known[key] = make()
        return self._known[key]

    def one(self, value: Polynomial | None = None) -> int:
        """One cell that does not move, with a value of its own or this one."""
        cell = int(self.fresh(()))
        if value is not None:
            self._values[cell] = value
        return cell

    def number(self, value: float | Fraction) -> int:
        """The cell of a constant of the program: small rationals are themselves, other floats are unknown numbers."""
        if value == 0:
            return ZERO
        if value <= MINUS_INFINITY:
            return DEAD
        if not math.isfinite(value):
            raise NotProvedError("a constant is no number")
        if is_small(Fraction(value)):
            return self.known(("number", Fraction(value)), lambda: self.one(constant(Fraction(value))))
        size = torch.tensor(abs(float(value)), dtype=torch.float32).item()  # casts do not matter
        positive: int = self.known(("float", size), self.one)
        if value > 0:
            return positive
        return self.known(("minus", size), lambda: self.one(-variable(positive)))

    def numbers(self, x: Tensor) -> Tensor:
        """The cells of a constant tensor."""
        unique, inverse = x.detach().to(device="cpu", dtype=torch.float64).flatten().unique(return_inverse=True)
        table = torch.tensor([self.number(value) for value in unique.tolist()], dtype=torch.int64)
        return table[inverse].reshape(x.shape)

    def moving(self, cells: Tensor) -> Tensor:
        """Where the derivative is not zero."""
        if len(self._moves) < self._next:
            self._moves = torch.cat([self._moves, torch.zeros(2 * self._next, dtype=torch.bool)])
        return self._moves[cells.clamp_min(ZERO)]

    def dual(self, cell: int) -> Dual:
        """Value and derivative.

        Raises:
            NotProvedError: the cell stands for minus infinity.
        """
        if cell == DEAD:
            raise NotProvedError("a mask was used outside a softmax")
        return Dual(self.value(cell), self._tangents.get(cell, NOTHING))

    def value(self, cell: int) -> Polynomial:
        """The value of a cell that is not minus infinity."""
        found = self._values.get(cell)
        return variable(cell) if found is None else found

    def times(self, a: Dual, b: Dual) -> Dual:
        """The product."""
        self.spend((len(a.value.terms) + len(a.tangent.terms)) * (len(b.value.terms) + len(b.tangent.terms)))
        return a * b

    def record(self, duals: Sequence[Dual]) -> list[int]:
        """Cells for computed numbers: those that do not move become variables, but for short values to keep."""
        self.spend(sum(len(dual.value.terms) + len(dual.tangent.terms) for dual in duals))
        cells = self.fresh((len(duals),)).tolist()
        moving = {
            cell: dual
            for cell, dual in zip(cells, duals, strict=True)
            if dual.tangent.terms and not self.relations.vanishes(dual.tangent)
        }
        for cell, dual in zip(cells, duals, strict=True):
            if len(dual.value.terms) <= self.keep:
                self._values[cell] = dual.value
        self.moving(torch.empty(0, dtype=torch.int64))  # room for the new cells
        for cell, dual in (_named(moving) if self.names else moving).items():
            self._values[cell] = dual.value
            self._move(cell, dual.tangent)
        return cells

    def _move(self, cell: int, tangent: Polynomial) -> None:
        self._tangents[cell] = tangent
        self._moves[cell] = True


def _named(moving: dict[int, Dual]) -> dict[int, Dual]:
    """Where every derivative is a multiple of some value, let the values be variables; elsewhere only long ones.

    An identity that holds for free values holds for the actual ones; two values in a constant ratio stay so.
    """
    names: dict[_Key, tuple[Polynomial, Fraction]] = {}
    for cell, dual in moving.items():
        key, scale = _keyed(dual.value)
        names.setdefault(key, (variable(cell) if len(dual.value.terms) > 1 else dual.value, scale))
    renamed = {}
    for cell, dual in moving.items():
        pair = []
        for key, scale in map(_keyed, (dual.value, dual.tangent)):
            if key not in names:
                return {cell: _shortened(cell, dual) for cell, dual in moving.items()}
            name, unit = names[key]
            ratio = scale / unit
            pair.append(name * (ratio.numerator if ratio.denominator == 1 else ratio))
        renamed[cell] = Dual(*pair)
    return renamed


def _shortened(cell: int, dual: Dual) -> Dual:
    """A value much longer than its derivative is hardly needed to see that derivative cancel."""
    long = len(dual.value.terms) > _LONG * (1 + len(dual.tangent.terms))
    return Dual(variable(cell), dual.tangent) if long else dual


_Key = frozenset[tuple[Monomial, Fraction | int]]


def _keyed(p: Polynomial) -> tuple[_Key, Fraction]:
    """A polynomial up to a factor, and the factor."""
    if not p.terms:
        return frozenset(), Fraction(1)
    scale = p.terms[min(p.terms)]
    if scale == 1:
        return frozenset(p.terms.items()), Fraction(1)
    return frozenset((m, Fraction(c) / scale) for m, c in p.terms.items()), Fraction(scale)
