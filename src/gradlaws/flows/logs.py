"""A flow with the logarithms of some parameters as further variables.

A logarithm has a rational gradient, and logarithms of different variables are algebraically independent of each other
and of the variables. So a polynomial in both is conserved exactly when it is conserved with the logarithms read as
variables L of their own that move with ``L' = theta' / theta``.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from gradlaws.exact.field import PrimeField
from gradlaws.exact.formal import RECIPROCAL, power
from gradlaws.exact.jet import Jet
from gradlaws.exact.polynomial import Polynomial
from gradlaws.flows.flow import Flow, Instances
from gradlaws.models.family import Shapes, size


def log_of(name: str) -> str:
    """The name of the logarithm of a variable."""
    return f"log {name}"


@dataclass(frozen=True, slots=True)
class WithLogs(Flow):
    """The state of a flow, followed by the logarithms of some of its variables.

    Args:
        flow: the flow.
        names: whose logarithms.
    """

    flow: Flow
    names: tuple[str, ...]

    @property
    def state(self) -> Shapes:
        shapes = self.flow.state
        return {**shapes, **{log_of(name): shapes[name] for name in self.names}}

    @property
    def title(self) -> str:
        return self.flow.title

    @property
    def degree(self) -> int:
        return self.flow.degree + self.flow.dimension

    @property
    def assumptions(self) -> tuple[str, ...]:
        return self.flow.assumptions

    @property
    def footprint(self) -> int:
        return self.flow.footprint + self.flow.dimension

    @property
    def cases(self) -> int:
        return self.flow.cases

    def covering(self, first: int) -> WithLogs:
        """That of the flow."""
        return WithLogs(self.flow.covering(first), self.names)

    def relaxed(self) -> WithLogs:
        """That of the flow."""
        return WithLogs(self.flow.relaxed(), self.names)

    def points(self, count: int, field: PrimeField, generator: torch.Generator) -> Tensor:
        """States of the flow, with random residues for the logarithms."""
        states = self.flow.points(count, field, generator)
        return torch.cat([states, field.random((count, len(self._taken)), generator)], dim=1)

    def place(self, field: PrimeField, generator: torch.Generator) -> Tensor:
        """One state of the flow, with random residues for the logarithms."""
        return torch.cat([self.flow.place(field, generator), field.random((len(self._taken),), generator)])

    def tangents(self, point: Tensor, directions: Tensor, field: PrimeField) -> Tensor:
        """A logarithm moves as its variable says."""
        own = self.flow.dimension
        moved = self.flow.tangents(point[:own], directions[:, :own], field)
        inverse = power(point[:own][self._taken], field.prime - 2, field)
        return torch.cat([moved, field.reduce(moved[:, self._taken] * inverse)], dim=1)

    def draw(self, points: Tensor, field: PrimeField, generator: torch.Generator) -> Instances:
        """Those of the flow."""
        return self.flow.draw(points[:, : self.flow.dimension], field, generator)

    def velocity(self, point: Tensor, instances: Instances, field: PrimeField) -> Tensor:
        """That of the flow, and ``theta' / theta``."""
        state = point[..., : self.flow.dimension]
        moved = self.flow.velocity(state, instances, field)
        x, v = (Jet(values[..., self._taken], field) for values in (state, moved))
        return torch.cat([moved, (v * RECIPROCAL(x)[0]).coefficients], dim=-1)

    def components(self) -> list[Polynomial] | None:
        """Those of the flow, if its fields are divisible by the variables with logarithms."""
        own, found = self.flow.dimension, self.flow.components()
        if found is None:
            return None
        logs = [_divided(found[i], i) for i in self._taken]
        whole = [log for log in logs if log is not None]
        if len(whole) < len(logs):
            return None
        used = {v for component in found for monomial in component.terms for v in monomial}
        numbers = {v: v if v < own else v + len(logs) for v in used}
        return [component.renumbered(numbers) for component in (*found, *whole)]

    @property
    def _taken(self) -> list[int]:
        """Places of the variables that have logarithms."""
        taken: list[int] = []
        start = 0
        for name, shape in self.flow.state.items():
            count = size({name: shape})
            taken += range(start, start + count) if name in self.names else ()
            start += count
        return taken


def _divided(polynomial: Polynomial, variable: int) -> Polynomial | None:
    """The quotient by a variable, or None where there is a remainder."""
    if not all(variable in monomial for monomial in polynomial.terms):
        return None
    terms = {}
    for monomial, c in polynomial.terms.items():
        at = monomial.index(variable)
        terms[monomial[:at] + monomial[at + 1 :]] = c
    return Polynomial(terms)
