"""Symmetries that act on one index shared by several tensors, found for models of thousands of parameters.

Laws of gradient flow are the symmetric half of them: where ``T T^T - U^T U`` is conserved, all symmetric matrices act,
and their brackets are the antisymmetric ones, so all matrices do. What carries no law is asked for by itself, with
unknown factors and a few exact gradients: rotations of whole axes, of pairs of coordinates, and shifts, where a
constant added along one index is taken back by slices of other tensors: ``b1' = e_k, b2' = -W2[:, k]``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TypeGuard, TypeVar

import torch
from torch import Tensor

from gradlaws.exact import linalg
from gradlaws.exact.field import PrimeField
from gradlaws.exact.rational import primitive, reconstruct_vectors
from gradlaws.flows.flow import Flow
from gradlaws.laws.blocks import find_block_laws
from gradlaws.laws.contraction import Contraction
from gradlaws.laws.gather import GatherLaw
from gradlaws.laws.gram import GramLaw
from gradlaws.laws.law import Law, unflatten
from gradlaws.laws.pieces import Groups, axes, folded, parted, whole
from gradlaws.laws.sparse import find_sparse_laws
from gradlaws.laws.structured import Probe, probe
from gradlaws.models.family import Shapes, size
from gradlaws.progress import Progress
from gradlaws.symmetry.maps import Maps

_LARGEST = 16
_SPARE, _FEWEST = 8, 3
_UNKNOWNS = 2_000
_FOLDS = 200
_ENTRIES = 3_000
"""Parameters up to which every single entry is looked at."""

T = TypeVar("T")


@dataclass(frozen=True, eq=False, slots=True)
class Local:
    """A family of symmetries.

    Args:
        name: of the group.
        tensors: what it moves.
        maps: its generators.
        simple: dimension of the semisimple part.
        laws: of the symmetric part.
        rotations: of the antisymmetric part.
        radical: generators of its radical, as combinations of its maps ``[count, maps]``.
    """

    name: str
    tensors: tuple[str, ...]
    maps: Maps
    simple: int
    laws: int
    rotations: int
    radical: Tensor


def local_symmetries(
    flow: Flow,
    field: PrimeField,
    random: torch.Generator,
    tables: frozenset[str] = frozenset(),
    on_progress: Progress | None = None,
) -> list[Local]:
    """What is found holds at a few random points modulo p and must still be confirmed."""
    state = flow.state
    laws = find_block_laws(flow, field, random, tables, on_progress)
    probes = [probe(flow, 1, field, random) for _ in range(2)]
    found = [_of_law(law, state, probes) for law in laws if isinstance(law, GramLaw)]
    if flow.dimension <= _ENTRIES:
        found += [_of_entries(law) for law in find_sparse_laws(flow, field, random) if _diagonal(law)]
    known = {(part.tensor, part.axis) for law in laws if isinstance(law, GramLaw) for part, _ in law.parts}
    left = [piece for piece in axes(state) if (piece.tensor, piece.axis) not in known]
    found += [*_rotations(flow, field, random, left), *_Shifts(flow, field, random).all_of(axes(state))]
    return [local for local in found if not any(bool(_slopes(local.maps, p).any()) for p in probes)]


def _of_law(law: GramLaw, state: Shapes, probes: list[Probe]) -> Local:
    """Matrices, scalings or complex scalings whose symmetric part is a law."""
    numbers = _numbers(state)
    block = law.width // law.heads
    rows = [(piece.rows(numbers), c) for piece, c in law.parts]
    tensors = tuple(dict.fromkeys(piece.tensor for piece, _ in law.parts))
    if law.selection == "matrix" and block > 1 and {abs(c) for _, c in law.parts} == {1}:
        pairs = [(h * block + i, h * block + j) for h in range(law.heads) for i in range(block) for j in range(block)]
        to, source = torch.tensor(pairs).T
        entries = [(x[to], x[source], 1) if c > 0 else (x[source], x[to], -1) for x, c in rows]
        unit = torch.eye(block, dtype=torch.float64).flatten()
        name = _copies(f"gl({block}, R)", law.heads)
        radical = torch.block_diag(*[unit.unsqueeze(0)] * law.heads)
        laws, rotations = law.count, law.heads * block * (block - 1) // 2
        return Local(name, tensors, _maps(entries, state), law.heads * (block**2 - 1), laws, rotations, radical)
    scalings = _maps([(x, x, c) for x, c in rows], state)
    n = scalings.count
    turned = _turned(law, rows, state)
    if turned is not None and all(not bool(_slopes(turned, p).any()) for p in probes):
        both = Maps.joined([scalings, turned], scalings.dimension)
        return Local(_copies("C^*", n), tensors, both, 0, n, n, torch.eye(2 * n, dtype=torch.float64))
    return Local(_copies("R_>0", n), tensors, scalings, 0, n, 0, torch.eye(n, dtype=torch.float64))


def _diagonal(law: Law) -> TypeGuard[GatherLaw]:
    return isinstance(law, GatherLaw) and law.selection == "diagonal"


def _of_entries(law: GatherLaw) -> Local:
    """Scalings of chosen entries, such as those of one unit of one expert."""
    state = dict(law.shapes)
    table = torch.tensor(law.indices)
    entries = [(table[:, m : m + 1], table[:, m : m + 1], c) for m, c in enumerate(law.coefficients)]
    maps = _maps(entries, state)
    moved = {name for name, numbers in _numbers(state).items() if bool(torch.isin(numbers, table).any())}
    tensors = tuple(name for name in state if name in moved)
    return Local(_copies("R_>0", maps.count), tensors, maps, 0, maps.count, 0, torch.eye(maps.count).double())


def _turned(law: GramLaw, rows: list[tuple[Tensor, int]], state: Shapes) -> Maps | None:
    """Rotations of the pairs of coordinates of each index."""
    if any(not piece.fold or piece.fold[1] % 2 or abs(c) != 1 for piece, c in law.parts):
        return None
    entries = []
    for (piece, _), (x, _) in zip(law.parts, rows, strict=True):
        assert piece.fold
        pairs = x.reshape(len(x), -1, 2, x.shape[1] // piece.fold[1])
        first, second = pairs[:, :, 0].flatten(1), pairs[:, :, 1].flatten(1)
        entries += [(first, second, -1), (second, first, 1)]
    return _maps(entries, state)


def _rotations(flow: Flow, field: PrimeField, random: torch.Generator, left: list[Contraction]) -> list[Local]:
    """Rotations of whole axes that no matrices act on."""
    found, state = [], flow.state
    for length, pieces in whole(left, state).items():
        if length == 1:
            continue
        columns = []
        for _ in range(max(_FEWEST, -(-(len(pieces) + _SPARE) // length))):
            probed = probe(flow, 1, field, random)
            u, own = field.random((length, 1), random), []
            for piece in pieces:
                t, v = piece.rows(probed.theta)[0], piece.rows(probed.velocity)[0]
                skew = field.matmul(t, field.matmul(v.mT, u)) - field.matmul(v, field.matmul(t.mT, u))
                own.append(field.reduce(skew).squeeze(1))
            columns.append(torch.stack(own, 1))
        for parts in _integers(torch.cat(columns), pieces, field):
            if len(parts) > 1 and {c for _, c in parts} in ({1}, {-1}):
                found.append(_rotation([piece for piece, _ in parts], length, state))
    return found


def _rotation(pieces: list[Contraction], length: int, state: Shapes) -> Local:
    numbers = _numbers(state)
    to, source = torch.combinations(torch.arange(length)).T
    entries = []
    for piece in pieces:
        x = piece.rows(numbers)
        entries += [(x[to], x[source], 1), (x[source], x[to], -1)]
    count = length * (length - 1) // 2
    simple, radical = (count, torch.zeros(0, count)) if length > 2 else (0, torch.ones(1, 1))
    tensors = tuple(dict.fromkeys(piece.tensor for piece in pieces))
    name = f"so({length})" if length > 2 else "SO(2)"
    return Local(name, tensors, _maps(entries, state), simple, 0, count, radical.double())


@dataclass(frozen=True, eq=False, slots=True)
class _Shifts:
    """Constants along an index, and slices of tensors that take them back."""

    flow: Flow
    field: PrimeField
    random: torch.Generator

    def all_of(self, every: list[Contraction]) -> Iterator[Local]:
        """One family for each index."""
        state = self.flow.state
        groups: Groups = dict(whole(every, state))
        for length, pieces in parted(every, every, state).items():
            groups[length] = list(dict.fromkeys([*groups.get(length, []), *pieces]))
        done: set[tuple[str, int]] = set()
        for length, pieces in sorted(groups.items(), reverse=True):
            terms = [term for piece in pieces for term in self._terms(piece)]
            for local in self._solved(length, terms):
                done |= {(name, length) for name in local.tensors}
                yield local
        for length, pieces in folded(every, state).items():
            biases = [p for p in pieces if p.order == 1 and not p.fold and (p.tensor, length) not in done]
            wider = [p for p in pieces if p.order > 1 and p.fold and 1 not in p.fold[1:2]]
            if biases and length > 1 and 0 < len(wider) <= _FOLDS:
                terms = [t for p in biases for t in self._terms(p)] + [t for p in wider for t in self._terms(p)[1:]]
                yield from self._solved(length, terms)

    def _terms(self, piece: Contraction) -> list[tuple[Tensor, Tensor, str]]:
        """Rows, columns ``[length, many]`` and the tensor moved: first a constant along the piece, then its slices."""
        state, numbers = self.flow.state, _numbers(self.flow.state)
        own = piece.rows(numbers)
        last = size(state)
        terms = [(own, torch.full_like(own, last), piece.tensor)]
        shape = state[piece.tensor]
        for name, other in state.items():
            if len(other) != 1 or piece.order < 2:
                continue
            for axis in range(piece.order):
                if axis != piece.axis and shape[axis] == other[0]:
                    slots = [-1 if a == axis else 1 for a in range(piece.order)]
                    spread = numbers[name].view(slots).expand(shape)
                    terms.append((piece.rows({piece.tensor: spread}), own, name))
        return terms

    def _solved(self, length: int, terms: list[tuple[Tensor, Tensor, str]]) -> Iterator[Local]:
        """Combinations of terms that every gradient annihilates, for each index."""
        if length < 1 or len(terms) < 2 or len(terms) > _UNKNOWNS:
            return
        equations = []
        for _ in range(max(_FEWEST, -(-(len(terms) + _SPARE) // length))):
            probed = probe(self.flow, 1, self.field, self.random)
            theta, moved = (_flat(x, self.flow.state) for x in (probed.theta, probed.velocity))
            theta = torch.cat([theta, theta.new_ones(1)])
            seen = [self.field.reduce(self.field.reduce(moved[r] * theta[c]).sum(1)) for r, c, _ in terms]
            equations.append(torch.stack(seen, 1))
        columns = torch.cat(equations)
        alive = columns.any(0).nonzero().squeeze(1).tolist()  # the others move what stands still
        for chosen in _integers(columns[:, alive], [terms[i] for i in alive], self.field):
            entries = [(rows, columns, c) for (rows, columns, _), c in chosen]
            if all(bool((columns == size(self.flow.state)).all()) for _, columns, _ in entries):
                continue  # stands still
            tensors = tuple(dict.fromkeys(name for (_, _, name), _ in chosen))
            maps = _maps(entries, self.flow.state)
            radical = torch.eye(length, dtype=torch.float64)
            yield Local(f"R^{length} (shifts that others absorb)", tensors, maps, 0, 0, 0, radical)


def _integers(columns: Tensor, unknowns: list[T], field: PrimeField) -> Iterator[list[tuple[T, int]]]:
    """Small integer solutions: each as the unknowns that take part, with their factors."""
    for vector in linalg.nullspace(columns, field).T.to(torch.int64).tolist():
        lifted = reconstruct_vectors([vector], [field.prime])
        if lifted is None:
            continue
        whole_numbers = primitive(lifted)
        if max(abs(c) for c in whole_numbers) <= _LARGEST:
            yield [(unknown, c) for unknown, c in zip(unknowns, whole_numbers, strict=True) if c]


def _maps(entries: list[tuple[Tensor, Tensor, int]], state: Shapes) -> Maps:
    """One map for each row of the tensors of rows and columns."""
    owner, row, column, value = [], [], [], []
    for rows, columns, c in entries:
        owner.append(torch.arange(len(rows)).unsqueeze(1).expand_as(rows).flatten())
        row.append(rows.flatten())
        column.append(columns.flatten())
        value.append(torch.full((rows.numel(),), float(c), dtype=torch.float64))
    count = len(entries[0][0])
    return Maps(count, size(state), torch.cat(owner), torch.cat(row), torch.cat(column), torch.cat(value))


def _numbers(state: Shapes) -> dict[str, Tensor]:
    """The place of every entry among the flattened parameters."""
    return unflatten(torch.arange(size(state)), state)


def _flat(point: Mapping[str, Tensor], state: Shapes) -> Tensor:
    return torch.cat([point[name][0].flatten() for name in state])


def _slopes(maps: Maps, probed: Probe) -> Tensor:
    theta, moved = (
        torch.cat([x.reshape(len(x), -1) for x in point.values()], 1) for point in (probed.theta, probed.velocity)
    )
    return maps.slopes(theta, moved, probed.field)


def _copies(name: str, count: int) -> str:
    return name if count == 1 else f"({name})^{count}"
