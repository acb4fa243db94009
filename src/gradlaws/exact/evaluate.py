"""Values of polynomials at jets, and at anything else that adds and multiplies."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

from torch import Tensor

from gradlaws.exact.formal import constant_like
from gradlaws.exact.jet import Jet
from gradlaws.exact.polynomial import Monomial, Polynomial


def times(x: Any, factor: Fraction | int) -> Any:
    """A rational multiple of a jet, of polynomials or of floats."""
    if factor == 1:
        return x
    if isinstance(x, Jet):
        return x * constant_like(x.field.residue(factor), x)
    return x * (float(factor) if isinstance(x, Tensor) else factor)


def evaluate(polynomial: Polynomial, values: Sequence[Any], products: dict[Monomial, Any] | None = None) -> Any:
    """The value at numbers of any kind, one for each variable; None for the zero polynomial.

    Args:
        polynomial: without a constant term unless it is alone with others; a constant needs `values` to be one.
        values: of the variables.
        products: values of monomials that are known; further ones are added.
    """
    known: dict[Monomial, Any] = {} if products is None else products
    total = None
    for monomial, c in polynomial.terms.items():
        term = times(_product(monomial, values, known), c)
        total = term if total is None else total + term
    return total


def _product(monomial: Monomial, values: Sequence[Any], known: dict[Monomial, Any]) -> Any:
    if not monomial:
        return one_like(values[0])
    if len(monomial) == 1:
        return values[monomial[0]]
    if monomial not in known:
        known[monomial] = _product(monomial[:-1], values, known) * values[monomial[-1]]
    return known[monomial]


def one_like(x: Any) -> Any:
    """One, as a number of the same kind."""
    if isinstance(x, Jet):
        return constant_like(1, x)
    return x * 0 + 1
