"""Quadratic laws at any size: a few exact gradients of the full model determine which contractions are conserved.

Every axis of every parameter tensor T offers its Gram matrix. Axes of equal length are combined with unknown
coefficients, and the derivative of the combination along the fields, a handful of linear equations modulo p, decides:
first as whole matrices, then entry by entry on the diagonal, then as traces over all tensors.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

import torch
from torch import Tensor

from gradlaws.exact import linalg
from gradlaws.exact.field import PrimeField
from gradlaws.exact.rational import primitive, reconstruct_vectors
from gradlaws.flows.flow import Flow
from gradlaws.laws.contraction import Contraction, Selection
from gradlaws.laws.gram import GramLaw
from gradlaws.laws.law import Point, unflatten

_SPARE = 4
"""Instances beyond the number of unknowns: a wrong solution survives each with probability about 1/p."""


@dataclass(frozen=True, eq=False, slots=True)
class Probe:
    """Random points with the velocities of one random instance at each: ``[batch, *shape]`` arrays."""

    theta: Point
    velocity: Point
    field: PrimeField


def probe(flow: Flow, count: int, field: PrimeField, generator: torch.Generator) -> Probe:
    """`count` independent pairs of a point and a field value there."""
    theta = flow.points(count, field, generator)
    velocity = flow.velocity(theta.unsqueeze(0), flow.draw(theta, field, generator), field)[0]
    return Probe(unflatten(theta, flow.state), unflatten(velocity, flow.state), field)


def find_gram_laws(flow: Flow, field: PrimeField, generator: torch.Generator) -> list[GramLaw]:
    """All laws that combine whole Gram matrices, then further diagonals, then further traces.

    What is found holds at random points modulo p; `gradlaws.laws.proof` turns that into a proof or into an error
    probability. Combinations that follow from earlier ones on the same axes are left out.
    """
    groups: dict[int, list[Contraction]] = defaultdict(list)
    for name, shape in flow.state.items():
        for axis, length in enumerate(shape):
            if length > 1:  # an axis of length one is a trace
                groups[length].append(Contraction(name, axis, len(shape)))
    most = max([len(flow.state), *map(len, groups.values())])
    probed = probe(flow, most + _SPARE, field, generator)
    laws: list[GramLaw] = []
    for width, contractions in groups.items():
        whole = _solve(contractions, _matrix_columns(contractions, probed, generator), field)
        single = _solve(contractions, _diagonal_columns(contractions, probed), field)
        laws += _write(contractions, whole, [], width, "matrix", field)
        laws += _write(contractions, single, whole, width, "diagonal", field)
    whole_tensors = [Contraction(name, 0, len(shape)) for name, shape in flow.state.items()]
    traces = _solve(whole_tensors, _trace_columns(whole_tensors, probed), field)
    laws += _write(whole_tensors, traces, [_traced(law, whole_tensors) for law in laws], 1, "trace", field)
    return sorted(laws, key=lambda law: list(flow.state).index(law.parts[0][0].tensor))


def _matrix_columns(parts: list[Contraction], probed: Probe, generator: torch.Generator) -> Tensor:
    """Derivative of each Gram matrix applied to a random vector: ``[batch * width, len(parts)]``."""
    field, columns = probed.field, []
    some = parts[0].rows(probed.theta)
    vector = field.random((some.shape[0], some.shape[1], 1), generator)
    for part in parts:
        t, v = part.rows(probed.theta), part.rows(probed.velocity)
        moved = field.matmul(t, field.matmul(v.mT, vector)) + field.matmul(v, field.matmul(t.mT, vector))
        columns.append(field.reduce(moved).flatten())
    return torch.stack(columns, dim=1)


def _diagonal_columns(parts: list[Contraction], probed: Probe) -> Tensor:
    """Half the derivative of each diagonal: ``[batch * width, len(parts)]``."""
    field = probed.field
    pairs = [(part.rows(probed.theta), part.rows(probed.velocity)) for part in parts]
    return torch.stack([field.reduce(field.reduce(t * v).sum(-1)).flatten() for t, v in pairs], dim=1)


def _trace_columns(parts: list[Contraction], probed: Probe) -> Tensor:
    """Half the derivative of each squared norm: ``[batch, len(parts)]``."""
    field = probed.field
    pairs = [(part.rows(probed.theta), part.rows(probed.velocity)) for part in parts]
    return torch.stack([field.reduce(field.reduce(t * v).sum((-2, -1))) for t, v in pairs], dim=1)


def _solve(parts: list[Contraction], columns: Tensor, field: PrimeField) -> list[tuple[int, ...]]:
    """Basis of the coefficient vectors that annihilate every equation, as coprime integers."""
    basis = linalg.nullspace(columns, field).T.to(torch.int64).tolist()
    vectors = [reconstruct_vectors([vector], [field.prime]) for vector in basis]
    return [primitive(vector) for vector in vectors if vector is not None]


def _write(
    parts: list[Contraction],
    solutions: list[tuple[int, ...]],
    known: list[tuple[int, ...]],
    width: int,
    selection: Selection,
    field: PrimeField,
) -> list[GramLaw]:
    """The solutions that are independent of the known ones, as laws."""
    laws, span = [], list(known)
    for solution in solutions:
        if _independent(span, solution, field):
            span.append(solution)
            chosen = tuple((part, c) for part, c in zip(parts, solution, strict=True) if c)
            laws.append(GramLaw(chosen, width, selection))
    return laws


def _independent(span: list[tuple[int, ...]], vector: tuple[int, ...], field: PrimeField) -> bool:
    rows = torch.tensor([*span, vector], dtype=torch.float64)
    return linalg.rank(field.reduce(rows), field) > len(span)


def _traced(law: GramLaw, tensors: list[Contraction]) -> tuple[int, ...]:
    """Coefficients of the trace of a law on every tensor."""
    totals = {contraction.tensor: 0 for contraction in tensors}
    for part, c in law.parts:
        totals[part.tensor] += c
    return tuple(totals.values())
