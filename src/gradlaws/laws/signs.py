"""Laws of sign flow: ``sgn(a) theta_i - sgn(b) theta_j`` where the gradients obey ``g_i : g_j = a : b``."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from gradlaws.errors import UnsupportedError
from gradlaws.exact.evaluate import evaluate
from gradlaws.exact.field import PrimeField
from gradlaws.exact.polynomial import Polynomial, sum_of_products
from gradlaws.exact.rational import primitive
from gradlaws.exact.ring import Reals, Ring
from gradlaws.flows.signs import SignFlow
from gradlaws.laws.law import Law, Point, flatten, signed_sum
from gradlaws.laws.polynomial import PolynomialLaw, variable_names
from gradlaws.laws.proof import EXPANSION_LIMIT
from gradlaws.models.family import Family, Shape, Shapes


@dataclass(frozen=True, slots=True)
class SignLaw(Law):
    """``sgn(a) theta_i - sgn(b) theta_j``, conserved where a and b keep their signs.

    Args:
        pair: i and j, in flattened order.
        factors: a and b.
        shapes: names and shapes of the parameters.
    """

    pair: tuple[int, int]
    factors: tuple[Polynomial, Polynomial]
    shapes: tuple[tuple[str, Shape], ...]

    @property
    def kind(self) -> str:
        """Always ``sign``."""
        return "sign"

    @property
    def degree(self) -> int:
        return 1

    @property
    def count(self) -> int:
        return 1

    @property
    def text(self) -> str:
        """For example ``sgn(W2[0,0]) W1[0,0] - sgn(W2[0,1]) W1[1,0]``."""
        names = variable_names(dict(self.shapes))
        (sign, first), (other, second) = (self._sign(p) for p in self.factors)
        return signed_sum([(sign, first + names[self.pair[0]]), (-other, second + names[self.pair[1]])])

    @property
    def latex(self) -> str:
        """The text, in LaTeX."""
        return self.text.replace("sgn", r"\operatorname{sgn}").replace("[", "_{").replace("]", "}")

    @property
    def terms(self) -> tuple[dict[str, Any], ...]:
        """Both parameters with the polynomials whose signs they carry."""
        names = variable_names(dict(self.shapes))
        return tuple(
            {"factors": [names[i]], "sign_of": self._written(p)} for p, i in zip(self.factors, self.pair, strict=True)
        )

    def value(self, theta: Point, ring: Ring = Reals()) -> Tensor:
        """Values ``[*batch, 1]``; in a prime field all signs are taken to be positive."""
        return self.derivative(theta, theta, ring)

    def derivative(self, theta: Point, direction: Point, ring: Ring = Reals()) -> Tensor:
        flat, moved = (flatten(x, dict(self.shapes)) for x in (theta, direction))
        first, second = (
            self._signs(p, flat, ring) * moved[..., i] for p, i in zip(self.factors, self.pair, strict=True)
        )
        return ring.reduce(first - second).unsqueeze(-1)

    def polynomials(self, shapes: Shapes) -> list[Polynomial]:
        raise UnsupportedError(f"{self.text} is not a polynomial: it is proved by proportional gradients")

    def _written(self, factor: Polynomial) -> str:
        """A positive multiple with coprime integer coefficients."""
        numbers = [Fraction(c) for c in factor.terms.values()]
        whole = primitive(numbers)
        signed = whole if whole[0] * numbers[0] > 0 else tuple(-c for c in whole)
        return PolynomialLaw(tuple(factor.terms), signed, self.shapes).text if factor.degree else str(signed[0])

    def _sign(self, factor: Polynomial) -> tuple[int, str]:
        """The sign of a constant, or the formula of one that may change."""
        if factor.degree:
            return 1, f"sgn({self._written(factor)}) "
        return (1 if factor.terms[()] > 0 else -1), ""

    @staticmethod
    def _signs(factor: Polynomial, flat: Tensor, ring: Ring) -> Tensor:
        if isinstance(ring, PrimeField):
            return torch.ones_like(flat[..., 0])
        if not factor.degree:
            return torch.full_like(flat[..., 0], 1.0 if factor.terms[()] > 0 else -1.0)
        return torch.sign(evaluate(factor, list(flat.unbind(-1))))


def sign_laws(flow: SignFlow, field: PrimeField) -> list[Law]:
    """One law for each coordinate beyond the first of a class, and one for each that vanishes on all gradients.

    None where the gradient is too large to expand, as that of a recorded module is; the bound from above stays.
    """
    family = flow.family
    if family.monomials * family.dimension > EXPANSION_LIMIT:
        return []
    shapes, classes = tuple(family.parameters.items()), flow.classes(field)
    gradient = family.expanded_gradient()
    moving = {i for members in classes for i in members}
    laws: list[Law] = [PolynomialLaw(((i,),), (1,), shapes) for i in range(family.dimension) if i not in moving]
    for members in classes:
        factors = dict(zip(members, _factors([gradient[i] for i in members], family.dimension), strict=True))
        laws += [SignLaw((i, j), (factors[i], factors[j]), shapes) for i, j in pairwise(members)]
    return laws


def proportional(family: Family, law: SignLaw) -> bool:
    """Whether ``b g_i - a g_j`` is the zero polynomial, which proves the law."""
    (i, j), (a, b), gradient = law.pair, law.factors, family.expanded_gradient()
    return not sum_of_products([(b, gradient[i]), (-a, gradient[j])]).terms


def _factors(gradients: list[Polynomial], dimension: int) -> list[Polynomial]:
    """Polynomials in the parameters in the ratio of the gradients: one coefficient in s, without common monomials."""
    instance = tuple(v for v in next(iter(gradients[0].terms)) if v >= dimension)
    taken = [
        {
            m[: len(m) - len(instance)]: c
            for m, c in p.terms.items()
            if tuple(v for v in m if v >= dimension) == instance
        }
        for p in gradients
    ]
    shared = list(next(iter(taken[0])))
    for monomial in (m for terms in taken for m in terms):
        shared = [v for k, v in enumerate(shared) if shared[: k + 1].count(v) <= monomial.count(v)]
    return [Polynomial({_without(m, shared): c for m, c in terms.items()}) for terms in taken]


def _without(monomial: tuple[int, ...], factor: list[int]) -> tuple[int, ...]:
    rest = list(monomial)
    for v in factor:
        rest.remove(v)
    return tuple(rest)
