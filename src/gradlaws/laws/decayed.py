"""Laws under weight decay: ``h(t, theta) = H(theta exp(integral of lambda))`` for laws H of the flow without decay.

With ``E = exp(integral of lambda)`` the derivative of ``H(E theta)`` along the decayed flow is that of H at E theta
along ``-E M grad L(theta)``. It vanishes where grad H is homogeneous, because ``grad H(E theta)`` is then a multiple
of ``grad H(theta)``. Nothing else is conserved (Marcotte, Gribonval, Peyre 2025, theorem 2.1).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from gradlaws.errors import UnsupportedError
from gradlaws.exact.polynomial import Polynomial, constant
from gradlaws.exact.ring import Reals, Ring
from gradlaws.flows.damping import Damping
from gradlaws.flows.decay import DecayFlow
from gradlaws.flows.logs import log_of
from gradlaws.flows.metric import Power
from gradlaws.laws.closure import close, fits
from gradlaws.laws.count import Count
from gradlaws.laws.gather import GatherLaw
from gradlaws.laws.gram import GramLaw
from gradlaws.laws.independence import independent
from gradlaws.laws.law import Law, Point
from gradlaws.laws.mirror import MirrorLaw
from gradlaws.laws.polynomial import PolynomialLaw
from gradlaws.laws.request import Request
from gradlaws.laws.result import Answer
from gradlaws.laws.sums import FrozenLaw, SumLaw
from gradlaws.models.family import Shapes, size

_STREAM = 61


def homogeneity(law: Law) -> int | None:
    """The k with ``grad H(c theta) = c**(k - 1) grad H(theta)`` for c > 0, or None where there is none."""
    if isinstance(law, MirrorLaw):
        metrics = {law.metric.of(part.tensor) for part, _ in law.base.parts}
        exponents = {metric.exponent if isinstance(metric, Power) else None for metric in metrics}
        exponent = exponents.pop()
        return None if exponents or exponent is None else (1 if isinstance(law.base, SumLaw) else 2) - exponent
    if isinstance(law, PolynomialLaw):
        return _of_polynomial(law)
    return law.degree if isinstance(law, GramLaw | SumLaw | FrozenLaw | GatherLaw) else None


def _of_polynomial(law: PolynomialLaw) -> int | None:
    """The degree in the parameters, if all terms have it and a common shift of the logarithms changes nothing."""
    names = list(dict(law.shapes))
    sizes = [size({name: shape}) for name, shape in law.shapes]
    owners = [name for name, count in zip(names, sizes, strict=True) for _ in range(count)]
    logs = {i for i, name in enumerate(owners) if name.startswith(log_of(""))}
    degrees = {sum(v not in logs for v in monomial) for monomial in law.monomials}
    (whole,) = law.polynomials({})
    shifted = sum((whole.derivative(v) for v in sorted(logs)), constant(0))
    if len(degrees) > 1 or shifted.degree or (shifted.terms and degrees != {0}):
        return None
    return degrees.pop()


@dataclass(frozen=True, slots=True)
class DecayedLaw(Law):
    """``H(E theta)`` with ``E = exp(integral of lambda)``, which is a power of the clock.

    Args:
        base: H, with a homogeneous gradient.
        decay: lambda.
    """

    base: Law
    decay: Damping

    @property
    def kind(self) -> str:
        """That of the base."""
        return self.base.kind

    @property
    def degree(self) -> int:
        return self.base.degree * (1 + self.decay.weight)

    @property
    def count(self) -> int:
        return self.base.count

    @property
    def text(self) -> str:
        """For example ``exp(t)^2 (W1 W1^T - W2^T W2)``."""
        if not self.decay.weight:
            return self.base.text
        return f"{self._factor} ({self.base.text})" if self._power else f"{self.base.text} at {self.decay.clock} theta"

    @property
    def latex(self) -> str:
        """The text, in LaTeX."""
        if not self.decay.weight:
            return self.base.latex
        clock = self.decay.clock
        clock = f"e^{{{clock[4:-1]}}}".replace("int ", r"\int ") if clock.startswith("exp(") else clock
        if not self._power:
            return rf"{self.base.latex} \text{{ at }} {clock} \theta"
        return rf"({clock})^{{{self._power}}} \left({self.base.latex}\right)"

    @property
    def terms(self) -> tuple[dict[str, Any], ...]:
        """Those of the base, with the weight."""
        return tuple(term | {"weight": f"{self.decay.clock}^{self._power}"} for term in self.base.terms)

    @property
    def heads(self) -> int:
        """Equal blocks along the diagonal of a matrix."""
        return getattr(self.base, "heads", 1)

    def value(self, theta: Point, ring: Ring = Reals()) -> Tensor:
        return self.base.value(self._grown(theta, ring), ring)

    def derivative(self, theta: Point, direction: Point, ring: Ring = Reals()) -> Tensor:
        """By the chain rule: ``E theta`` moves along ``E theta' + E' theta``."""
        clock = self.decay.clock
        growth, slope = self._powers(theta[clock], direction[clock], ring)
        moved = {
            name: ring.reduce(
                ring.reduce(_over(growth, x, theta[clock]) * direction[name])
                + ring.reduce(_over(slope, direction[name], direction[clock]) * x)
            )
            for name, x in theta.items()
            if name != clock
        }
        return self.base.derivative(self._grown(theta, ring), moved, ring)

    def polynomials(self, shapes: Shapes) -> list[Polynomial]:
        """Those of the base times a power of the clock, which is the first variable."""
        logs = isinstance(self.base, PolynomialLaw) and set(dict(self.base.shapes)) - set(shapes)
        if self._power < 0 or isinstance(self.base, MirrorLaw) or logs:
            raise UnsupportedError(f"{self.text} is not handled as a polynomial: it is proved by its undecayed law")
        rest = {name: shape for name, shape in shapes.items() if name != self.decay.clock}
        return [
            Polynomial({(*[0] * self._power, *(v + 1 for v in m)): c for m, c in p.terms.items()})
            for p in self.base.polynomials(rest)
        ]

    @property
    def _power(self) -> int:
        """The power of the clock that comes out of the base."""
        order = homogeneity(self.base)
        assert order is not None
        return order * self.decay.weight

    @property
    def _factor(self) -> str:
        return self.decay.clock + (f"^{self._power}" if self._power != 1 else "")

    def _grown(self, theta: Point, ring: Ring) -> dict[str, Tensor]:
        clock = theta[self.decay.clock]
        growth, _ = self._powers(clock, clock, ring)
        return {n: ring.reduce(_over(growth, x, clock) * x) for n, x in theta.items() if n != self.decay.clock}

    def _powers(self, clock: Tensor, moved: Tensor, ring: Ring) -> tuple[Tensor, Tensor]:
        """E, and its derivative where the clock moves."""
        growth, slope = torch.ones_like(clock), torch.zeros_like(moved)
        for _ in range(self.decay.weight):
            slope = ring.reduce(ring.reduce(slope * clock) + ring.reduce(growth * moved))
            growth = ring.reduce(growth * clock)
        return growth, slope


def _over(factor: Tensor, x: Tensor, like: Tensor) -> Tensor:
    """A number for each point, with axes to multiply an array ``[*batch, *shape]``."""
    axes = max(0, x.dim() - like.dim())
    return factor.reshape(*factor.shape, *[1] * axes)


def with_decay(flow: DecayFlow, base: Answer, request: Request) -> Answer:
    """The answer for a decayed flow from that without decay.

    The laws are those with homogeneous gradients. What bounds the number without decay bounds it with decay too: of D
    + 1 dimensions the drift takes one and the controls the rest. Where laws are missing the closure may lower it.
    """
    laws = tuple(DecayedLaw(law, flow.decay) for law in base.laws if homogeneity(law) is not None)
    complete = len(laws) == len(base.laws)
    field, stream = request.fields[0], request.stream(_STREAM)
    lower = base.count.lower if complete else independent(laws, flow, field, stream).rank
    upper, levels, notes = base.count.upper, base.evidence.levels, list(base.evidence.notes)
    if lower < upper and fits(flow.dimension):
        closure = close(flow, field, stream, lower, request.on_progress)
        if closure.upper < upper or not complete:
            upper, levels = min(upper, closure.upper), closure.levels
    notes += [f"no decayed form of {law.text}: not homogeneous" for law in base.laws if homogeneity(law) is None]
    notes.append("a law H of the flow without decay gives H(theta exp(int lambda)) where grad H is homogeneous")
    notes.append(f"state: {flow.decay.clock} and {flow.family.dimension} parameters")
    evidence = replace(base.evidence, levels=levels, notes=tuple(notes))
    counted = Count.between(lower, upper, evidence, flow.dimension)
    return Answer(base.model, laws, counted, base.scope, flow.title)
