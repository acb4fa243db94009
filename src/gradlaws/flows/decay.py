"""Weight decay: gradient flow pulled towards zero, as a flow on time and parameters.

The fields are the drift ``(1, -lambda theta)``, always present, and the controls ``(0, M grad psi_s)``, whose
combinations are arbitrary (Marcotte, Gribonval, Peyre 2025, theorem 2.1). Laws may depend on time: count = D + 1 -
dim Lie.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
import torch
from torch import Tensor

from gradlaws.exact.field import PrimeField
from gradlaws.exact.jet import Jet, constant
from gradlaws.exact.polynomial import Polynomial, all_variables, variable
from gradlaws.exact.polynomial import constant as number
from gradlaws.flows.damping import ANY_DECAY, Damping
from gradlaws.flows.flow import Flow, Instances
from gradlaws.flows.gradient import GradientFlow
from gradlaws.flows.metric import FLAT, Geometry
from gradlaws.flows.momentum import DRIFT
from gradlaws.models.family import Family, Shapes


@dataclass(frozen=True, slots=True)
class DecayFlow(Flow):
    """``theta' = -M grad L - lambda(t) theta`` on the state (clock, theta); the decay is decoupled from the metric.

    Args:
        family: what is trained.
        decay: lambda, which also chooses the clock: t, or exp(lambda t) where lambda is constant and positive.
        metric: M.
    """

    family: Family
    decay: Damping
    metric: Geometry = FLAT

    def __post_init__(self) -> None:
        self.metric.check(self.family.parameters)

    @property
    def undecayed(self) -> GradientFlow:
        """The same without decay."""
        return GradientFlow(self.family, self.metric)

    @property
    def state(self) -> Shapes:
        return {self.decay.clock: (), **self.family.parameters}

    @property
    def title(self) -> str:
        """With the decay."""
        return f"{self.undecayed.title} with weight decay {self.decay.text}"

    @property
    def degree(self) -> int:
        return self.undecayed.degree + 2

    @property
    def assumptions(self) -> tuple[str, ...]:
        return self.family.assumptions

    @property
    def footprint(self) -> int:
        return 1 + self.family.footprint

    @property
    def cases(self) -> int:
        return self.family.cases

    def covering(self, first: int) -> DecayFlow:
        """That of a family that draws its cases in turn."""
        return replace(self, family=self.family.covering(first))

    def relaxed(self) -> DecayFlow:
        """That of an easier family."""
        return replace(self, family=self.family.relaxed())

    def sign_changes(self) -> list[list[int]]:
        """Those of the flow without decay, one place later."""
        return [[1 + i for i in change] for change in self.undecayed.sign_changes()]

    def points(self, count: int, field: PrimeField, generator: torch.Generator) -> Tensor:
        """Random times that are not zero, and parameters as the flow without decay draws them."""
        clock = 1 + torch.remainder(field.random((count, 1), generator), field.prime - 1)
        return torch.cat([clock, self.undecayed.points(count, field, generator)], dim=1)

    def place(self, field: PrimeField, generator: torch.Generator) -> Tensor:
        """A time that is not zero, and a place of the flow without decay."""
        clock = 1 + torch.remainder(field.random((1,), generator), field.prime - 1)
        return torch.cat([clock, self.undecayed.place(field, generator)])

    def draw(self, points: Tensor, field: PrimeField, generator: torch.Generator) -> Instances:
        """An instance of the family and a multiple of the drift."""
        drawn = self.family.draw(points[:, 1:], field, generator)
        return {**drawn, DRIFT: field.random((len(points),), generator)}

    def velocity(self, point: Tensor, instances: Instances, field: PrimeField) -> Tensor:
        """A multiple of the drift plus one control."""
        clock, theta = Jet(point[..., 0], field), Jet(point[..., 1:], field)
        drawn = {name: values for name, values in instances.items() if name != DRIFT}
        control = self.undecayed.velocity(theta.coefficients, drawn, field)
        ticking, _, pull = self.decay.drift(clock, theta, constant(instances[DRIFT], field))
        moved = control if pull is None else (Jet(control, field) + pull).coefficients
        ticked = ticking.coefficients.unsqueeze(-1)
        time = torch.cat([ticked, ticked.new_zeros(len(point) - len(ticked), *ticked.shape[1:])])
        return torch.cat([time, moved], dim=-1)

    def components(self) -> list[Polynomial] | None:
        """Drift plus control, expanded; the instance is numbered after the state."""
        found = self.undecayed.components()
        if found is None:
            return None
        d = self.family.dimension
        ticking, _, pull = self.decay.drift(variable(0), all_variables(d, 1), number(1))
        moved = np.empty(d, dtype=object)
        moved[:] = [p.renumbered({v: v + 1 for m in p.terms for v in m}) for p in found]
        return [ticking, *(moved if pull is None else moved + pull)]


@dataclass(frozen=True, slots=True)
class WeightDecay:
    """Turns a family into its gradient flow with weight decay ``rate``, or ``rate / t``, or any ``lambda(t) > 0``.

    Args:
        rate: at least 0; a whole number where it fades; None for any function of time.
        fading: divided by t.
        metric: of the gradient; the decay itself is decoupled from it.
    """

    rate: Fraction | int | None
    fading: bool = False
    metric: Geometry = FLAT

    def __call__(self, family: Family) -> DecayFlow:
        decay = ANY_DECAY if self.rate is None else Damping(Fraction(self.rate), self.fading)
        return DecayFlow(family, decay, self.metric)
