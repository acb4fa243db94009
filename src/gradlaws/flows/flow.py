"""Flow: the vector fields on a state space whose combinations are the velocities of training."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor

from gradlaws.exact.field import PrimeField
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

    def points(self, count: int, field: PrimeField, generator: torch.Generator) -> Tensor:
        """Independent random states, ``[count, dimension]``."""
        return field.random((count, self.dimension), generator)

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
