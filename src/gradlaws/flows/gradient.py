"""Euclidean gradient flow: X_s is the gradient of psi(., s)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from gradlaws.exact import jet
from gradlaws.exact.field import PrimeField
from gradlaws.exact.jet import Jet
from gradlaws.flows.flow import Flow, Instances
from gradlaws.models.family import Family, Shapes


@dataclass(frozen=True, slots=True)
class GradientFlow(Flow):
    """``theta' = -grad L(theta)``; the sign plays no part in what is conserved."""

    family: Family

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
        return GradientFlow(self.family.covering(first))

    @property
    def degree(self) -> int:
        """One less than the potential."""
        return self.family.degree - 1

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
        return self.family.draw_parameters(count, field, generator)

    def draw(self, points: Tensor, field: PrimeField, generator: torch.Generator) -> Instances:
        """Random instances, as the family draws them."""
        return self.family.draw(points, field, generator)

    def velocity(self, point: Tensor, instances: Instances, field: PrimeField) -> Tensor:
        """Gradient of psi by one reverse pass over jets."""
        shapes = self.family.parameters
        s = {name: jet.constant(values, field) for name, values in instances.items()}

        def potential(theta: Jet) -> Jet:
            pieces = jet.split(theta, list(shapes.values()))
            return self.family.potential(dict(zip(shapes, pieces, strict=True)), s)

        return jet.gradient(potential, point, field)
