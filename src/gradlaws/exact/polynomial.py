"""Sparse polynomials with rational coefficients, for identities that are proved by expansion."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from math import prod
from typing import Any

import numpy as np

Monomial = tuple[int, ...]
"""Variable numbers in ascending order, repeated by exponent: (0, 0, 3) is x0**2 x3."""


@dataclass(frozen=True, slots=True)
class Polynomial:
    """A finite map from monomials to nonzero coefficients."""

    terms: Mapping[Monomial, Fraction | int]

    def __add__(self, other: Polynomial | int) -> Polynomial:
        if isinstance(other, np.ndarray):
            return NotImplemented  # numpy adds entry by entry
        if isinstance(other, int):
            other = constant(other)
        total = dict(self.terms)
        for monomial, coefficient in other.terms.items():
            value = total.get(monomial, 0) + coefficient
            if value:
                total[monomial] = value
            else:
                total.pop(monomial, None)
        return Polynomial(total)

    __radd__ = __add__

    def __mul__(self, other: Polynomial | Fraction | int) -> Polynomial:
        if isinstance(other, np.ndarray):
            return NotImplemented
        if not isinstance(other, Polynomial):
            return Polynomial({m: c * other for m, c in self.terms.items() if other})
        return sum_of_products([(self, other)])

    __rmul__ = __mul__

    def __neg__(self) -> Polynomial:
        return self * -1

    def __sub__(self, other: Polynomial) -> Polynomial:
        return self + (-other)

    def derivative(self, variable: int) -> Polynomial:
        """Partial derivative."""
        total = {}
        for monomial, coefficient in self.terms.items():
            power = monomial.count(variable)
            if power:
                at = monomial.index(variable)
                total[monomial[:at] + monomial[at + 1 :]] = power * coefficient
        return Polynomial(total)

    def renumbered(self, numbers: Mapping[int, int]) -> Polynomial:
        """The same polynomial in other variables; different ones stay different."""
        return Polynomial({tuple(sorted(numbers[v] for v in m)): c for m, c in self.terms.items()})

    @property
    def degree(self) -> int:
        """Total degree, 0 for constants."""
        return max((len(monomial) for monomial in self.terms), default=0)


def constant(value: Fraction | int) -> Polynomial:
    """A constant polynomial."""
    return Polynomial({(): value} if value else {})


def variable(number: int) -> Polynomial:
    """One variable."""
    return Polynomial({(number,): 1})


def sum_of_products(pairs: Iterable[tuple[Polynomial, Polynomial]]) -> Polynomial:
    """The sum of ``a * b`` over all pairs, in one pass."""
    total: dict[Monomial, Fraction | int] = {}
    for left, right in pairs:
        for m, a in left.terms.items():
            for n, b in right.terms.items():
                monomial = tuple(sorted(m + n)) if m and n else m + n
                total[monomial] = total.get(monomial, 0) + a * b
    return Polynomial({m: c for m, c in total.items() if c})


def variables(shapes: Mapping[str, tuple[int, ...]], only: str, start: int = 0) -> Any:
    """The array of variables of one named tensor, when all are numbered in order from `start`; dtype object."""
    for name, shape in shapes.items():
        size = prod(shape)
        if name == only:
            array = np.empty(size, dtype=object)
            array[:] = [Polynomial({(start + i,): 1}) for i in range(size)]
            return array.reshape(shape)
        start += size
    raise KeyError(only)


def all_variables(count: int, start: int = 0) -> Any:
    """So many variables in order, as an array of dtype object."""
    array = np.empty(count, dtype=object)
    array[:] = [variable(start + i) for i in range(count)]
    return array
