"""Laws of heavy ball in the metric of Burg's potential ``-log x``, which keeps its laws under momentum.

With ``z = tau theta + theta'`` and the metric taken at z, ``z' = -z**2 g``, so that ``d/dt (theta / z) = 1 - tau
theta / z + theta g``. If ``sum c theta**2`` is a law without momentum, ``sum c theta g`` vanishes, and ``E sum c
theta / z - sum c (integral of E)`` is a law with ``E = exp(tau t)``: Noether's theorem for the Hamiltonian with
kinetic energy ``-sum log |1 / z|``, which a rescaling changes by a constant only.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import torch
from torch import Tensor

from gradlaws.errors import UnsupportedError
from gradlaws.exact.field import PrimeField
from gradlaws.exact.polynomial import Polynomial
from gradlaws.exact.ring import Reals, Ring
from gradlaws.flows.damping import Damping
from gradlaws.flows.gradient import GradientFlow
from gradlaws.flows.metric import Power
from gradlaws.flows.momentum import MomentumFlow, velocity_of
from gradlaws.laws.gram import GramLaw
from gradlaws.laws.law import Law, Point, signed_sum
from gradlaws.laws.mirror import inverse
from gradlaws.laws.mirrored import structured_laws
from gradlaws.models.family import Shapes


@dataclass(frozen=True, slots=True)
class BurgLaw(Law):
    """``E (sum c theta / (tau theta + theta') - C / tau)``, or with ``- C t`` where tau = 0; C is the sum of all c.

    Args:
        base: the diagonal, or the trace, of a quadratic law without momentum.
        damping: constant.
        length: C at each index.
    """

    base: GramLaw
    damping: Damping
    length: int

    @property
    def kind(self) -> str:
        """That of the base."""
        return self.base.kind

    @property
    def degree(self) -> int:
        """A bound for the rational gradient."""
        return 8

    @property
    def count(self) -> int:
        return self.base.count

    @property
    def text(self) -> str:
        """For example ``exp(t) (sum W1[k,:]/(W1[k,:] + W1'[k,:]) - sum W2[:,k]/(W2[:,k] + W2'[:,k]))``."""
        words: list[tuple[Fraction | int, str]] = []
        for part, c in self.base.parts:
            where = part.tensor if self.kind == "trace" else part.slice("k")
            moving = where.replace(part.tensor, velocity_of(part.tensor), 1)
            below = f"({signed_sum([(self._tau, where), (1, moving)])})" if self._tau else moving
            alone = part.order == 1 and self.kind != "trace"
            words.append((c, f"{'' if alone else 'sum '}{where}/{below}"))
        if self.length and not self._tau:
            words.append((-self.length, self.damping.clock))
        elif self.length:
            words.append((-self.length / self._tau, ""))
        body = signed_sum(words)
        return f"{self.damping.clock} ({body})" if self._tau else body

    @property
    def latex(self) -> str:
        """The text, set upright."""
        return rf"\mathrm{{{self.text}}}".replace("_", r"\_").replace("sum ", r"\textstyle\sum ")

    @property
    def terms(self) -> tuple[dict[str, Any], ...]:
        """Those of the base, with the weight."""
        return tuple(term | {"over": "tau theta + theta'", "weight": self.damping.clock} for term in self.base.terms)

    def value(self, theta: Point, ring: Ring = Reals()) -> Tensor:
        still = {name: torch.zeros_like(x) for name, x in theta.items()}
        return self._along(theta, still, ring)[0]

    def derivative(self, theta: Point, direction: Point, ring: Ring = Reals()) -> Tensor:
        return self._along(theta, direction, ring)[1]

    def polynomials(self, shapes: Shapes) -> list[Polynomial]:
        raise UnsupportedError(f"{self.text} is not a polynomial: it is proved by the law without momentum")

    @property
    def _tau(self) -> Fraction:
        return self.damping.rate

    def _along(self, theta: Point, direction: Point, ring: Ring) -> tuple[Tensor, Tensor]:
        """Value and derivative."""
        axes = (-2, -1) if self.kind == "trace" else (-1,)
        tau = ring.residue(self._tau)
        value, slope = torch.zeros(()), torch.zeros(())
        for part, c in self.base.parts:
            moving = replace(part, tensor=velocity_of(part.tensor))
            (x, v), (dx, dv) = ((part.rows(p), moving.rows(p)) for p in (theta, direction))
            over = inverse(ring.reduce(ring.reduce(tau * x) + v), ring)
            dz = ring.reduce(ring.reduce(tau * dx) + dv)
            ratio = ring.reduce(x * over)
            moved = ring.reduce(ring.reduce(dx - ring.reduce(ratio * dz)) * over)
            value = value + ring.reduce(ring.reduce(ratio.sum(axes)) * ring.residue(c))
            slope = slope + ring.reduce(ring.reduce(moved.sum(axes)) * ring.residue(c))
        value, slope = ring.reduce(value), ring.reduce(slope)
        if self.kind == "trace":
            value, slope = value.unsqueeze(-1), slope.unsqueeze(-1)
        clock, ticked = (p[self.damping.clock].unsqueeze(-1) for p in (theta, direction))
        if not self._tau:
            pace = ring.residue(-self.length)
            return ring.reduce(value + ring.reduce(pace * clock)), ring.reduce(slope + ring.reduce(pace * ticked))
        value = ring.reduce(value + ring.residue(-self.length / self._tau))
        return ring.reduce(clock * value), ring.reduce(ring.reduce(ticked * value) + ring.reduce(clock * slope))


def find_burg_laws(flow: MomentumFlow, field: PrimeField, generator: torch.Generator) -> list[Law]:
    """One law for each diagonal or trace without momentum; none for other metrics or fading friction."""
    metrics = {flow.metric.of(name) for name in flow.family.parameters}
    burg = all(isinstance(metric, Power) and metric.exponent == 2 for metric in metrics) and len(metrics) == 1
    if not burg or flow.damping.fading or flow.at == "position":
        return []
    found: list[Law] = []
    for law in structured_laws(GradientFlow(flow.family), field, generator):
        if isinstance(law, GramLaw):
            base = replace(law, selection="diagonal", heads=1) if law.selection == "matrix" else law
            found.append(BurgLaw(base, flow.damping, _length(base, flow.family.parameters)))
    return found


def _length(law: GramLaw, shapes: Shapes) -> int:
    """The sum of the coefficients over all entries of one index."""
    total = 0
    for part, c in law.parts:
        rows = part.rows({part.tensor: torch.zeros(shapes[part.tensor])})
        total += c * (rows.numel() if law.selection == "trace" else rows.shape[-1])
    return total
