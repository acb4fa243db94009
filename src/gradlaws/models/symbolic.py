"""A parametrisation written as polynomials: ``phi(theta) = (u*v, u**2 - v)``.

A model whose output depends on theta through phi only, and freely, moves along combinations of the gradients of its
entries (Marcotte, Gribonval, Peyre 2023, section 2).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

from gradlaws.errors import InputError
from gradlaws.exact.evaluate import evaluate
from gradlaws.exact.expression import Quotient, read_expression
from gradlaws.exact.polynomial import Polynomial
from gradlaws.models.family import Family, Shapes


@dataclass(frozen=True)
class Parametrised(Family):
    """Potentials ``sum of c_i phi_i(theta)``, one free number c_i for each polynomial.

    Args:
        variables: names of the parameters.
        phi: polynomials in them, none of them constant.
    """

    variables: tuple[str, ...]
    phi: tuple[Polynomial, ...]

    @property
    def name(self) -> str:
        count = len(self.phi)
        return f"{count} polynomial{'s' * (count > 1)} in {', '.join(self.variables)}"

    @property
    def parameters(self) -> Shapes:
        return dict.fromkeys(self.variables, ())

    @property
    def instance(self) -> Shapes:
        return {f"multiplier {i}": () for i in range(len(self.phi))}

    @property
    def degree(self) -> int:
        return 1 + max(p.degree for p in self.phi)

    @property
    def monomials(self) -> int:
        return sum(len(p.terms) for p in self.phi)

    @property
    def assumptions(self) -> tuple[str, ...]:
        return ()

    @property
    def scope(self) -> str:
        """The gradients may be combined in any way."""
        return "for every loss of phi(theta)"

    def potential(self, theta: Mapping[str, Any], s: Mapping[str, Any]) -> Any:
        values = [_scalar(theta[name]) for name in self.variables]
        terms = [_scalar(s[f"multiplier {i}"]) * evaluate(p, values) for i, p in enumerate(self.phi)]
        return reduce(lambda a, b: a + b, terms)


def _scalar(x: Any) -> Any:
    """The entry of an array of no axes that holds a polynomial; anything else as it is."""
    return x.item() if getattr(x, "dtype", None) is not None and x.dtype == object else x


def numbered(variables: Sequence[str]) -> dict[str, int]:
    """Numbers of the variables, by name.

    Raises:
        InputError: there are none, one is no name, or one occurs twice.
    """
    if not variables:
        raise InputError("no variables are declared: expected at least one name")
    for name in variables:
        if not (isinstance(name, str) and name.isidentifier()):
            raise InputError(f"variable {name!r} is not a name: expected letters, digits and _")
    if len(set(variables)) < len(variables):
        twice = next(name for name in variables if list(variables).count(name) > 1)
        raise InputError(f"variable {twice!r} is declared twice")
    return {name: i for i, name in enumerate(variables)}


def parametrised(variables: Sequence[Any], phi: Sequence[Any]) -> Parametrised:
    """The family of a parametrisation.

    Args:
        variables: names, or SymPy symbols.
        phi: texts, or SymPy expressions, polynomial in the variables.

    Raises:
        InputError: an expression is not understood, not a polynomial, or all are constant.
    """
    names = tuple(map(str, variables))
    numbers = numbered(names)
    found = [_polynomial(read_expression(str(text), numbers), str(text)) for text in phi]
    moving = tuple(p for p in found if p.degree)
    if not moving:
        raise InputError("no entry of the parametrisation depends on a variable: nothing would ever move")
    return Parametrised(names, moving)


def _polynomial(value: Quotient, text: str) -> Polynomial:
    if value.below.degree:
        raise InputError(f"{text!r} is not a polynomial: give the vector fields themselves, which may be rational")
    return value.above
