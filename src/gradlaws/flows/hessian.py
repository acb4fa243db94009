"""Mirror descent with any Hessian: a matrix of rational functions of all parameters, not only a diagonal one.

The field is ``adj(H) grad psi`` with denominators cleared: the inverse up to a function that is not zero, which changes
neither what is conserved nor the span of the fields and their brackets at a generic point.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import reduce
from itertools import product
from operator import mul
from typing import Any

import torch
from torch import Tensor

from gradlaws.errors import InputError
from gradlaws.exact import linalg
from gradlaws.exact.evaluate import evaluate
from gradlaws.exact.expression import Quotient, read_expression
from gradlaws.exact.field import DEFAULT_PRIMES, PrimeField
from gradlaws.exact.jet import Jet, constant
from gradlaws.exact.polynomial import Polynomial
from gradlaws.exact.polynomial import constant as number
from gradlaws.exact.systems import cramer
from gradlaws.flows.flow import Flow, Instances
from gradlaws.flows.gradient import GradientFlow
from gradlaws.models.family import Family, Shapes
from gradlaws.models.symbolic import numbered

MOST_PARAMETERS = 6
_SEED = 7


@dataclass(frozen=True)
class HessianFlow(Flow):
    """``theta' = -H(theta)^-1 grad L``.

    Args:
        family: what is trained; up to 6 parameters.
        hessian: rows of polynomials in the flattened parameters, symmetric, with leading minors that are not zero.
    """

    family: Family
    hessian: tuple[tuple[Polynomial, ...], ...]

    @property
    def state(self) -> Shapes:
        return self.family.parameters

    @property
    def title(self) -> str:
        return "mirror flow (Hessian matrix)"

    @property
    def degree(self) -> int:
        """Of the adjugate and the gradient."""
        own = max(entry.degree for row in self.hessian for entry in row)
        return self.family.degree - 1 + own * (self.dimension - 1)

    @property
    def assumptions(self) -> tuple[str, ...]:
        return self.family.assumptions

    def covering(self, first: int) -> HessianFlow:
        """That of a family that draws its cases in turn."""
        return replace(self, family=self.family.covering(first))

    def components(self) -> list[Polynomial] | None:
        """``adj(H) grad psi``, expanded."""
        return cramer(self.hessian, list(self.family.expanded_gradient()))[0]

    def draw(self, points: Tensor, field: PrimeField, generator: torch.Generator) -> Instances:
        """Random instances, as the family draws them."""
        return self.family.draw(points, field, generator)

    def velocity(self, point: Tensor, instances: Instances, field: PrimeField) -> Tensor:
        """``adj(H) grad psi`` at jets."""
        gradient = GradientFlow(self.family).velocity(point, instances, field)
        theta, g = ([Jet(x[..., i], field) for i in range(self.dimension)] for x in (point, gradient))
        zero = constant(point.new_zeros(1), field)
        entries = [[evaluate(entry, theta) or zero for entry in row] for row in self.hessian]
        moved = [_padded(x, len(point), point.shape[1]) for x in cramer(entries, g)[0]]
        return torch.stack(moved, dim=-1)


def _padded(x: Jet, size: int, batch: int) -> Tensor:
    """Coefficients ``[size, batch]`` of a jet that may be constant or shared."""
    c = x.coefficients.expand(-1, batch)
    return torch.cat([c, c.new_zeros(size - len(c), batch)])


@dataclass(frozen=True)
class HessianMap:
    """Turns a family into its mirror flow with this Hessian.

    Args:
        rows: texts or SymPy expressions, rational in the parameters; those of arrays are called ``W1_0_2`` and so on.
    """

    rows: Sequence[Sequence[Any]]

    def __call__(self, family: Family) -> HessianFlow:
        """The flow.

        Raises:
            InputError: an expression is not understood, the matrix has another size, is not symmetric or is singular.
        """
        names = parameter_names(family.parameters)
        if len(names) > MOST_PARAMETERS:
            raise InputError(
                f"{family.name} has {len(names)} parameters: a Hessian matrix is for up to {MOST_PARAMETERS}"
            )
        if len(self.rows) != len(names) or any(len(row) != len(names) for row in self.rows):
            raise InputError(f"the Hessian must have {len(names)} rows and columns, one for each of {', '.join(names)}")
        numbers = numbered(names)
        read = [[read_expression(str(entry), numbers) for entry in row] for row in self.rows]
        _refuse_unsymmetric(read, names)
        hessian = _cleared(read)
        _refuse_singular(hessian)
        return HessianFlow(family, hessian)


def parameter_names(shapes: Shapes) -> list[str]:
    """``W1_0_2`` for entries of arrays, in flattened order."""
    return [
        "_".join([name, *map(str, index)]) for name, shape in shapes.items() for index in product(*map(range, shape))
    ]


def _refuse_unsymmetric(read: list[list[Quotient]], names: list[str]) -> None:
    for i, row in enumerate(read):
        for j in range(i):
            across = read[j][i]
            if (row[j].above * across.below - across.above * row[j].below).terms:
                raise InputError(
                    f"the Hessian is not symmetric: its entry for {names[i]}, {names[j]} differs from that for "
                    f"{names[j]}, {names[i]}"
                )


def _cleared(read: list[list[Quotient]]) -> tuple[tuple[Polynomial, ...], ...]:
    """All entries times the product of their different denominators."""
    denominators: list[Polynomial] = []
    for entry in (entry for row in read for entry in row):
        if entry.below not in denominators:
            denominators.append(entry.below)

    def clear(entry: Quotient) -> Polynomial:
        return entry.above * reduce(mul, (d for d in denominators if d != entry.below), number(1))

    return tuple(tuple(clear(entry) for entry in row) for row in read)


def _refuse_singular(hessian: tuple[tuple[Polynomial, ...], ...]) -> None:
    """A convex function has positive leading minors, so that none of them vanishes at random points modulo p."""
    field, size = PrimeField(DEFAULT_PRIMES[0]), len(hessian)
    point = field.random((size,), torch.Generator().manual_seed(_SEED))
    theta = [Jet(x.reshape(1, 1), field) for x in point]
    matrix = torch.zeros(size, size, dtype=torch.float64)
    for i, j in product(range(size), repeat=2):
        value = evaluate(hessian[i][j], theta)
        matrix[i, j] = 0 if value is None else value.coefficients.item()
    for k in range(1, size + 1):
        if linalg.rank(matrix[:k, :k], field) < k:
            raise InputError(
                f"the leading {k} x {k} minor of the Hessian is zero at every point: a mirror map is convex"
            )
