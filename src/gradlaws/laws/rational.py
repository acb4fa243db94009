"""Rational laws ``P / Q``: found from the polynomials that vanish on the leaf through a point.

All polynomials of a degree that vanish on the leaf of the fields through a point form a space whose reduced echelon
basis has entries that depend on the leaf only: they are rational laws (Rosenlicht 1956; the reduced bases of the
ideals of orbits separate orbits at generic points). The leaf is followed along a curve with random controls, as a
power series modulo p; each entry is then interpolated as a quotient of polynomials, and proved by expansion.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, combinations_with_replacement
from math import comb
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gradlaws.errors import UnsupportedError
from gradlaws.exact import linalg
from gradlaws.exact.field import PrimeField
from gradlaws.exact.polynomial import Monomial, Polynomial, sum_of_products
from gradlaws.exact.rational import primitive, reconstruct_vectors
from gradlaws.exact.ring import Reals, Ring
from gradlaws.laws.law import Law, Point
from gradlaws.laws.mirror import inverse
from gradlaws.laws.polynomial import PolynomialLaw
from gradlaws.models.family import Shape, Shapes

_SPARE = 6
_MOST_VARIABLES = 12
_MOST_TERMS = 2_000
_MOST_ENTRIES = 24
_VANISHING = ((1, 40), (2, 45))
"""Degrees of polynomials on leaves, and how many monomials may have them."""
_QUOTIENTS = ((1, 40), (2, 120), (3, 130))
"""Degrees of numerators and denominators, likewise."""


@dataclass(frozen=True, slots=True)
class RationalLaw(Law):
    """A quotient of two polynomials.

    Args:
        above: the numerator.
        below: the denominator, not constant.
    """

    above: PolynomialLaw
    below: PolynomialLaw

    @property
    def kind(self) -> str:
        """Always ``rational``."""
        return "rational"

    @property
    def degree(self) -> int:
        """Of the numerator of its gradient."""
        return self.above.degree + self.below.degree

    @property
    def count(self) -> int:
        return 1

    @property
    def text(self) -> str:
        """For example ``(u0 v1 - u1 v0) / (u0 w1 - u1 w0)``."""
        return f"{_bracketed(self.above.text)} / {_bracketed(self.below.text)}"

    @property
    def latex(self) -> str:
        """The text as a fraction."""
        return rf"\frac{{{self.above.latex}}}{{{self.below.latex}}}"

    @property
    def terms(self) -> tuple[dict[str, Any], ...]:
        """Those of the numerator, then of the denominator."""
        return (
            *(term | {"of": "numerator"} for term in self.above.terms),
            *(term | {"of": "denominator"} for term in self.below.terms),
        )

    def value(self, theta: Point, ring: Ring = Reals()) -> Tensor:
        return ring.reduce(self.above.value(theta, ring) * inverse(self.below.value(theta, ring), ring))

    def derivative(self, theta: Point, direction: Point, ring: Ring = Reals()) -> Tensor:
        above, below = self.above.value(theta, ring), self.below.value(theta, ring)
        first = ring.reduce(self.above.derivative(theta, direction, ring) * below)
        second = ring.reduce(self.below.derivative(theta, direction, ring) * above)
        over = inverse(below, ring)
        return ring.reduce(ring.reduce(first - second) * ring.reduce(over * over))

    def polynomials(self, shapes: Shapes) -> list[Polynomial]:
        raise UnsupportedError(f"{self.text} is not a polynomial: certificates and expansions are for polynomial laws")

    def conserved_by(self, components: list[Polynomial]) -> bool:
        """Whether ``Q <grad P, X> - P <grad Q, X>`` is the zero polynomial, which proves the law."""
        (p,), (q,) = self.above.polynomials({}), self.below.polynomials({})
        return not sum_of_products([(q, _moved(p, components)), (-p, _moved(q, components))]).terms


def _moved(polynomial: Polynomial, components: list[Polynomial]) -> Polynomial:
    used = sorted({v for monomial in polynomial.terms for v in monomial})
    return sum_of_products((polynomial.derivative(v), components[v]) for v in used)


def _bracketed(text: str) -> str:
    return f"({text})" if " " in text else text


def rational_laws(
    components: list[Polynomial], shapes: Shapes, field: PrimeField, generator: torch.Generator
) -> Iterator[RationalLaw]:
    """Candidates, simplest first; none where the system is too large.

    Args:
        components: the field X_s as polynomials in the state, then the instance.
        shapes: names and shapes of the state.
        field: where to compute.
        generator: source of the points and controls.
    """
    dimension = len(components)
    terms = sum(len(component.terms) for component in components)
    if dimension > _MOST_VARIABLES or terms > _MOST_TERMS:
        return
    curves = _Curves(components, field, generator)
    state = tuple(shapes.items())
    for degree, most in _VANISHING:
        if comb(dimension + degree, degree) > most:
            return
        points, entries = _invariants(curves, degree)
        for values in entries[:_MOST_ENTRIES]:
            law = _interpolated(points, values, field, state)
            if law is not None:
                yield law


def _invariants(curves: _Curves, degree: int) -> tuple[Tensor, list[Tensor]]:
    """Random points ``[count, D]`` and the entries of the reduced bases there that are not constant, each once."""
    monomials = _monomials(curves.dimension, degree)
    sizes = [(comb(curves.dimension + e, e), most) for e, most in _QUOTIENTS]
    count = 2 * max(size for size, most in sizes if size <= most) + _SPARE
    bases, points = [], []
    for _ in range(count):
        point, series = curves.follow(len(monomials) + _SPARE)
        bases.append(linalg.nullspace(_evaluated(series, monomials, curves.field.prime).T, curves.field))
        points.append(point)
    shapes = {basis.shape for basis in bases}
    if len(shapes) > 1 or 0 in bases[0].shape:
        return torch.stack(points), []
    columns = torch.stack(bases).flatten(1).T
    distinct = dict.fromkeys(tuple(column.tolist()) for column in columns if bool((column != column[0]).any()))
    return torch.stack(points), [torch.tensor(values, dtype=torch.float64) for values in distinct]


def _interpolated(
    points: Tensor, values: Tensor, field: PrimeField, state: tuple[tuple[str, Shape], ...]
) -> RationalLaw | None:
    """The quotient of lowest degree with these values, unless it is a polynomial."""
    for degree, most in _QUOTIENTS:
        monomials = _monomials(points.shape[1], degree)
        if len(monomials) > most:
            return None
        single = np.asarray(points.T.to(torch.int64))[:, :, None]
        powers = _evaluated(single, monomials, field.prime)
        table = powers.T[: 2 * len(monomials) + _SPARE]
        right = field.reduce(-table * values[: len(table), None])
        found = linalg.nullspace(torch.cat([table, right], dim=1), field).T
        if len(found):
            return _law(found[0], monomials, field, state)
    return None


def _law(
    vector: Tensor, monomials: list[Monomial], field: PrimeField, state: tuple[tuple[str, Shape], ...]
) -> RationalLaw | None:
    lifted = reconstruct_vectors([[int(x) for x in vector]], [field.prime])
    if lifted is None:
        return None
    whole, parts = primitive(lifted), []
    leading = next((c for c in whole[len(monomials) :] if c), 0)
    whole = tuple(-c for c in whole) if leading < 0 else whole  # the denominator starts with a positive term
    for coefficients in (whole[: len(monomials)], whole[len(monomials) :]):
        chosen = [(m, c) for m, c in zip(monomials, coefficients, strict=True) if c]
        if not chosen or (len(chosen) == 1 and not chosen[0][0]):
            return None
        parts.append(PolynomialLaw(tuple(m for m, _ in chosen), tuple(c for _, c in chosen), state))
    return RationalLaw(*parts)


def _monomials(dimension: int, degree: int) -> list[Monomial]:
    degrees = (combinations_with_replacement(range(dimension), d) for d in range(degree + 1))
    return list(chain.from_iterable(degrees))


def _evaluated(series: Any, monomials: list[Monomial], prime: int) -> Tensor:
    """Monomials ``[count, order]`` of truncated power series ``[D, order]``, or of points ``[D, order, 1]``."""
    known: dict[Monomial, Any] = {(): np.eye(1, series.shape[1], dtype=np.int64)[0]}
    if series.ndim == 3:  # one number each
        known[()] = np.ones(series.shape[1:], dtype=np.int64)
    for monomial in monomials[1:]:
        known[monomial] = _product(known[monomial[:-1]], series[monomial[-1]], prime)
    rows = np.stack([known[monomial].reshape(-1) for monomial in monomials])
    return torch.from_numpy(rows).to(torch.float64)


def _product(a: Any, b: Any, prime: int) -> Any:
    """Of truncated series ``[order]``, or of numbers ``[count, 1]``."""
    return a * b % prime if a.ndim > 1 else np.convolve(a, b)[: len(a)] % prime


@dataclass(frozen=True, eq=False, slots=True)
class _Curves:
    """Curves inside leaves, as power series modulo p."""

    components: list[Polynomial]
    field: PrimeField
    generator: torch.Generator

    @property
    def dimension(self) -> int:
        """Of the state."""
        return len(self.components)

    def follow(self, order: int) -> tuple[Tensor, Any]:
        """A random point ``[D]`` and the curve ``[D, order]`` through it with random controls."""
        prime = self.field.prime
        last = max((v for p in self.components for m in p.terms for v in m), default=0)
        drawn = self.field.random((max(last + 1, self.dimension), order), self.generator).to(torch.int64).numpy()
        series = np.zeros_like(drawn)
        series[:, 0], series[self.dimension :] = drawn[:, 0], drawn[self.dimension :]
        inverses = np.array([pow(k, prime - 2, prime) for k in range(1, order)], dtype=np.int64)
        for known in range(1, order):
            moved = np.stack([self._value(p, series[:, :known]) for p in self.components])
            series[: self.dimension, 1 : known + 1] = moved * inverses[:known] % prime
        return torch.from_numpy(series[: self.dimension, 0].copy()).to(torch.float64), series[: self.dimension]

    def _value(self, polynomial: Polynomial, series: Any) -> Any:
        prime = self.field.prime
        total = np.zeros(series.shape[1], dtype=np.int64)
        for monomial, c in polynomial.terms.items():
            term = np.eye(1, series.shape[1], dtype=np.int64)[0]
            for v in monomial:
                term = np.convolve(term, series[v])[: len(term)] % prime
            total = (total + term * self.field.residue(c)) % prime
        return total
