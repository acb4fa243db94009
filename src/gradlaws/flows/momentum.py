"""Momentum: heavy ball and Nesterov's method as flows on time, parameters and velocities.

The fields are the drift ``(1, v, -tau v)``, always present, and the controls ``(0, 0, M grad psi_s)``, whose
combinations are arbitrary (Marcotte, Gribonval, Peyre 2024). One instance is a multiple of the drift plus one control;
these span the same space, and their brackets span the Lie algebra of all of them, because a bracket is multilinear and
the multiples are drawn at random. Laws may depend on time: count = 2 D + 1 - dim Lie.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from gradlaws.errors import InputError
from gradlaws.exact.evaluate import times
from gradlaws.exact.field import PrimeField
from gradlaws.exact.formal import RECIPROCAL
from gradlaws.exact.jet import Jet, constant
from gradlaws.exact.polynomial import Polynomial, all_variables, variable
from gradlaws.exact.polynomial import constant as number
from gradlaws.flows.damping import ANY_FRICTION, FREE, Damping
from gradlaws.flows.flow import Flow, Instances
from gradlaws.flows.gradient import GradientFlow
from gradlaws.flows.metric import FLAT, Geometry
from gradlaws.models.family import Family, Shapes

DRIFT = "multiple of the drift"
At = Literal["position + velocity", "position"]


def velocity_of(name: str) -> str:
    """The name of the velocity of a parameter."""
    return f"{name}'"


@dataclass(frozen=True, slots=True)
class MomentumFlow(Flow):
    """``theta'' + tau(t) theta' = -M grad L`` on the state (clock, theta, theta').

    Args:
        family: what is trained.
        damping: tau, which also chooses the clock: t, or exp(tau t) where tau is constant and positive.
        metric: M.
        at: where the metric is evaluated: at ``tau theta + theta'``, as published for mirror maps, or at theta.
    """

    family: Family
    damping: Damping = FREE
    metric: Geometry = FLAT
    at: At = "position + velocity"

    def __post_init__(self) -> None:
        self.metric.check(self.family.parameters)
        if self.damping.symbol and not (self.metric.constant or self.at == "position"):
            raise InputError(f"momentum with any friction and the metric {self.metric.name}: its laws depend on tau")

    @property
    def state(self) -> Shapes:
        shapes = self.family.parameters
        return {self.damping.clock: (), **shapes, **{velocity_of(name): shape for name, shape in shapes.items()}}

    @property
    def title(self) -> str:
        """Method, friction and metric."""
        if self.damping.symbol:
            return f"momentum with any friction {self.damping.text}"
        name = "Nesterov's flow" if self.damping.fading else "heavy ball"
        metric = "" if self.metric.euclidean else f", {self.metric.name}"
        return f"{name} with tau = {self.damping.text}{metric}"

    @property
    def degree(self) -> int:
        return GradientFlow(self.family, self.metric).degree + 2 * self.metric.degree + 2

    @property
    def assumptions(self) -> tuple[str, ...]:
        """Those of the family, and what stands for the velocity where the friction is any function."""
        clock = f"with any friction W' stands for exp(int tau) dW/dt, and the time is {self.damping.clock}"
        return (*self.family.assumptions, *[clock] * bool(self.damping.symbol))

    @property
    def extra_length(self) -> int:
        """Brackets with the drift take their time: linear layers of 6 units with 3 neighbours need length 9."""
        return 4

    @property
    def footprint(self) -> int:
        return 1 + self.family.dimension + self.family.footprint

    @property
    def cases(self) -> int:
        return self.family.cases

    def covering(self, first: int) -> MomentumFlow:
        """That of a family that draws its cases in turn."""
        return replace(self, family=self.family.covering(first))

    def relaxed(self) -> MomentumFlow:
        """That of an easier family."""
        return replace(self, family=self.family.relaxed())

    def sign_changes(self) -> list[list[int]]:
        """A parameter and its velocity change together."""
        d = self.family.dimension
        changes = self.metric.sign_changes(self.family.sign_changes(), self.family.parameters)
        return [[1 + shift + i for i in change for shift in (0, d)] for change in changes]

    def points(self, count: int, field: PrimeField, generator: torch.Generator) -> Tensor:
        """Random times, parameters as the family draws them, and velocities at which the metric is defined."""
        theta = self.family.draw_parameters(count, field, generator)
        clock = 1 + torch.remainder(field.random((count, 1), generator), field.prime - 1)
        return self._assembled(clock, theta, field.random(theta.shape, generator), field)

    def place(self, field: PrimeField, generator: torch.Generator) -> Tensor:
        """Anywhere that the metric is defined; the family has no say."""
        clock = 1 + torch.remainder(field.random((1, 1), generator), field.prime - 1)
        theta = field.random((1, self.family.dimension), generator)
        return self._assembled(clock, theta, field.random(theta.shape, generator), field)[0]

    def draw(self, points: Tensor, field: PrimeField, generator: torch.Generator) -> Instances:
        """An instance of the family and a multiple of the drift."""
        theta = points[:, 1 : 1 + self.family.dimension]
        drawn = self.family.draw(theta, field, generator)
        return {**drawn, DRIFT: field.random((len(points),), generator)}

    def velocity(self, point: Tensor, instances: Instances, field: PrimeField) -> Tensor:
        """A multiple of the drift plus one control."""
        d = self.family.dimension
        clock, theta, v = (Jet(x, field) for x in (point[..., 0], point[..., 1 : 1 + d], point[..., 1 + d :]))
        drawn = {name: values for name, values in instances.items() if name != DRIFT}
        gradient = GradientFlow(self.family).velocity(theta.coefficients, drawn, field)
        moved = self._field(clock, theta, v, Jet(gradient, field), constant(instances[DRIFT], field))
        parts = [moved[0].coefficients.unsqueeze(-1), moved[1].coefficients, moved[2].coefficients]
        return torch.cat([_padded(x, len(point)).expand(-1, point.shape[1], -1) for x in parts], dim=-1)

    def components(self) -> list[Polynomial] | None:
        """Drift plus control, expanded; the instance is numbered after the state."""
        d = self.family.dimension
        divides = self.damping.fading and not self.metric.constant and self.at != "position"
        if divides or not self.metric.polynomial:
            return None
        shift = {i: 1 + i for i in range(d)} | {
            d + i: 1 + 2 * d + i for i in range(sum(int(np.prod(s)) for s in self.family.instance.values()))
        }
        gradient = np.empty(d, dtype=object)
        gradient[:] = [g.renumbered(shift) for g in self.family.expanded_gradient()]
        return self._expanded(gradient)

    def drift(self) -> list[Polynomial]:
        """The drift alone, as polynomials in the state."""
        still = np.empty(self.family.dimension, dtype=object)
        still[:] = number(0)
        return replace(self, metric=FLAT)._expanded(still)

    def pulled(self, covector: list[Polynomial]) -> list[Polynomial] | None:
        """``M a`` for polynomials a in the state, which are what a covector on the velocities does to grad psi.

        None where M is not polynomial in the state.
        """
        if not (self.metric.polynomial and (self.metric.constant or self.at == "position" or not self.damping.fading)):
            return None
        d = self.family.dimension
        at = self._argument(variable(0), all_variables(d, 1), all_variables(d, 1 + d))
        entries = np.empty(d, dtype=object)
        entries[:] = covector
        return list(self.metric.apply(at, entries, self.family.parameters))

    def _expanded(self, gradient: Any) -> list[Polynomial]:
        """Drift plus control for polynomials ``grad psi``."""
        d = self.family.dimension
        moved = self._field(variable(0), all_variables(d, 1), all_variables(d, 1 + d), gradient, number(1))
        return [moved[0], *moved[1], *moved[2]]

    def _field(self, clock: Any, theta: Any, v: Any, gradient: Any, one: Any) -> tuple[Any, Any, Any]:
        """Clock, theta and velocity along ``one * drift + control``, over any numbers."""
        ticking, moving, slowing = self.damping.drift(clock, v, one)
        control = gradient
        if not self.metric.euclidean:
            control = self.metric.apply(self._argument(clock, theta, v), gradient, self.family.parameters)
        return ticking, moving, control if slowing is None else slowing + control

    def _argument(self, clock: Any, theta: Any, v: Any) -> Any:
        """Where the metric is evaluated."""
        if self.at == "position" or self.metric.constant:
            return theta
        if self.damping.rate == 0:
            return v
        pull = times(theta, self.damping.rate)
        if self.damping.fading:
            pull = pull * (RECIPROCAL(clock)[0] if isinstance(clock, Jet) else 1 / clock)
        return pull + v

    def _assembled(self, clock: Tensor, theta: Tensor, drawn: Tensor, field: PrimeField) -> Tensor:
        """States ``[count, 2 D + 1]`` from times, parameters and residues for the velocities."""
        if self.metric.polynomial:
            return torch.cat([clock, theta, drawn], dim=1)
        shapes = self.family.parameters
        if self.at == "position":
            return torch.cat([clock, self.metric.draw(theta, shapes, field), drawn], dim=1)
        zero = constant(torch.zeros_like(theta), field)
        pull = self._argument(constant(clock[:, 0], field), constant(theta, field), zero).coefficients[0]
        return torch.cat([clock, theta, field.reduce(self.metric.draw(drawn, shapes, field) - pull)], dim=1)


def _padded(coefficients: Tensor, size: int) -> Tensor:
    """A constant among jets of `size` coefficients."""
    return torch.cat([coefficients, coefficients.new_zeros(size - len(coefficients), *coefficients.shape[1:])])


@dataclass(frozen=True, slots=True)
class HeavyBall:
    """Turns a family into its momentum flow with constant friction tau >= 0, or with any tau(t) where it is None."""

    tau: Fraction | int | None = 0
    metric: Geometry = FLAT
    at: At = "position + velocity"

    def __call__(self, family: Family) -> MomentumFlow:
        damping = ANY_FRICTION if self.tau is None else Damping(Fraction(self.tau))
        return MomentumFlow(family, damping, self.metric, self.at)


@dataclass(frozen=True, slots=True)
class Nesterov:
    """Turns a family into its momentum flow with friction k / t."""

    k: int = 3
    metric: Geometry = FLAT
    at: At = "position + velocity"

    def __call__(self, family: Family) -> MomentumFlow:
        return MomentumFlow(family, Damping(Fraction(self.k), fading=True), self.metric, self.at)


@dataclass(frozen=True, slots=True)
class Descent:
    """Turns a family into its gradient flow with a metric."""

    metric: Geometry = FLAT

    def __call__(self, family: Family) -> GradientFlow:
        return GradientFlow(family, self.metric)
