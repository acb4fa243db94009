"""Laws of any model of moderate size without any hint: linear ones, sums of squares, and the matrices they belong to.

The coefficients of all linear laws are the nullspace of the fields themselves, those of all laws that are sums of
squares the nullspace of ``theta * X``: one exact elimination each, D unknowns. Two sums of squares of the same pattern,
such as two rows of a query and key pair, are then tried as the diagonal of a Gram matrix.
"""

from __future__ import annotations

from collections import defaultdict
from itertools import combinations, pairwise

import numpy as np
import torch
from torch import Tensor

from gradlaws.exact import linalg
from gradlaws.exact.field import PrimeField
from gradlaws.exact.rational import primitive, reconstruct_vectors
from gradlaws.flows.flow import Flow
from gradlaws.laws.gather import GatherLaw, Selection
from gradlaws.laws.law import flatten
from gradlaws.laws.structured import probe
from gradlaws.models.family import Shape

_SPARE = 8
_ENOUGH = 6
_ORDERS = 16
_MOST_TENSORS = 24
_SMALL = 16
_CHUNK_NUMBERS = 2**25
Vector = np.ndarray
Shapes = tuple[tuple[str, Shape], ...]


def find_sparse_laws(flow: Flow, field: PrimeField, generator: torch.Generator) -> list[GatherLaw]:
    """All linear laws and all laws that are sums of squares, with the Gram matrices they are diagonals of."""
    theta, velocity = _samples(flow, flow.dimension + _SPARE, field, generator)
    shapes = tuple(flow.state.items())
    starts = _starts(shapes)
    linear = _integer_nullspace(velocity, field, starts)
    frozen = {int(np.flatnonzero(v)[0]) for v in linear if np.count_nonzero(v) == 1}
    squares = [v for v in _integer_nullspace(field.reduce(theta * velocity), field, starts) if not _within(v, frozen)]
    laws = [_bundle(group, "linear", shapes) for group in _groups(linear, shapes)]
    few = theta[:_ENOUGH], velocity[:_ENOUGH]
    for group in _groups(squares, shapes):
        for cluster in _clusters(group, *few, field):
            laws.append(_bundle(cluster, "matrix" if len(cluster) > 1 else "diagonal", shapes))
    return _merged(laws)


def _samples(flow: Flow, count: int, field: PrimeField, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Points and velocities, ``[count, D]`` each, a chunk at a time."""
    chunk = max(1, _CHUNK_NUMBERS // (6 * flow.footprint))
    parts = [probe(flow, min(chunk, count - start), field, generator) for start in range(0, count, chunk)]
    return (
        torch.cat([flatten(part.theta, flow.state) for part in parts]),
        torch.cat([flatten(part.velocity, flow.state) for part in parts]),
    )


def _integer_nullspace(rows: Tensor, field: PrimeField, starts: Vector) -> list[Vector]:
    """A simple basis of the nullspace, as coprime integers.

    Every vector of a reduced basis has minimal support; which ones appear depends on the order of the columns. Several
    orders are tried and the simplest independent vectors kept.
    """
    basis = linalg.nullspace(rows, field).T
    if not len(basis):
        return []
    found = {tuple(row) for order in _orders(starts) for row in _circuits(basis, order, field)}
    lifted = (reconstruct_vectors([row], [field.prime]) for row in basis.to(torch.int64).tolist())
    found |= {primitive(row) for row in lifted if row is not None}
    vectors = sorted((np.array(v, dtype=np.int64) for v in found), key=lambda v: _complexity(v, starts))
    if not vectors:  # the nullspace has no small integers in it
        return []
    chosen = linalg.echelon(field.reduce(torch.tensor(np.array(vectors), dtype=torch.float64)).T.contiguous(), field)
    return [vectors[i] for i in sorted(chosen.pivots.tolist())]


def _orders(starts: Vector) -> list[Tensor]:
    """Orders of the columns: random ones, and ones that leave any two tensors for last, to find laws between them."""
    generator = torch.Generator().manual_seed(0)
    blocks = [torch.arange(a, b) for a, b in pairwise(starts.tolist())]
    columns = torch.cat(blocks)
    orders = [columns, columns.flip(0), *(torch.randperm(len(columns), generator=generator) for _ in range(_ORDERS))]
    if len(blocks) <= _MOST_TENSORS:
        for last in combinations(range(len(blocks)), 2):
            first = [block for i, block in enumerate(blocks) if i not in last]
            orders.append(torch.cat([*first, *(blocks[i] for i in last)]))
    return orders


def _circuits(basis: Tensor, order: Tensor, field: PrimeField) -> list[list[int]]:
    """Rows of the reduced echelon form for one order of the columns, as far as they are small integers."""
    reduced = linalg.echelon(basis[:, order], field)
    rows = torch.zeros_like(basis)
    rows[torch.arange(reduced.rank), reduced.pivots] = 1.0
    rows[:, reduced.free] = reduced.block
    signed = torch.where(rows > field.prime // 2, rows - field.prime, rows)[:, order.argsort()]
    small: list[list[int]] = signed[signed.abs().amax(1) <= _SMALL].to(torch.int64).tolist()
    return small


def _complexity(vector: Vector, starts: Vector) -> tuple[int, int, int, tuple[bool, ...]]:
    """What a reader minds: large coefficients, many terms (tensors, each with one coefficient), many entries."""
    support = np.flatnonzero(vector)
    owners = np.searchsorted(starts, support, side="right")
    terms = set(zip(owners.tolist(), vector[support].tolist(), strict=True))
    return int(np.abs(vector).max()), len(terms), len(support), tuple((vector == 0).tolist())


def _starts(shapes: Shapes) -> Vector:
    """Where each tensor begins among the flattened parameters."""
    return np.cumsum([0, *(int(np.prod(shape)) for _, shape in shapes)])


def _within(vector: Vector, frozen: set[int]) -> bool:
    return set(np.flatnonzero(vector).tolist()) <= frozen


def _groups(vectors: list[Vector], shapes: Shapes) -> list[list[Vector]]:
    """Vectors with as many entries of the same value in the same tensors."""
    starts = _starts(shapes)
    found: dict[tuple[tuple[int, int], ...], list[Vector]] = defaultdict(list)
    for vector in vectors:
        support = np.flatnonzero(vector)
        owners = np.searchsorted(starts, support, side="right")
        signed = vector if vector[support[0]] > 0 else -vector
        found[tuple(zip(owners.tolist(), signed[support].tolist(), strict=True))].append(signed)
    return [sorted(group, key=lambda v: int(np.flatnonzero(v)[0])) for group in found.values()]


def _clusters(group: list[Vector], theta: Tensor, velocity: Tensor, field: PrimeField) -> list[list[Vector]]:
    """Split into sets whose whole Gram matrix is conserved."""
    coefficients = torch.tensor(group[0][group[0] != 0], dtype=torch.float64, device=theta.device)
    rows = torch.tensor(np.array([np.flatnonzero(v) for v in group]))
    t, x = theta[:, rows], velocity[:, rows]
    weighted = field.reduce(t * field.reduce(coefficients))
    moved = field.matmul(weighted, x.mT)
    broken = field.reduce(moved + moved.mT).ne(0).any(0).tolist()
    clusters: list[list[int]] = []
    for i in range(len(group)):
        home = next((c for c in clusters if not any(broken[i][j] for j in c)), None)
        if home is None:
            clusters.append([i])
        else:
            home.append(i)
    return [[group[i] for i in cluster] for cluster in clusters]


def _bundle(group: list[Vector], selection: Selection, shapes: Shapes) -> GatherLaw:
    supports = tuple(tuple(np.flatnonzero(v).tolist()) for v in group)
    first = group[0]
    return GatherLaw(supports, tuple(first[first != 0].tolist()), selection, shapes)


def _merged(laws: list[GatherLaw]) -> list[GatherLaw]:
    """Consecutive single sums of squares of one pattern become one diagonal law."""
    merged: list[GatherLaw] = []
    for law in laws:
        last = merged[-1] if merged else None
        if last and _same_pattern(last, law):
            merged[-1] = GatherLaw(last.indices + law.indices, law.coefficients, "diagonal", law.shapes)
        else:
            merged.append(law)
    return merged


def _same_pattern(a: GatherLaw, b: GatherLaw) -> bool:
    if not (a.selection == b.selection == "diagonal" and a.coefficients == b.coefficients):
        return False
    starts = _starts(a.shapes)
    owners = [np.searchsorted(starts, np.array(law.indices[0]), side="right").tolist() for law in (a, b)]
    return all(x == y for x, y in pairwise(owners))
