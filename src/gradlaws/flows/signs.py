"""Sign flow ``theta' = -sign grad L``: what Adam does without memory and without epsilon.

The gradients of all data sets at theta fill a subspace W. Two coordinates that are proportional on W have the same
sign up to that of their ratio; between two cells of W separated by one hyperplane only the signs of one such class
change. So the sign vectors span one dimension for each class of proportional coordinates, and this span is locally
constant in theta: no brackets are needed (Marcotte, Gribonval, Peyre 2025, section 2.3, where fewer laws are
reported).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from gradlaws.exact.field import PrimeField
from gradlaws.exact.formal import power
from gradlaws.flows.flow import Flow, Instances
from gradlaws.flows.gradient import GradientFlow
from gradlaws.models.family import Family, Shapes

_CLASSES = "signs of the classes"
_INSTANCES = 6
_SEED = 20_240


@dataclass(frozen=True, slots=True)
class SignFlow(Flow):
    """Sign flow in the region of theta in which all ratios of proportional coordinates are positive.

    Other regions differ by changes of sign of coordinates. The fields are constant: one free number for each class.

    Args:
        family: what is trained.
    """

    family: Family

    @property
    def state(self) -> Shapes:
        return self.family.parameters

    @property
    def title(self) -> str:
        return "sign flow"

    @property
    def degree(self) -> int:
        return 1

    @property
    def assumptions(self) -> tuple[str, ...]:
        return (
            *self.family.assumptions,
            "every combination of gradients of instances is the gradient of some data set; laws hold where no sign in "
            "their formula changes",
        )

    @property
    def footprint(self) -> int:
        return self.family.footprint

    def classes(self, field: PrimeField) -> list[list[int]]:
        """Coordinates that are proportional on W at a random point; those that vanish on W are in none.

        Coordinates that are not proportional modulo p are not proportional; the reverse holds up to bad luck.
        """
        generator = torch.Generator().manual_seed(_SEED)
        flow = GradientFlow(self.family)
        points = flow.points(1, field, generator).expand(_INSTANCES, -1)
        rows = flow.velocity(points.unsqueeze(0), flow.draw(points, field, generator), field)[0]
        first = (rows != 0).to(torch.int8).argmax(0)
        leading = rows.gather(0, first.unsqueeze(0))
        scaled = field.reduce(rows * power(leading, field.prime - 2, field)).T.to(torch.int64).tolist()
        groups: dict[tuple[int, ...], list[int]] = {}
        for i, column in enumerate(scaled):
            if any(column):
                groups.setdefault(tuple(column), []).append(i)
        return list(groups.values())

    def draw(self, points: Tensor, field: PrimeField, generator: torch.Generator) -> Instances:
        """One number for each class."""
        return {_CLASSES: field.random((len(points), len(self.classes(field))), generator)}

    def velocity(self, point: Tensor, instances: Instances, field: PrimeField) -> Tensor:
        """The number of the class of each coordinate."""
        moved = torch.zeros_like(point)
        for i, members in enumerate(self.classes(field)):
            moved[0, :, members] = instances[_CLASSES][:, i : i + 1]
        return moved
