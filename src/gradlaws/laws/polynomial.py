"""A single polynomial law, term by term, as the generic search finds it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import torch
from torch import Tensor

from gradlaws.exact.field import PrimeField
from gradlaws.exact.formal import LOG, power
from gradlaws.exact.polynomial import Monomial, Polynomial
from gradlaws.exact.ring import Reals, Ring
from gradlaws.flows.logs import log_of
from gradlaws.laws.law import Law, Point, flatten, signed_sum
from gradlaws.models.family import Shape, Shapes

_LOG = log_of("")


def variable_names(shapes: Shapes) -> list[str]:
    """``W1[0,2]`` and so on, in flattened order."""
    names = []
    for name, shape in shapes.items():
        for index in product(*map(range, shape)):
            names.append(f"{name}[{','.join(map(str, index))}]" if shape else name)
    return names


@dataclass(frozen=True, slots=True)
class PolynomialLaw(Law):
    """``sum of coefficient * monomial`` with coprime integer coefficients.

    Args:
        monomials: sorted variable numbers with repetition, in flattened order of the parameters.
        coefficients: one for each monomial.
        shapes: names and shapes of the parameters.
    """

    monomials: tuple[Monomial, ...]
    coefficients: tuple[int, ...]
    shapes: tuple[tuple[str, Shape], ...]

    @property
    def kind(self) -> str:
        """Always ``polynomial``."""
        return "polynomial"

    @property
    def degree(self) -> int:
        """Largest total degree of a monomial."""
        return max(map(len, self.monomials))

    @property
    def count(self) -> int:
        """One."""
        return 1

    @property
    def text(self) -> str:
        """For example ``W1[0,0]^2 - W2[0,0]^2``."""
        return signed_sum([(c, self._factor(m, " ", "^{}")) for m, c in self._pairs()])

    @property
    def latex(self) -> str:
        """For example ``W1_{0,0}^{2} - W2_{0,0}^{2}``."""
        return (
            signed_sum([(c, self._factor(m, r"\,", "^{{{}}}")) for m, c in self._pairs()], r"\,")
            .replace("[", "_{")
            .replace("]", "}")
            .replace(_LOG, rf"\{_LOG}")
        )

    @property
    def terms(self) -> tuple[dict[str, Any], ...]:
        """Coefficient and factors of each monomial."""
        names = self.names
        return tuple({"coefficient": str(c), "factors": [names[v] for v in m]} for m, c in self._pairs())

    def value(self, theta: Point, ring: Ring = Reals()) -> Tensor:
        """Values ``[*batch, 1]``; logarithms that theta does not give are taken."""
        return self._combine(_product(self._factors(self._with_logs(theta, theta, None, ring), 1.0), ring), ring)

    def derivative(self, theta: Point, direction: Point, ring: Ring = Reals()) -> Tensor:
        """Derivatives ``[*batch, 1]`` by the product rule."""
        point, moved = self._with_logs(theta, theta, None, ring), self._with_logs(direction, theta, direction, ring)
        return self._combine(product_rule(self._factors(point, 1.0), self._factors(moved, 0.0), ring), ring)

    def polynomials(self, shapes: Shapes) -> list[Polynomial]:
        """The law itself."""
        return [Polynomial(dict(self._pairs()))]

    @property
    def names(self) -> list[str]:
        """The name of every variable."""
        return variable_names(dict(self.shapes))

    def _pairs(self) -> list[tuple[Monomial, int]]:
        return list(zip(self.monomials, self.coefficients, strict=True))

    def _factor(self, monomial: Monomial, between: str, power: str) -> str:
        powers = {v: monomial.count(v) for v in monomial}
        names = self.names
        return between.join(names[v] + (power.format(n) if n > 1 else "") for v, n in powers.items())

    def _with_logs(self, given: Point, theta: Point, direction: Point | None, ring: Ring) -> Point:
        """What is given, with logarithms, or their derivatives, for the names ``log x`` that are missing."""
        found = {}
        for name in [name for name, _ in self.shapes if name not in given and name.startswith(_LOG)]:
            own = name.removeprefix(_LOG)
            x = theta[own]
            if direction is None:
                found[name] = LOG.start(x, ring)[0] if isinstance(ring, PrimeField) else x.log()
            else:
                over = power(x, ring.prime - 2, ring) if isinstance(ring, PrimeField) else 1 / x
                found[name] = ring.reduce(direction[own] * over)
        return {**given, **found} if found else given

    def _factors(self, point: Point, padding: float) -> list[Tensor]:
        return gather(flatten(point, dict(self.shapes)), self.monomials, self.degree, padding)

    def _combine(self, values: Tensor, ring: Ring) -> Tensor:
        scale = values.new_tensor([ring.residue(c) for c in self.coefficients])
        return ring.reduce(ring.reduce(values * scale).sum(-1, keepdim=True))


def gather(flat: Tensor, monomials: Sequence[Monomial], degree: int, padding: float) -> list[Tensor]:
    """The factors of each monomial: `degree` arrays ``[*batch, monomials]``, filled up with `padding`."""
    padded = torch.cat([flat, torch.full_like(flat[..., :1], padding)], dim=-1)
    last = flat.shape[-1]
    index = torch.tensor([[*m, *[last] * (degree - len(m))] for m in monomials], device=flat.device)
    return [padded[..., column] for column in index.T]


def _product(factors: list[Tensor], ring: Ring) -> Tensor:
    total = factors[0]
    for factor in factors[1:]:
        total = ring.reduce(total * factor)
    return total


def product_rule(factors: list[Tensor], directions: list[Tensor], ring: Ring) -> Tensor:
    """Derivative of a product of `factors` along `directions`."""
    value, derivative = factors[0], directions[0]
    for factor, direction in zip(factors[1:], directions[1:], strict=True):
        derivative = ring.reduce(ring.reduce(derivative * factor) + ring.reduce(value * direction))
        value = ring.reduce(value * factor)
    return derivative
