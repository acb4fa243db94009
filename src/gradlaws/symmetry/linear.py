"""All infinitesimal affine symmetries ``theta -> B theta + b`` of a family, by exact linear algebra.

A symmetry satisfies ``<grad psi(theta, s), B theta + b> = 0`` for every theta and s: linear equations for the D (D + 1)
numbers ``(B, b)``. They are never written out. At one point the gradients of all instances leave a small space N(theta)
for the value ``B theta + b``, and an affine map is known by its values at D + 1 points. So points are added one by one:
the values at the first k, a small space of candidates, are joined with N of the next point, and an affine combination
of all of them, at which the value must lie in its own N, throws out what does not fit. Every equation used is a true
one, so the space that is left contains every symmetry, at integer points modulo p as over the rationals.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from gradlaws.errors import TooLargeError
from gradlaws.exact import linalg
from gradlaws.exact.field import PrimeField
from gradlaws.flows.flow import Flow
from gradlaws.progress import Progress

DIMENSION_LIMIT = 400
"""Parameters up to which all unknowns are solved for: the work grows with the fourth power."""

_CANDIDATES_LIMIT = 3_000
_SPARE = 8
_NUMBERS = 2**25
_LAST = 4
"""Points beyond D + 1 that everything left must pass: as many more whenever some candidate fails."""


@dataclass(frozen=True, eq=False, slots=True)
class Place:
    """What the gradients at one point forbid and what they allow.

    Args:
        forbid: independent rows that kill every admissible value, ``[rank, D]``.
        allow: basis of the admissible values, ``[D, D - rank]``.
    """

    forbid: Tensor
    allow: Tensor


@dataclass(frozen=True, eq=False, slots=True)
class Slice:
    """Parameters modulo the directions that change nothing.

    Args:
        flow: the gradient flow of the family.
        moving: the coordinates that are left, ascending; the others are zero.
        still: basis of the directions that change nothing, ``[D, count]``, with an identity on the other coordinates.
        field: where to compute.
    """

    flow: Flow
    moving: Tensor
    still: Tensor
    field: PrimeField

    @classmethod
    def of(cls, flow: Flow, field: PrimeField, generator: torch.Generator) -> Slice:
        """From gradients at D different points, and some more."""
        rows = field.random((flow.dimension + _SPARE, flow.dimension), generator)
        gradients = flow.velocity(rows.unsqueeze(0), flow.draw(rows, field, generator), field)[0]
        found = linalg.echelon(gradients, field)
        return cls(flow, found.pivots.sort().values, found.nullspace(), field)

    @property
    def dimension(self) -> int:
        """How many coordinates are left."""
        return len(self.moving)

    def gradients(self, points: Tensor, generator: torch.Generator) -> Tensor:
        """One random gradient at each of the points, ``[count, coordinates left]``."""
        theta = points.new_zeros(len(points), self.flow.dimension)
        theta[:, self.moving] = points
        s = self.flow.draw(theta, self.field, generator)
        return self.flow.velocity(theta.unsqueeze(0), s, self.field)[0][:, self.moving]

    def orthogonal(self, maps: Tensor) -> Tensor:
        """Affine maps of the coordinates left, as maps orthogonal to what stands still: ``[count, D, D + 1]``."""
        d, wide, field = self.dimension, self.flow.dimension, self.field
        full = maps.new_zeros(len(maps), wide, wide + 1)
        full[:, self.moving.unsqueeze(1), torch.cat([self.moving, self.moving.new_tensor([wide])])] = maps
        if d == wide:
            return full
        gram = linalg.solve(field.matmul(self.still.T, self.still), self.still.T, field)
        off = field.matmul(self.still, gram)
        linear = self._apart(full[:, :, :-1], off)
        others = torch.ones(wide, dtype=torch.bool)
        others[self.moving] = False
        passed = field.matmul(linear[:, :, self.moving], self.still[self.moving])
        linear[:, :, others] = field.reduce(-passed)
        return torch.cat([linear, self._apart(full[:, :, -1:], off)], 2)

    def _apart(self, maps: Tensor, off: Tensor) -> Tensor:
        """Without the part along what stands still."""
        return self.field.reduce(maps - self.field.matmul(off, maps))


def affine_symmetries(slice_: Slice, generator: torch.Generator, on_progress: Progress | None = None) -> Tensor:
    """A basis of all pairs ``(B, b)``, in reduced echelon form, b in the last column.

    What is found holds modulo p at random points.

    Args:
        slice_: the coordinates that are asked about, d in number.
        generator: of the points and instances.
        on_progress: hears the fraction of points done.

    Returns:
        Residues ``[count, d, d + 1]``.

    Raises:
        TooLargeError: there are too many parameters, or too many candidates on the way.
    """
    dimension, field = slice_.dimension, slice_.field
    if dimension > DIMENSION_LIMIT:
        raise TooLargeError(
            f"{dimension} parameters are too many to ask for all linear symmetries (limit {DIMENSION_LIMIT}): use "
            "narrower layers of the same shape"
        )
    points = field.random((dimension + 1, dimension), generator)
    values = torch.zeros(0, dimension, 0, dtype=torch.float64, device=field.device)
    for k, place in enumerate(_places(slice_, points, generator)):
        if on_progress:
            on_progress("linear symmetries", k / (dimension + 1))
        values = _joined(values, place)
        wanted = -(-(len(values) + _SPARE) // max(1, len(place.forbid)))
        values = _sifted(values, slice_, points[: k + 1], wanted, generator)
    before = None
    while before != len(values):
        before, values = len(values), _sifted(values, slice_, points, _LAST, generator)
    return _echelon(_maps(values, points, field), field)


def _joined(values: Tensor, place: Place) -> Tensor:
    """Candidates ``[count, D, points]`` with every admissible value at one more point."""
    count, dimension, known = values.shape
    new = place.allow.shape[1]
    if count + new > _CANDIDATES_LIMIT:
        raise TooLargeError(
            f"more than {_CANDIDATES_LIMIT} candidates for linear symmetries: one gradient sees too little of the "
            "model; use example inputs with more positions"
        )
    joined = values.new_zeros(count + new, dimension, known + 1)
    joined[:count, :, :known] = values
    joined[count:, :, known] = place.allow.T
    return joined


def _sifted(values: Tensor, slice_: Slice, points: Tensor, wanted: int, generator: torch.Generator) -> Tensor:
    """Candidates whose values at some affine combinations of the points are admissible there."""
    field = slice_.field
    weights = field.random((len(points), wanted), generator)
    weights[0] = field.reduce(weights[0] + 1 - weights.sum(0))
    there = field.matmul(values.flatten(0, 1), weights).view(*values.shape[:2], wanted)
    places = _places(slice_, field.matmul(points.T, weights).T, generator)
    equations = [field.matmul(place.forbid, there[:, :, i].T) for i, place in enumerate(places)]
    kept = linalg.nullspace(torch.cat(equations), field)
    return field.matmul(kept.T, values.flatten(1)).view(-1, *values.shape[1:])


def _maps(values: Tensor, points: Tensor, field: PrimeField) -> Tensor:
    """The affine maps with these values at D + 1 points."""
    homogeneous = torch.cat([points, torch.ones_like(points[:, :1])], 1)
    identity = torch.eye(len(homogeneous), dtype=torch.float64, device=points.device)
    inverse = linalg.solve(homogeneous.T, identity, field)
    return field.matmul(values.flatten(0, 1), inverse).view(values.shape)


def _places(slice_: Slice, points: Tensor, generator: torch.Generator) -> Iterator[Place]:
    """What gradients at each of the points allow; several points are evaluated together."""
    each = slice_.dimension + _SPARE
    together = max(1, _NUMBERS // (slice_.flow.footprint * each))
    for start in range(0, len(points), together):
        some = points[start : start + together]
        gradients = slice_.gradients(some.repeat_interleave(each, 0), generator)
        for rows in gradients.split(each):
            found = linalg.echelon(rows, slice_.field)
            forbid = rows.new_zeros(found.rank, rows.shape[1])
            forbid[torch.arange(found.rank), found.pivots] = 1.0
            forbid[:, found.free] = found.block
            yield Place(forbid, found.nullspace())


def _echelon(maps: Tensor, field: PrimeField) -> Tensor:
    """Reduced rows, each with a leading one where all others vanish."""
    flat = maps.flatten(1)
    found = linalg.echelon(flat, field)
    rows = torch.zeros_like(flat[: found.rank])
    rows[torch.arange(found.rank), found.pivots] = 1.0
    rows[:, found.free] = found.block
    return rows[found.pivots.argsort()].view(-1, *maps.shape[1:])
