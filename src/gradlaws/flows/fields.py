"""Explicit vector fields: rational functions on any state space, of a reaction network or a control system.

A field may be multiplied by a function that is not zero without changing what it conserves, nor the distribution that
it spans with the others and their brackets at a generic point. So denominators are cleared, field by field.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import torch
from torch import Tensor

from gradlaws.errors import InputError
from gradlaws.exact.evaluate import evaluate
from gradlaws.exact.expression import Quotient, read_expression
from gradlaws.exact.field import PrimeField
from gradlaws.exact.jet import Jet, constant
from gradlaws.exact.polynomial import Polynomial, variable
from gradlaws.exact.polynomial import constant as number
from gradlaws.flows.flow import Flow, Instances
from gradlaws.models.family import Shapes
from gradlaws.models.symbolic import numbered

_WEIGHTS = "multiples of the fields"


@dataclass(frozen=True)
class Fields(Flow):
    """All combinations of some polynomial vector fields.

    Args:
        variables: names of the state variables.
        fields: for each field one polynomial for each variable.
    """

    variables: tuple[str, ...]
    fields: tuple[tuple[Polynomial, ...], ...]

    @property
    def state(self) -> Shapes:
        return dict.fromkeys(self.variables, ())

    @property
    def degree(self) -> int:
        return 1 + max(entry.degree for field in self.fields for entry in field)

    @property
    def assumptions(self) -> tuple[str, ...]:
        return ()

    @property
    def title(self) -> str:
        return "the vector field" if len(self.fields) == 1 else f"the {len(self.fields)} vector fields"

    def draw(self, points: Tensor, field: PrimeField, generator: torch.Generator) -> Instances:
        """One multiple for each field."""
        return {_WEIGHTS: field.random((len(points), len(self.fields)), generator)}

    def velocity(self, point: Tensor, instances: Instances, field: PrimeField) -> Tensor:
        values = [Jet(point[..., i], field) for i in range(len(self.variables))]
        weights = [constant(instances[_WEIGHTS][:, i], field) for i in range(len(self.fields))]
        products: dict[tuple[int, ...], Any] = {}
        moved = torch.zeros_like(point)
        for i in range(len(self.variables)):
            for weight, polynomials in zip(weights, self.fields, strict=True):
                value = evaluate(polynomials[i], values, products)
                if value is not None:
                    term = (weight * value).coefficients
                    moved[: len(term), :, i] = field.reduce(moved[: len(term), :, i] + term)
        return moved

    def components(self) -> list[Polynomial]:
        """Their combination with multiples numbered after the state."""
        total = [number(0) for _ in self.variables]
        for i, polynomials in enumerate(self.fields):
            weight = variable(len(self.variables) + i)
            total = [a + weight * b for a, b in zip(total, polynomials, strict=True)]
        return total


def vector_fields(variables: Sequence[Any], fields: Sequence[Sequence[Any]]) -> Fields:
    """Explicit vector fields.

    Args:
        variables: names, or SymPy symbols.
        fields: for each field one text or SymPy expression for each variable, rational in the variables.

    Raises:
        InputError: an expression is not understood, or a field has the wrong number of entries.
    """
    names = tuple(map(str, variables))
    numbers = numbered(names)
    if not fields:
        raise InputError("no vector field is given: expected at least one")
    cleared = []
    for i, entries in enumerate(fields):
        if len(entries) != len(names):
            raise InputError(
                f"field {i + 1} has {len(entries)} entries, but there are {len(names)} variables: {', '.join(names)}"
            )
        cleared.append(_cleared([read_expression(str(entry), numbers) for entry in entries]))
    return Fields(names, tuple(cleared))


def gradients(variables: Sequence[Any], potentials: Sequence[Any]) -> Fields:
    """The gradients of rational functions, as explicit fields."""
    names = tuple(map(str, variables))
    numbers = numbered(names)
    read = [read_expression(str(text), numbers) for text in potentials]
    return Fields(names, tuple(_cleared([value.derivative(i) for i in range(len(names))]) for value in read))


def _cleared(entries: list[Quotient]) -> tuple[Polynomial, ...]:
    """The entries times the product of their different denominators."""
    denominators: list[Polynomial] = []
    for entry in entries:
        if entry.below.degree and entry.below not in denominators:
            denominators.append(entry.below)
    found = []
    for entry in entries:
        total = entry.above
        if not entry.below.degree and entry.below.terms:
            total = total * (1 / Fraction(entry.below.terms[()]))
        for denominator in denominators:
            if denominator != entry.below:
                total = total * denominator
        found.append(total)
    return tuple(found)
