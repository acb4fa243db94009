"""Flow: the vector fields on a state space whose combinations are the velocities of training."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor

from gradlaws.exact.field import PrimeField
from gradlaws.exact.polynomial import Polynomial
from gradlaws.models.family import Shapes, size

Instances = dict[str, Tensor]
"""Named batches of residues ``[batch, *shape]``: one row per instance s."""


class Flow(ABC):
    """Vector fields X_s on a state space, one for each instance s."""

    @property
    @abstractmethod
    def state(self) -> Shapes:
        """Names and shapes of the state variables."""

    @property
    @abstractmethod
    def degree(self) -> int:
        """Total degree of the fields as polynomials in the state and s."""

    @property
    @abstractmethod
    def assumptions(self) -> tuple[str, ...]:
        """What is assumed, for the evidence."""

    @property
    def title(self) -> str:
        """What conserves the laws, as a subject: ``gradient flow``."""
        return "these vector fields"

    @property
    def extra_length(self) -> int:
        """How much longer than usual the brackets may become before the closure gives up."""
        return 0

    @property
    def footprint(self) -> int:
        """Numbers that one evaluation of one field holds in memory, about."""
        return self.dimension

    @property
    def cases(self) -> int:
        """How many draws of `covering` see every discrete case: tokens, rows of a data set."""
        return 1

    def covering(self, first: int) -> Flow:
        """A flow whose k-th draw is the discrete case number ``first + k``, with the same laws."""
        return self

    def relaxed(self) -> Flow:
        """A flow that is easier to sample and whose laws are laws of this one."""
        return self

    def points(self, count: int, field: PrimeField, generator: torch.Generator) -> Tensor:
        """Independent random states, ``[count, dimension]``."""
        return field.random((count, self.dimension), generator)

    def place(self, field: PrimeField, generator: torch.Generator) -> Tensor:
        """One random state ``[dimension]`` at which gradients of laws are compared."""
        return field.random((self.dimension,), generator)

    def tangents(self, point: Tensor, directions: Tensor, field: PrimeField) -> Tensor:
        """Directions ``[count, dimension]`` made tangent to the states that occur: all do, unless a flow says so."""
        return directions

    def sign_changes(self) -> list[list[int]]:
        """Sets of flattened state variables whose joint change of sign maps the set of fields to itself."""
        return []

    def components(self) -> list[Polynomial] | None:
        """The field X_s as polynomials in the state and the instance, the state first; None where it is not one.

        Fields may be multiplied by one nowhere vanishing function: what they conserve stays the same.
        """
        return None

    @abstractmethod
    def draw(self, points: Tensor, field: PrimeField, generator: torch.Generator) -> Instances:
        """One random instance for each of the states ``[count, dimension]`` at which its field will be evaluated."""

    @abstractmethod
    def velocity(self, point: Tensor, instances: Instances, field: PrimeField) -> Tensor:
        """X_s at jets of the state: coefficients ``[2**m, batch, dimension]`` to the same shape."""

    @property
    def dimension(self) -> int:
        """Dimension of the state space."""
        return size(self.state)
