"""Metrics of mirror descent: diagonal inverse Hessians, entry by entry and tensor by tensor.

Mirror descent with potential Phi moves along ``-M grad L`` with ``M = (Hess Phi)**-1``. Here Phi is a sum over entries,
so that M is diagonal with entries m(theta_i): a power of theta_i, a square root of ``theta_i**2 + beta**2``, or any
rational function.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from math import prod
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gradlaws.errors import InputError
from gradlaws.exact.evaluate import evaluate, times
from gradlaws.exact.expression import Quotient, read_expression
from gradlaws.exact.field import PrimeField
from gradlaws.exact.formal import INVERSE_ROOT, RECIPROCAL, constant_like, power
from gradlaws.exact.jet import Jet
from gradlaws.models.family import Shapes

_SHIFTS = 16
"""Roots of a denominator that may follow each other."""


class Metric(ABC):
    """One function m: the diagonal entry of M where a parameter is x."""

    @property
    @abstractmethod
    def name(self) -> str:
        """How it is asked for."""

    @property
    @abstractmethod
    def degree(self) -> int:
        """A bound on the degrees of numerator and denominator of m together."""

    @property
    @abstractmethod
    def polynomial(self) -> bool:
        """Whether m is a polynomial."""

    @property
    def constant(self) -> bool:
        """Whether m does not depend on x."""
        return False

    @property
    def odd(self) -> bool:
        """Whether a change of sign of x changes that of m."""
        return False

    @abstractmethod
    def apply(self, x: Any, g: Any) -> Any:
        """``m(x) g`` entry by entry: jets, floats, and polynomials where m is one."""

    def singular(self, x: Tensor, field: PrimeField) -> Tensor:
        """Where m is not defined at residues."""
        return torch.zeros_like(x, dtype=torch.bool)

    def draw(self, x: Tensor, field: PrimeField) -> Tensor:
        """Turns uniform residues into random ones at which m is defined, so that bounds stay proved."""
        for _ in range(_SHIFTS):
            x = torch.where(self.singular(x, field), field.reduce(x + 1), x)
        return x


@dataclass(frozen=True, slots=True)
class Power(Metric):
    """``m(x) = rate * x**exponent``.

    Exponent 0 is a learning rate, 1 the entropy ``x log x - x`` (multiplicative updates), 2 the potential ``-log x`` of
    Burg, and ``2 - p`` with rate ``1 / (p - 1)`` the p-norm ``|x|**p / p`` where x > 0.
    """

    exponent: int = 0
    rate: Fraction = Fraction(1)

    def __post_init__(self) -> None:
        if self.rate <= 0:
            raise InputError(f"learning rate {self.rate} is not positive: a metric must be positive")

    @property
    def name(self) -> str:
        named = {0: "euclidean", 1: "entropy", 2: "burg"}
        if self.rate == 1 and self.exponent in named:
            return named[self.exponent]
        if self.exponent < 0 and self.rate == Fraction(1, 1 - self.exponent):
            return f"pnorm={2 - self.exponent}"
        return f"rate {self.rate}" if self.exponent == 0 else f"{self.rate} x**{self.exponent}"

    @property
    def degree(self) -> int:
        return abs(self.exponent)

    @property
    def polynomial(self) -> bool:
        return self.exponent >= 0

    @property
    def constant(self) -> bool:
        return self.exponent == 0

    @property
    def odd(self) -> bool:
        return self.exponent % 2 == 1

    def singular(self, x: Tensor, field: PrimeField) -> Tensor:
        return (x == 0) & (self.exponent < 0)

    def apply(self, x: Any, g: Any) -> Any:
        factor = x
        if self.exponent < 0:
            factor = RECIPROCAL(x)[0] if isinstance(x, Jet) else 1 / x
        for _ in range(abs(self.exponent)):
            g = g * factor
        return times(g, self.rate)


@dataclass(frozen=True, slots=True)
class Hypentropy(Metric):
    """``m(x) = sqrt(x**2 + beta**2)``, of the hypentropy (Ghai, Hazan, Singer 2020).

    Over a prime field only points with a square radicand are drawn; all branches of the root are conjugate, so that any
    of them gives the same ranks at a generic point.
    """

    beta: Fraction = Fraction(1)

    def __post_init__(self) -> None:
        if self.beta <= 0:
            raise InputError(f"hypentropy needs beta > 0, got {self.beta}")

    @property
    def name(self) -> str:
        return f"hypentropy={self.beta}"

    @property
    def degree(self) -> int:
        return 4

    @property
    def polynomial(self) -> bool:
        return False

    def apply(self, x: Any, g: Any) -> Any:
        if isinstance(x, Jet):
            square = x * x + constant_like(x.field.residue(self.beta**2), x)
            return g * (square * INVERSE_ROOT(square)[0])
        return g * (x * x + float(self.beta) ** 2).sqrt()

    def draw(self, x: Tensor, field: PrimeField) -> Tensor:
        """``(x - beta**2 / x) / 2``, for which the root is ``(x + beta**2 / x) / 2``."""
        x = torch.where(x == 0, torch.ones_like(x), x)
        inverse = field.reduce(power(x, field.prime - 2, field) * field.residue(self.beta**2))
        return field.reduce(field.reduce(x - inverse) * field.residue(Fraction(1, 2)))


@dataclass(frozen=True, slots=True)
class Hessian(Metric):
    """``m(x) = 1 / h(x)`` for the second derivative h of a mirror map, any rational function of x.

    Args:
        text: h, with x for the parameter, as text or SymPy expression.
    """

    text: str

    def __post_init__(self) -> None:
        if not self.read.above.terms:
            raise InputError("the Hessian 0 has no inverse: expected a rational function of x that is not zero")

    @property
    def read(self) -> Quotient:
        """H as a quotient of polynomials in variable 0."""
        return read_expression(str(self.text), {"x": 0})

    @property
    def name(self) -> str:
        return f"hessian={self.text}"

    @property
    def degree(self) -> int:
        return self.read.above.degree + self.read.below.degree

    @property
    def polynomial(self) -> bool:
        return self.read.above.degree == 0

    def singular(self, x: Tensor, field: PrimeField) -> Tensor:
        """Where h vanishes, or is not defined itself."""
        values = [evaluate(part, [Jet(x.unsqueeze(0), field)]) for part in (self.read.above, self.read.below)]
        return (values[0].coefficients[0] == 0) | (values[1].coefficients[0] == 0)

    @property
    def odd(self) -> bool:
        """Unless both polynomials are even."""
        return any(len(m) % 2 for p in (self.read.above, self.read.below) for m in p.terms)

    def apply(self, x: Any, g: Any) -> Any:
        h = self.read
        below, above = evaluate(h.below, [x]), evaluate(h.above, [x])
        if isinstance(x, Jet):
            return g * (below * RECIPROCAL(above)[0])
        if isinstance(x, Tensor):
            return g * below / above
        return g * below * (1 / Fraction(h.above.terms[()]))


EUCLIDEAN = Power()
ENTROPY = Power(1)


@dataclass(frozen=True, slots=True)
class Geometry:
    """A metric for each parameter tensor.

    Args:
        default: of the tensors that are not listed.
        others: names of tensors with metrics of their own.
    """

    default: Metric = EUCLIDEAN
    others: tuple[tuple[str, Metric], ...] = ()

    def of(self, name: str) -> Metric:
        """The metric of one tensor."""
        return dict(self.others).get(name, self.default)

    def check(self, shapes: Shapes) -> None:
        """Raise InputError where a listed tensor does not exist."""
        for name, _ in self.others:
            if name not in shapes:
                raise InputError(f"no parameter is called {name!r}: expected some of {', '.join(shapes)}")

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """All that occur."""
        return (self.default, *(metric for _, metric in self.others))

    @property
    def euclidean(self) -> bool:
        """Whether it is the plain one."""
        return all(metric == EUCLIDEAN for metric in self.metrics)

    @property
    def constant(self) -> bool:
        """Whether no metric depends on the parameters."""
        return all(metric.constant for metric in self.metrics)

    @property
    def polynomial(self) -> bool:
        """Whether every metric is polynomial."""
        return all(metric.polynomial for metric in self.metrics)

    @property
    def degree(self) -> int:
        """That of the worst one."""
        return max(metric.degree for metric in self.metrics)

    @property
    def name(self) -> str:
        """For titles: ``entropy``, or ``entropy on W2``."""
        named = [f"{metric.name} on {name}" for name, metric in self.others]
        return ", ".join([self.default.name] * (self.default != EUCLIDEAN or not named) + named)

    def apply(self, x: Any, g: Any, shapes: Shapes) -> Any:
        """``M(x) g`` for flattened arrays ``[..., D]``."""
        if not self.others:
            return self.default.apply(x, g)
        sizes = [prod(shape) for shape in shapes.values()]
        pieces = zip(shapes, _split(x, sizes), _split(g, sizes), strict=True)
        return _join([self.of(name).apply(a, b) for name, a, b in pieces])

    def draw(self, x: Tensor, shapes: Shapes, field: PrimeField) -> Tensor:
        """Random points ``[count, D]`` at which every metric is defined, from uniform ones."""
        pieces = x.split([prod(shape) for shape in shapes.values()], dim=-1)
        return torch.cat([self.of(n).draw(p, field) for n, p in zip(shapes, pieces, strict=True)], dim=-1)

    def sign_changes(self, changes: list[list[int]], shapes: Shapes) -> list[list[int]]:
        """Those of the potentials that also respect the metric."""
        owners: list[str] = [name for name, shape in shapes.items() for _ in range(prod(shape))]
        return [change for change in changes if not any(self.of(owners[i]).odd for i in change)]


def _split(x: Any, sizes: list[int]) -> list[Any]:
    if isinstance(x, Jet):
        return [Jet(piece, x.field) for piece in x.coefficients.split(sizes, dim=-1)]
    if isinstance(x, Tensor):
        return list(x.split(sizes, dim=-1))
    return np.split(x, np.cumsum(sizes)[:-1])


def _join(pieces: list[Any]) -> Any:
    first = pieces[0]
    if isinstance(first, Jet):
        return Jet(torch.cat([piece.coefficients for piece in pieces], dim=-1), first.field)
    return torch.cat(pieces, dim=-1) if isinstance(first, Tensor) else np.concatenate(pieces)


FLAT = Geometry()


def mirror(metric: Metric, tensors: tuple[str, ...] = ()) -> Geometry:
    """One metric on all parameters, or on some."""
    return Geometry(others=tuple((name, metric) for name in tensors)) if tensors else Geometry(metric)


def rates(chosen: Mapping[str, Fraction]) -> Geometry:
    """A learning rate for each of some tensors, 1 for the others."""
    return Geometry(others=tuple((name, Power(0, Fraction(rate))) for name, rate in chosen.items()))
