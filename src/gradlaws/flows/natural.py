"""Natural gradient: ``theta' = -(F + eps 1)^-1 grad L`` with the empirical Fisher matrix of some instances.

``F = sum of grad psi_j grad psi_j^T`` over instances j that are drawn with the data set (Amari 1998). It maps the
span W of all gradients at theta into itself, and so does ``(F + eps 1)^-1``, one to one: the whole matrix conserves
exactly what gradient flow does. One block for each tensor, as in layer-wise methods, does not have this property.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from math import prod

import torch
from torch import Tensor

from gradlaws.errors import InputError
from gradlaws.exact.field import PrimeField
from gradlaws.exact.jet import Jet, constant
from gradlaws.exact.systems import cramer
from gradlaws.flows.flow import Flow, Instances
from gradlaws.flows.gradient import GradientFlow
from gradlaws.models.family import Family, Shapes

_MOST_SAMPLES = 6


@dataclass(frozen=True, slots=True)
class NaturalFlow(Flow):
    """Natural gradient flow with a damped empirical Fisher matrix.

    Args:
        family: what is trained.
        damping: eps > 0.
        samples: instances in the Fisher matrix, 1 to 6.
        blocks: one block for each tensor instead of the whole matrix.

    Raises:
        InputError: the damping is not positive, or the number of samples is out of range.
    """

    family: Family
    damping: Fraction = Fraction(1)
    samples: int = 2
    blocks: bool = False

    def __post_init__(self) -> None:
        if self.damping <= 0:
            raise InputError(f"damping {self.damping} of the Fisher matrix is not positive: it must be invertible")
        if not 1 <= self.samples <= _MOST_SAMPLES:
            raise InputError(f"a Fisher matrix of {self.samples} instances: expected 1 to {_MOST_SAMPLES}")

    @property
    def state(self) -> Shapes:
        return self.family.parameters

    @property
    def title(self) -> str:
        return f"natural gradient flow{' (a block for each tensor)' if self.blocks else ''}"

    @property
    def degree(self) -> int:
        """Denominators are cleared: one Gram determinant for each block."""
        minors = 2 * self.samples * (self.family.degree - 1)
        return self.family.degree - 1 + minors * (len(self.family.parameters) if self.blocks else 1)

    @property
    def assumptions(self) -> tuple[str, ...]:
        return self.family.assumptions

    @property
    def footprint(self) -> int:
        return (1 + self.samples) * self.family.footprint

    @property
    def cases(self) -> int:
        return self.family.cases

    def covering(self, first: int) -> NaturalFlow:
        """That of a family that draws its cases in turn."""
        return replace(self, family=self.family.covering(first))

    def relaxed(self) -> NaturalFlow:
        """That of an easier family."""
        return replace(self, family=self.family.relaxed())

    def sign_changes(self) -> list[list[int]]:
        """Those of the family: a reflection of the parameters reflects all gradients."""
        return self.family.sign_changes()

    def points(self, count: int, field: PrimeField, generator: torch.Generator) -> Tensor:
        """As the family draws them."""
        return self.family.draw_parameters(count, field, generator)

    def draw(self, points: Tensor, field: PrimeField, generator: torch.Generator) -> Instances:
        """One instance for the loss, and those of the Fisher matrix."""
        drawn = [self.family.draw(points, field, generator) for _ in range(1 + self.samples)]
        return {f"{j} {name}": values for j, instance in enumerate(drawn) for name, values in instance.items()}

    def velocity(self, point: Tensor, instances: Instances, field: PrimeField) -> Tensor:
        """``(F + eps 1)^-1 g`` times all denominators, by systems of as many unknowns as there are samples."""
        flow = GradientFlow(self.family)
        gradients = []
        for j in range(1 + self.samples):
            mark = f"{j} "
            own = {n.removeprefix(mark): values for n, values in instances.items() if n.startswith(mark)}
            gradients.append(flow.velocity(point, own, field))
        sizes = [prod(shape) for shape in self.state.values()] if self.blocks else [self.dimension]
        pieces = zip(*(gradient.split(sizes, dim=-1) for gradient in gradients), strict=True)
        solved = [self._solved([Jet(x, field) for x in piece]) for piece in pieces]
        for i, (_, below) in enumerate(solved):
            solved = [(_scaled(x, below) if k != i else x, own) for k, (x, own) in enumerate(solved)]
        return torch.cat([x.coefficients for x, _ in solved], dim=-1)

    def _solved(self, gradients: list[Jet]) -> tuple[Jet, Jet]:
        """Numerator and denominator of ``eps (eps 1 + G G^T)^-1 g = g - G (eps 1 + G^T G)^-1 G^T g`` (Woodbury)."""
        g, *samples = gradients
        eps = constant(g.coefficients.new_full((1,), g.field.residue(self.damping)), g.field)
        gram = [
            [(a * b).sum() + eps if i == j else (a * b).sum() for j, b in enumerate(samples)]
            for i, a in enumerate(samples)
        ]
        weights, below = cramer(gram, [(a * g).sum() for a in samples])
        total = _scaled(g, below)
        for a, weight in zip(samples, weights, strict=True):
            total = total - _scaled(a, weight)
        return total, below


def _scaled(x: Jet, factor: Jet) -> Jet:
    return x * Jet(factor.coefficients.unsqueeze(-1), factor.field)


@dataclass(frozen=True, slots=True)
class Natural:
    """Turns a family into its natural gradient flow; arguments as of `NaturalFlow`."""

    damping: Fraction | int = 1
    samples: int = 2
    blocks: bool = False

    def __call__(self, family: Family) -> NaturalFlow:
        return NaturalFlow(family, Fraction(self.damping), self.samples, self.blocks)
