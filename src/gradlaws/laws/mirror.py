"""Laws of mirror flows: the squares of a quadratic law replaced by what the metric makes of them.

If ``sum c theta**2 / 2`` is a law of Euclidean gradient flow, the sum of ``c F(theta)`` with ``F'(x) = x / m(x)`` is
one of the flow with metric diag(m): its gradient, multiplied by the metric, is that of the quadratic law. A linear law
``sum c theta`` needs ``F'(x) = 1 / m(x)``. For the entropy F(x) is x and log x (Marcotte, Gribonval, Peyre 2024, for
nonnegative matrix factorisation).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from math import gcd, lcm
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gradlaws.errors import UnsupportedError
from gradlaws.exact.field import PrimeField
from gradlaws.exact.formal import INVERSE_ROOT, LOG, power
from gradlaws.exact.polynomial import Polynomial
from gradlaws.exact.ring import Reals, Ring
from gradlaws.flows.metric import Geometry, Hessian, Hypentropy, Metric, Power
from gradlaws.flows.traced import TracedHessian
from gradlaws.laws.contraction import Contraction
from gradlaws.laws.gram import GramLaw
from gradlaws.laws.law import Law, Point, signed_sum
from gradlaws.laws.sums import SumLaw
from gradlaws.models.family import Shapes

_NODES = 64
_LETTERS = ("F", *(f"F{i}" for i in range(2, 100)))

Part = tuple[Contraction, int, Metric]


@dataclass(frozen=True, slots=True)
class MirrorLaw(Law):
    """``sum of coefficient * F(theta)`` over the other axes, at each index or over all of them.

    Args:
        base: the law of Euclidean gradient flow: a linear law, or the diagonal or trace of a quadratic one.
        metric: of the flow.
    """

    base: GramLaw | SumLaw
    metric: Geometry

    @property
    def kind(self) -> str:
        """That of the base."""
        return self.base.kind

    @property
    def degree(self) -> int:
        """A bound for the rational gradient."""
        return 2 + 2 * self.metric.degree

    @property
    def count(self) -> int:
        return self.base.count

    @property
    def text(self) -> str:
        """For example ``2 sum W2[:,k] - |W1[k,:]|^2``."""
        return ", ".join([signed_sum([(c, word) for c, word in self._words()]), *self._primitives().values()])

    @property
    def latex(self) -> str:
        """The text with names set upright."""
        total = signed_sum([(c, _latex(word, part.tensor)) for (part, _, _), (c, word) in self._written], r"\,")
        return r", \; ".join([total, *self._primitives().values()])

    @property
    def terms(self) -> tuple[dict[str, Any], ...]:
        """Tensor, axis, coefficient and function of each sum."""
        return tuple(part.term | {"coefficient": str(c), "function": word} for (part, _, _), (c, word) in self._written)

    def value(self, theta: Point, ring: Ring = Reals()) -> Tensor:
        """Values ``[*batch, count]``; in a prime field logarithms are residues without meaning of their own."""
        return self._total([(c, self._primitive(metric, p.rows(theta), ring)) for p, c, metric in self._parts], ring)

    def derivative(self, theta: Point, direction: Point, ring: Ring = Reals()) -> Tensor:
        parts = [
            (c, ring.reduce(self._slope(metric, part.rows(theta), ring) * part.rows(direction)))
            for part, c, metric in self._parts
        ]
        return self._total(parts, ring)

    def polynomials(self, shapes: Shapes) -> list[Polynomial]:
        raise UnsupportedError(f"{self.text} is not handled as a polynomial: it is proved by its Euclidean counterpart")

    @property
    def _parts(self) -> tuple[Part, ...]:
        return tuple((part, c, self.metric.of(part.tensor)) for part, c in self.base.parts)

    @property
    def _written(self) -> list[tuple[Part, tuple[int, str]]]:
        return list(zip(self._parts, self._words(), strict=True))

    @property
    def _linear(self) -> bool:
        return isinstance(self.base, SumLaw)

    @property
    def _scale(self) -> Fraction:
        """What makes all coefficients of the text coprime integers."""
        raw = [self._raw(c, metric)[0] for _, c, metric in self._parts]
        scale = lcm(*(c.denominator for c in raw))
        return Fraction(scale, gcd(*(int(c * scale) for c in raw)))

    def _raw(self, c: int, metric: Metric) -> tuple[Fraction, int]:
        """Coefficient and exponent of F; exponent 0 is the logarithm, or any function that is no power."""
        if isinstance(metric, Power):
            exponent = (0 if self._linear else 1) - metric.exponent + 1
            return Fraction(c) / metric.rate / (exponent or 1), exponent
        return Fraction(c), 0

    def _words(self) -> list[tuple[int, str]]:
        """Coefficients and formulas."""
        found = []
        for part, c, metric in self._parts:
            raw, exponent = self._raw(c, metric)
            found.append((int(raw * self._scale), self._word(part, metric, exponent)))
        return found

    def _primitives(self) -> dict[Metric, str]:
        """What is said of functions that have no name of their own: ``F'(x) = x (1 + x**2)``."""
        found: dict[Metric, str] = {}
        over = "" if self._linear else "x "
        for _, _, metric in self._parts:
            if isinstance(metric, Hessian | TracedHessian) and metric not in found:
                slope = f"({metric.text})" if isinstance(metric, Hessian) else f"{metric.label}(x)"
                found[metric] = f"{_LETTERS[len(found)]}'(x) = {over}{slope}"
        return found

    def _word(self, part: Contraction, metric: Metric, exponent: int) -> str:
        where = part.tensor if self.kind == "trace" else part.slice("k")
        alone = part.order == 1 and not part.fold and self.kind != "trace"
        total = "" if alone else "sum "
        if isinstance(metric, Hypentropy):
            root = f"sqrt({where}^2 + {metric.beta**2})"
            return f"{total}asinh({where}/{metric.beta})" if self._linear else f"{total}{root}"
        if isinstance(metric, Hessian | TracedHessian):
            return f"{total}{_LETTERS[[*self._primitives()].index(metric)]}({where})"
        if exponent == 0:
            return f"{total}log {where}"
        if exponent == 2 and not alone:
            return f"|{where}|^2"
        return f"{total}{where}{'' if exponent == 1 else f'^{exponent}'}"

    def _slope(self, metric: Metric, x: Tensor, ring: Ring) -> Tensor:
        """``x / m(x)`` or ``1 / m(x)``."""
        over = torch.ones_like(x) if self._linear else x
        if isinstance(metric, Power):
            factor = inverse(x, ring) if metric.exponent > 0 else x
            for _ in range(abs(metric.exponent)):
                over = ring.reduce(over * factor)
            return ring.reduce(over * ring.residue(1 / metric.rate))
        if isinstance(metric, Hessian):
            below = inverse(_horner(metric.read.below, x, ring), ring)
            return ring.reduce(over * ring.reduce(_horner(metric.read.above, x, ring) * below))
        if isinstance(metric, TracedHessian):
            return ring.reduce(over * metric.hessian(x, ring))
        assert isinstance(metric, Hypentropy)
        return ring.reduce(over * _inverse_root(_radicand(x, metric, ring), ring))

    def _primitive(self, metric: Metric, x: Tensor, ring: Ring) -> Tensor:
        """F."""
        if isinstance(metric, Power):
            raw, exponent = self._raw(1, metric)
            base = inverse(x, ring) if exponent < 0 else x
            total = torch.ones_like(x) if exponent else _log(x, ring)
            for _ in range(abs(exponent)):
                total = ring.reduce(total * base)
            return ring.reduce(total * ring.residue(raw))
        if isinstance(metric, Hessian | TracedHessian):
            return self._integrated(metric, x, ring)
        assert isinstance(metric, Hypentropy)
        if self._linear:
            return _log(x, ring) if isinstance(ring, PrimeField) else torch.asinh(x / float(metric.beta))
        square = _radicand(x, metric, ring)
        return ring.reduce(square * _inverse_root(square, ring))

    def _integrated(self, metric: Metric, x: Tensor, ring: Ring) -> Tensor:
        """The integral of the slope from 1 to x, by Gauss's rule; only real numbers have one."""
        if isinstance(ring, PrimeField):
            raise UnsupportedError(f"{self.text} has a rational gradient, but no value modulo a prime")
        nodes, weights = np.polynomial.legendre.leggauss(_NODES)
        places = torch.tensor((nodes + 1) / 2, dtype=x.dtype)
        half = (x - 1) / 2
        values = self._slope(metric, 1 + (x - 1).unsqueeze(-1) * places, ring)
        return half * (values * torch.tensor(weights, dtype=x.dtype)).sum(-1)

    def _total(self, parts: list[tuple[int, Tensor]], ring: Ring) -> Tensor:
        axes = (-2, -1) if self.kind == "trace" else (-1,)
        total: Tensor | None = None
        for c, entries in parts:
            term = ring.reduce(ring.reduce(entries.sum(axes)) * ring.residue(c * self._scale))
            total = term if total is None else ring.reduce(total + term)
        assert total is not None
        return total.unsqueeze(-1) if self.kind == "trace" else total


def _latex(word: str, tensor: str) -> str:
    """A formula of `_word`: the tensor upright, roots and norms as LaTeX draws them."""
    name = re.escape(tensor) + r"(\[[^\]]*\])?"
    word = re.sub(name, lambda found: r"\mathrm{" + found[0].replace("_", r"\_") + "}", word, count=1)
    word = re.sub(r"sqrt\((.*)\)", r"\\sqrt{\1}", word)
    for plain, drawn in (("sum ", r"\textstyle\sum "), ("log ", r"\log "), ("asinh", r"\operatorname{asinh}")):
        word = word.replace(plain, drawn)
    return word.replace("|", r"\|")


def _horner(polynomial: Polynomial, x: Tensor, ring: Ring) -> Tensor:
    """A polynomial in variable 0 at residues or real numbers."""
    total = torch.zeros_like(x)
    for exponent in range(polynomial.degree, -1, -1):
        c = polynomial.terms.get((0,) * exponent, 0)
        total = ring.reduce(ring.reduce(total * x) + ring.residue(c))
    return total


def _radicand(x: Tensor, metric: Hypentropy, ring: Ring) -> Tensor:
    return ring.reduce(ring.reduce(x * x) + ring.residue(metric.beta**2))


def inverse(x: Tensor, ring: Ring) -> Tensor:
    """Reciprocals, entry by entry."""
    return power(x, ring.prime - 2, ring) if isinstance(ring, PrimeField) else 1 / x


def _inverse_root(x: Tensor, ring: Ring) -> Tensor:
    """The branch that jets take too."""
    return INVERSE_ROOT.start(x, ring)[0] if isinstance(ring, PrimeField) else x.rsqrt()


def _log(x: Tensor, ring: Ring) -> Tensor:
    return LOG.start(x, ring)[0] if isinstance(ring, PrimeField) else x.log()
