"""At most how many affine symmetries a model with thousands of parameters has, from gradients at a few points.

A symmetry X takes at each point a value among those that all gradients there allow, a small space N(theta). Its values
at k random points are therefore few numbers, and an affine combination of the points, where the value is the same
combination, throws out what does not fit: R of them are left. Those X that vanish at all k points take at one more
point u a value that the gradients anywhere in the affine span of all of them allow: m of them. And so on with the X
that vanish at u too, until nothing is left: the dimension is at most ``R + m + m' + ...``. Each number is an upper
bound modulo p as over the rationals; only the end is a matter of chance, since a symmetry may vanish at a random point
with probability 1/p, and at all of the last ones together with the third power of that. B is never written out.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from gradlaws.errors import TooLargeError
from gradlaws.exact import linalg
from gradlaws.exact.field import PrimeField
from gradlaws.flows.flow import Flow
from gradlaws.progress import Progress

PARAMETERS_LIMIT = 16_000
"""Parameters up to which the gradients at one point are eliminated: some minutes."""

LAST = 3
"""Random points at which nothing may be left, each by itself."""

_SPARE = 8
_NUMBERS = 2**24
_STEPS = 200


@dataclass(frozen=True, eq=False, slots=True)
class Admissible:
    """What is known of the values of symmetries at random points.

    Args:
        flow: the gradient flow of the family.
        field: where to compute.
        points: ``[count, D]``.
        values: for each point the values that its gradients allow, in columns ``[D, few]``, still ones left out.
        still: basis in columns of the directions that change nothing ``[D, few]``, identity on some coordinates.
    """

    flow: Flow
    field: PrimeField
    points: Tensor
    values: tuple[Tensor, ...]
    still: Tensor

    @classmethod
    def at_one_point(
        cls, flow: Flow, field: PrimeField, random: torch.Generator, on_progress: Progress | None = None
    ) -> Admissible:
        """By elimination of D and some more gradients.

        Raises:
            TooLargeError: there are too many parameters.
        """
        if flow.dimension > PARAMETERS_LIMIT:
            raise TooLargeError(
                f"{flow.dimension} parameters are too many to ask for all linear symmetries (limit "
                f"{PARAMETERS_LIMIT}): use narrower layers of the same shape, or couplings of the module"
            )
        point = field.random((1, flow.dimension), random)
        allowed = _allowed(flow, field, point, random, on_progress)
        elsewhere = field.random((allowed.shape[1] + _SPARE, flow.dimension), random)
        seen = field.matmul(_gradients(flow, field, elsewhere, random), allowed)
        found = linalg.echelon(seen, field)
        still = field.matmul(allowed, found.nullspace())
        basis = linalg.echelon(still.T, field)  # reduced: an identity on the pivots
        reduced = torch.zeros_like(still)
        reduced[basis.pivots, torch.arange(basis.rank)] = 1.0
        reduced[basis.free] = basis.block.T
        return cls(flow, field, point, (allowed[:, found.pivots.sort().values],), reduced)

    def extended(self, random: torch.Generator, on_progress: Progress | None = None) -> Admissible:
        """With one more point."""
        point = self.field.random((1, self.flow.dimension), random)
        allowed = _allowed(self.flow, self.field, point, random, on_progress)
        own, others = self.moving, linalg.echelon(self.still.T, self.field).pivots
        apart = self.field.reduce(allowed - self.field.matmul(self.still, allowed[others]))
        kept = linalg.echelon(apart[own], self.field).pivots
        return Admissible(
            self.flow,
            self.field,
            torch.cat([self.points, point]),
            (*self.values, allowed[:, kept.sort().values]),
            self.still,
        )

    @property
    def moving(self) -> Tensor:
        """Coordinates that, with the still directions, make all."""
        lost = torch.zeros(self.flow.dimension, dtype=torch.bool)
        lost[linalg.echelon(self.still.T, self.field).pivots] = True
        return (~lost).nonzero().squeeze(1)

    def fitting(self, random: torch.Generator) -> int:
        """R: how many tuples of values at the points fit the gradients at affine combinations of them."""
        if len(self.points) == 1:
            return self.values[0].shape[1]
        field, unknowns = self.field, sum(v.shape[1] for v in self.values)
        weights = field.random((unknowns + _SPARE, len(self.points)), random)
        weights[:, 0] = field.reduce(weights[:, 0] + 1 - weights.sum(1))
        gradients = _gradients(self.flow, field, field.matmul(weights, self.points), random)
        seen = [field.reduce(field.matmul(gradients, v) * weights[:, i : i + 1]) for i, v in enumerate(self.values)]
        return unknowns - linalg.rank(torch.cat(seen, 1), field)

    def beyond(self, random: torch.Generator) -> int:
        """``m + m' + ...``: of the symmetries that vanish at the points, at most how many there are.

        Raises:
            TooLargeError: there is no end to it.
        """
        total, points = 0, self.points
        for _ in range(_STEPS):
            new = self.field.random((LAST, self.flow.dimension), random)
            left = [self._left(points, u, random) for u in new]
            if min(left) == 0:
                return total if max(left) == 0 else total + max(left)
            total, points = total + left[0], torch.cat([points, new[:1]])
        raise TooLargeError(f"more than {_STEPS} random points do not settle the symmetries: use narrower layers")

    def _left(self, points: Tensor, new: Tensor, random: torch.Generator) -> int:
        """How many values at a new point fit all gradients in the affine span of it and of points of value zero."""
        field, candidates = self.field, min(self.values, key=lambda v: v.shape[1])
        weights = field.random((candidates.shape[1] + _SPARE, len(points)), random)
        last = field.reduce(1 - weights.sum(1, keepdim=True))
        at = field.reduce(field.matmul(weights, points) + last * new)
        seen = field.matmul(_gradients(self.flow, field, at, random), candidates)
        return candidates.shape[1] - linalg.rank(seen, field)


def _allowed(
    flow: Flow, field: PrimeField, point: Tensor, random: torch.Generator, on_progress: Progress | None
) -> Tensor:
    """Basis in columns of what all gradients at a point annihilate."""
    wanted, found = flow.dimension + _SPARE, None
    each = max(linalg.LEAF, min(wanted, 2048))
    for done in range(0, wanted, each):
        if on_progress:
            on_progress("gradients at one point", done / wanted)
        rows = _gradients(flow, field, point.expand(min(each, wanted - done), -1), random)
        found = linalg.echelon(rows, field) if found is None else linalg.extend(found, rows, field)
    assert found is not None
    return found.nullspace()


def _gradients(flow: Flow, field: PrimeField, points: Tensor, random: torch.Generator) -> Tensor:
    """One random gradient at each of the points ``[count, D]``."""
    together = max(1, _NUMBERS // flow.footprint)
    rows = []
    for some in points.split(together):
        instances = flow.draw(some, field, random)
        rows.append(flow.velocity(some.contiguous().unsqueeze(0), instances, field)[0])
    return torch.cat(rows)
