"""Gradient flow: X_s is the gradient of psi(., s), in a metric where one is given."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from gradlaws.exact import jet
from gradlaws.exact.field import PrimeField
from gradlaws.exact.jet import Jet
from gradlaws.exact.polynomial import Polynomial, all_variables
from gradlaws.flows.flow import Flow, Instances
from gradlaws.flows.metric import FLAT, Geometry
from gradlaws.models.family import Family, Shapes


@dataclass(frozen=True, slots=True)
class GradientFlow(Flow):
    """``theta' = -M(theta) grad L(theta)``; the sign plays no part in what is conserved.

    Args:
        family: what is trained.
        metric: M; the identity if nothing is said.

    Raises:
        InputError: the metric names a parameter that does not exist.
    """

    family: Family
    metric: Geometry = FLAT

    def __post_init__(self) -> None:
        self.metric.check(self.family.parameters)

    @property
    def state(self) -> Shapes:
        """The parameters."""
        return self.family.parameters

    @property
    def cases(self) -> int:
        """Those of the family."""
        return self.family.cases

    def covering(self, first: int) -> GradientFlow:
        """That of a family that draws its cases in turn."""
        return GradientFlow(self.family.covering(first), self.metric)

    def relaxed(self) -> GradientFlow:
        """That of an easier family."""
        return GradientFlow(self.family.relaxed(), self.metric)

    @property
    def title(self) -> str:
        """With the metric."""
        if self.metric.euclidean:
            return "gradient flow"
        kind = "gradient" if self.metric.constant else "mirror"
        return f"{kind} flow ({self.metric.name})"

    @property
    def degree(self) -> int:
        """One less than the potential, and the metric; denominators of all entries are cleared."""
        cleared = 0 if self.metric.polynomial else self.metric.degree * self.family.dimension
        return self.family.degree - 1 + self.metric.degree + cleared

    @property
    def assumptions(self) -> tuple[str, ...]:
        """Those of the family."""
        return self.family.assumptions

    @property
    def footprint(self) -> int:
        """That of the family."""
        return self.family.footprint

    def points(self, count: int, field: PrimeField, generator: torch.Generator) -> Tensor:
        """Random parameters, as the family draws them."""
        return self._defined(self.family.draw_parameters(count, field, generator), field)

    def place(self, field: PrimeField, generator: torch.Generator) -> Tensor:
        """Where the metric is defined."""
        return self._defined(field.random((1, self.dimension), generator), field)[0]

    def sign_changes(self) -> list[list[int]]:
        """Those of the family that respect the metric."""
        return self.metric.sign_changes(self.family.sign_changes(), self.family.parameters)

    def components(self) -> list[Polynomial] | None:
        """``M grad psi``, expanded."""
        if not self.metric.polynomial:
            return None
        theta = all_variables(self.dimension)
        return list(self.metric.apply(theta, self.family.expanded_gradient(), self.family.parameters))

    def draw(self, points: Tensor, field: PrimeField, generator: torch.Generator) -> Instances:
        """Random instances, as the family draws them."""
        return self.family.draw(points, field, generator)

    def velocity(self, point: Tensor, instances: Instances, field: PrimeField) -> Tensor:
        """Gradient of psi by one reverse pass over jets, then the metric."""
        gradient = self._gradient(point, instances, field)
        if self.metric.euclidean:
            return gradient
        return self.metric.apply(Jet(point, field), Jet(gradient, field), self.family.parameters).coefficients

    def _defined(self, theta: Tensor, field: PrimeField) -> Tensor:
        return theta if self.metric.polynomial else self.metric.draw(theta, self.family.parameters, field)

    def _gradient(self, point: Tensor, instances: Instances, field: PrimeField) -> Tensor:
        shapes = self.family.parameters
        s = {name: jet.constant(values, field) for name, values in instances.items()}

        def potential(theta: Jet) -> Jet:
            pieces = jet.split(theta, list(shapes.values()))
            return self.family.potential(dict(zip(shapes, pieces, strict=True)), s)

        return jet.gradient(potential, point, field)
