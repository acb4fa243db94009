"""Laws ``exp(a t) P`` of explicit fields with a clock t: polynomials P with ``X P = -a P`` along the drift.

A clock is a variable that moves at a constant speed along every field. The polynomials of a degree that the fields
without time annihilate, and that the drift maps among themselves, form a space; the laws are the eigenvectors of the
drift there (Darboux polynomials with constant cofactors).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain, combinations_with_replacement
from math import comb
from typing import Any

import torch
from torch import Tensor

from gradlaws.errors import UnsupportedError
from gradlaws.exact import linalg
from gradlaws.exact.field import PrimeField
from gradlaws.exact.polynomial import Monomial, Polynomial, sum_of_products
from gradlaws.exact.rational import primitive, reconstruct_vectors
from gradlaws.exact.ring import Reals, Ring
from gradlaws.flows.fields import Fields
from gradlaws.laws.law import Law, Point
from gradlaws.laws.polynomial import PolynomialLaw
from gradlaws.models.family import Shapes

_DEGREES = (1, 2, 3)
_MOST = 300
_NUMERATORS, _DENOMINATORS = 200, 20
"""Rates of exponentials that are looked for."""


@dataclass(frozen=True, slots=True)
class ExponentialLaw(Law):
    """``exp(rate * clock) * P``.

    Args:
        base: P.
        clock: the variable that tells the time.
        rate: not zero.
    """

    base: PolynomialLaw
    clock: str
    rate: Fraction

    @property
    def kind(self) -> str:
        """Always ``exponential``."""
        return "exponential"

    @property
    def degree(self) -> int:
        """That of P, and one for the derivative of the exponential."""
        return self.base.degree + 1

    @property
    def count(self) -> int:
        return 1

    @property
    def text(self) -> str:
        """For example ``exp(-2 t) (x - 3 y)``."""
        body = self.base.text
        return f"exp({self._exponent(' ')}) {f'({body})' if ' ' in body else body}"

    @property
    def latex(self) -> str:
        """The text, in LaTeX."""
        return rf"e^{{{self._exponent('')}}} \left({self.base.latex}\right)"

    @property
    def terms(self) -> tuple[dict[str, Any], ...]:
        """Those of P, with the weight."""
        return tuple(term | {"weight": f"exp({self._exponent(' ')})"} for term in self.base.terms)

    def value(self, theta: Point, ring: Ring = Reals()) -> Tensor:
        """Values ``[*batch, 1]``; a prime field has no exponential, and the factor is left out there."""
        return ring.reduce(self.base.value(theta, ring) * self._factor(theta, ring))

    def derivative(self, theta: Point, direction: Point, ring: Ring = Reals()) -> Tensor:
        """``exp(a t) (dP + a P dt)``; a factor that is not zero changes no rank and no test."""
        ticked = ring.reduce(direction[self.clock].unsqueeze(-1) * ring.residue(self.rate))
        moved = self.base.derivative(theta, direction, ring) + ring.reduce(self.base.value(theta, ring) * ticked)
        return ring.reduce(ring.reduce(moved) * self._factor(theta, ring))

    def polynomials(self, shapes: Shapes) -> list[Polynomial]:
        raise UnsupportedError(f"{self.text} is not a polynomial: it is proved by the identity X P = -a P")

    def conserved_by(self, components: list[Polynomial]) -> bool:
        """Whether ``<grad P, X> + a X_t P`` is the zero polynomial, which proves the law."""
        (p,) = self.base.polynomials({})
        place = [name for name, _ in self.base.shapes].index(self.clock)
        used = sorted({v for monomial in p.terms for v in monomial})
        pairs = [(p.derivative(v), components[v]) for v in used] + [(p * self.rate, components[place])]
        return not sum_of_products(pairs).terms

    def _exponent(self, between: str) -> str:
        size = "" if abs(self.rate) == 1 else f"{abs(self.rate)}{between}"
        return f"{'-' * (self.rate < 0)}{size}{self.clock}"

    def _factor(self, theta: Point, ring: Ring) -> Tensor:
        clock = theta[self.clock].unsqueeze(-1)
        return torch.ones_like(clock) if isinstance(ring, PrimeField) else torch.exp(float(self.rate) * clock)


def exponential_laws(flow: Fields, field: PrimeField) -> Iterator[ExponentialLaw]:
    """Candidates, lowest degrees first; none where nothing tells the time or the system is too large."""
    for clock in range(flow.dimension):
        speeds = [entries[clock] for entries in flow.fields]
        if any(speed.degree for speed in speeds) or not any(speed.terms for speed in speeds):
            continue
        drift = next(i for i, speed in enumerate(speeds) if speed.terms)
        rates = [Fraction(speed.terms.get((), 0)) for speed in speeds]
        pace = 1 / rates[drift]
        moving = [entry * pace for entry in flow.fields[drift]]
        still = [
            [entry + other * -rate for entry, other in zip(flow.fields[i], moving, strict=True)]
            for i, rate in enumerate(rates)
            if i != drift
        ]
        for degree in _DEGREES:
            if comb(flow.dimension + degree, degree) <= _MOST:
                yield from _eigenvectors(flow, clock, moving, still, degree, field)


def _eigenvectors(
    flow: Fields, clock: int, drift: list[Polynomial], still: list[list[Polynomial]], degree: int, field: PrimeField
) -> Iterator[ExponentialLaw]:
    """Polynomials of one degree that `still` annihilates and the drift multiplies by a number."""
    degrees = (combinations_with_replacement(range(flow.dimension), d) for d in range(degree + 1))
    monomials = list(chain.from_iterable(degrees))
    space = torch.eye(len(monomials), dtype=torch.float64)
    for entries in still:
        images = _images(monomials, entries, field)
        space = field.matmul(space, linalg.nullspace(field.matmul(images, space), field))
    images = _images(monomials, drift, field)
    padded = torch.zeros(len(images), len(monomials), dtype=torch.float64)
    padded[: len(monomials)] = torch.eye(len(monomials), dtype=torch.float64)
    while space.shape[1]:
        joint = torch.cat([field.matmul(images, space), field.reduce(-field.matmul(padded, space))], dim=1)
        kept = linalg.nullspace(joint, field)[: space.shape[1]]
        if linalg.rank(kept, field) == space.shape[1]:
            break
        space = field.matmul(space, _columns(kept, field))
    if not space.shape[1]:
        return
    action = linalg.solve(field.matmul(padded, space), field.matmul(images, space), field)
    one = torch.eye(len(action), dtype=torch.float64)
    shapes = tuple(flow.state.items())
    for value in _eigenvalues(action, field):
        vectors = field.matmul(space, linalg.nullspace(field.reduce(action - one * field.residue(value)), field))
        for vector in vectors.T.to(torch.int64).tolist():
            lifted = reconstruct_vectors([vector], [field.prime])
            if lifted is not None:
                chosen = [(m, c) for m, c in zip(monomials, primitive(lifted), strict=True) if c]
                law = PolynomialLaw(tuple(m for m, _ in chosen), tuple(c for _, c in chosen), shapes)
                yield ExponentialLaw(law, flow.variables[clock], -value)


def _images(monomials: list[Monomial], entries: list[Polynomial], field: PrimeField) -> Tensor:
    """Derivatives of monomials along a field, ``[monomials that occur, monomials]``, those given first."""
    numbers = {monomial: i for i, monomial in enumerate(monomials)}
    columns = []
    for monomial in monomials:
        whole = Polynomial({monomial: 1})
        moved = sum_of_products((whole.derivative(v), entries[v]) for v in sorted(set(monomial)))
        columns.append({numbers.setdefault(m, len(numbers)): field.residue(c) for m, c in moved.terms.items()})
    images = torch.zeros(len(numbers), len(monomials), dtype=torch.float64)
    for i, column in enumerate(columns):
        for place, c in column.items():
            images[place, i] = c
    return images


def _columns(matrix: Tensor, field: PrimeField) -> Tensor:
    """Columns that span the same space, without idle ones."""
    return matrix[:, linalg.echelon(matrix, field).pivots.cpu()]


def _eigenvalues(matrix: Tensor, field: PrimeField) -> list[Fraction]:
    """Small rational ones that are not zero: roots of the characteristic polynomial (Faddeev, LeVerrier)."""
    size, one = len(matrix), torch.eye(len(matrix), dtype=torch.float64)
    power, coefficients = torch.zeros_like(matrix), [1]
    for k in range(1, size + 1):
        power = field.reduce(field.matmul(matrix, power) + one * coefficients[-1])
        trace = int(field.matmul(matrix, power).diagonal().sum()) % field.prime
        coefficients.append(-trace * pow(k, -1, field.prime) % field.prime)
    found = []
    for d in range(1, _DENOMINATORS + 1):
        for n in range(-_NUMERATORS, _NUMERATORS + 1):
            candidate = Fraction(n, d)
            if n and candidate.denominator == d:
                value, x = 0, field.residue(candidate)
                for c in coefficients:
                    value = (value * x + c) % field.prime
                found += [candidate] * (value == 0)
    return found
