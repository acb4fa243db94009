"""Are these two networks the same up to symmetry? Balance both, align what is left, measure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from gradlaws.errors import InputError
from gradlaws.laws.contraction import Contraction
from gradlaws.symmetry.balance import balanced
from gradlaws.symmetry.couple import Parts, couplings
from gradlaws.symmetry.coupling import Coupling
from gradlaws.symmetry.group_action import State
from gradlaws.symmetry.permute import permutations, signs
from gradlaws.symmetry.shift import shifts
from gradlaws.symmetry.trial import refuse_module

_ROUNDS = 50


def orbit_distance(a: nn.Module, b: nn.Module, example_inputs: Any, *, seed: int = 0) -> float:
    """Distance of the parameters of b, moved along the symmetries of a, to those of a, relative to their norms.

    Both are balanced; what then remains of each group is compact and is aligned in closed form: rotations by the
    polar decomposition, phases, permutations by an assignment, in turn until nothing improves. Zero means that the
    two are the same up to the groups found (of evaluation mode). Where several layers are permuted or rotated the
    alternation may stop early, so the number is an upper bound; so it is where an element has no least norm, as with a
    unit that hears but is not heard. Neither module is changed.

    Raises:
        InputError: the parameters differ in name or shape, or a module fails on the inputs.
    """
    for m in (a, b):
        refuse_module(m)
    states = [{name: p.detach().to("cpu", torch.float64) for name, p in m.named_parameters()} for m in (a, b)]
    shapes = [{name: tuple(x.shape) for name, x in state.items()} for state in states]
    if shapes[0] != shapes[1]:
        other = sorted(set(shapes[0].items()) ^ set(shapes[1].items()))[0][0]
        raise InputError(f"the networks differ in the parameter {other!r}: expected the same names and shapes")
    groups = couplings(a, example_inputs, seed=seed)
    moves = shifts(a, example_inputs, seed=seed)
    here, there = (state | balanced(state, groups, moves=moves).state for state in states)
    orders = permutations(a, example_inputs, seed=seed)
    odd = signs(a, example_inputs, orders, seed=seed)
    size = (_square(here) * _square(there)) ** 0.25
    every = [*orders, *odd, *groups]
    align = _Alignment(
        here, _flips(orders, odd), frozenset(n for g in groups if g.group != "positive" for n in g.tensors)
    )
    starts = [there, align.started(every, there), align.started(every[::-1], there)]
    gap = min(align.settled(every, start) for start in starts)
    return gap / size if size else 0.0


@dataclass(frozen=True, eq=False, slots=True)
class _Alignment:
    """Brings other states next to one.

    Args:
        here: that one.
        flips: the changes of sign that go with some permutations.
        mixed: tensors that matrices act on.
    """

    here: State
    flips: Mapping[Coupling, Coupling]
    mixed: frozenset[str]

    def settled(self, groups: list[Coupling], there: State) -> float:
        """The gap that is left when every group in turn no longer makes it smaller."""
        best = _gap(self.here, there)
        for _ in range(_ROUNDS):
            for group in groups:
                there = there | self.aligned(group, there, group.parts)
            gap = _gap(self.here, there)
            if gap >= best * (1 - 1e-12):
                return min(best, gap)
            best = gap
        return best

    def started(self, groups: list[Coupling], there: State) -> State:
        """Each group by what no later group moves; permutations by what no other group changes."""
        for i, group in enumerate(groups):
            if group.group == "permutation":
                cost = self._cost(group, there)
                there = there | group.act(there, torch.tensor(assignment(cost.numpy())))
                continue
            later = {name for other in groups[i + 1 :] if other.group != "positive" for name in other.tensors}
            parts = tuple(part for part in group.parts if part[0].tensor not in later) or group.parts
            there = there | self.aligned(group, there, parts)
        return there

    def _cost(self, order: Coupling, there: State) -> Tensor:
        """Between the entries of two indices in increasing order; for heads, between their singular values."""
        parts = [piece for piece, _ in order.parts if piece.tensor not in self.mixed] or [p for p, _ in order.parts]
        flipped = {piece for piece, _ in self.flips[order].parts} if order in self.flips else set()
        total = torch.zeros(order.width, order.width, dtype=torch.float64)
        for piece in parts:
            x, y = (_marks(piece, state, piece in flipped) for state in (self.here, there))
            total += torch.cdist(x, y).square()
        return total

    def aligned(self, group: Coupling, there: State, parts: Parts) -> State:
        """The compact part of a group, used to bring a state nearer."""
        if group.group == "positive":
            return {}
        pairs = [(piece.rows(self.here), piece.rows(there), piece) for piece, _ in parts]
        if group.group != "permutation":
            return _turned(group, there, pairs)
        flipped = {piece for piece, _ in self.flips[group].parts} if group in self.flips else set()
        plain, signed = (torch.zeros(group.width, group.width, dtype=torch.float64) for _ in range(2))
        for x, y, piece in pairs:
            (signed if piece in flipped else plain).add_(x @ y.mT)
        return group.act(there, torch.tensor(assignment(-(plain + signed.abs()).numpy())))


def _flips(orders: Sequence[Coupling], odd: Sequence[Coupling]) -> dict[Coupling, Coupling]:
    pieces = {order: {piece for piece, _ in order.parts} for order in orders}
    return {order: flip for flip in odd for order in orders if {piece for piece, _ in flip.parts} <= pieces[order]}


def _marks(piece: Contraction, state: State, signed: bool) -> Tensor:
    """What stays of each index when other indices are permuted, or matrices act inside a head ``[width, few]``."""
    rows = piece.rows(state)
    if piece.fold and piece.fold[1] > 1:
        return torch.linalg.svdvals(rows.reshape(len(rows), piece.fold[1], -1))
    return (rows.abs() if signed else rows).sort(1).values


def _turned(group: Coupling, there: State, pairs: list[tuple[Tensor, Tensor, Contraction]]) -> State:
    """Signs, phases or rotations in closed form."""
    if group.group == "signs":
        along = sum((x * y).sum(1) for x, y, _ in pairs)
        assert isinstance(along, Tensor)
        return group.act(there, torch.where(along < 0, -1.0, 1.0))
    if group.group == "complex":
        z = torch.zeros(group.width, dtype=torch.complex128)
        for x, y, piece in pairs:
            folds = piece.fold[1] if piece.fold else 1
            pair = (v.reshape(group.width, -1, 2, v.shape[1] // folds).movedim(2, -1).contiguous() for v in (x, y))
            own, other = (torch.view_as_complex(v) for v in pair)
            z += (own * other.conj()).flatten(1).sum(1)
        return group.act(there, torch.where(z.abs() > 0, z / z.abs().clamp_min(1e-300), torch.ones_like(z)))
    total = torch.zeros(group.shape, dtype=torch.float64)
    for x, y, _ in pairs:
        left, right = (v.reshape(group.heads, -1, v.shape[1]) for v in (x, y))
        total += left @ right.mT
    left, _, right = torch.linalg.svd(total)
    return group.act(there, left @ right)


def _gap(a: State, b: State) -> float:
    return float(sum(float((a[name] - b[name]).square().sum()) for name in a)) ** 0.5


def _square(state: State) -> float:
    return sum(float(x.square().sum()) for x in state.values())


def assignment(cost: np.ndarray) -> list[int]:
    """Column of each row with the least total cost (Kuhn 1955, in the form of Jonker and Volgenant)."""
    n = len(cost)
    u, v = np.zeros(n + 1), np.zeros(n + 1)
    match = np.zeros(n + 1, dtype=int)
    for row in range(1, n + 1):
        match[0], column = row, 0
        least, way = np.full(n + 1, np.inf), np.zeros(n + 1, dtype=int)
        used = np.zeros(n + 1, dtype=bool)
        while True:
            used[column] = True
            reduced = cost[match[column] - 1] - u[match[column]] - v[1:]
            better = ~used[1:] & (reduced < least[1:])
            least[1:][better], way[1:][better] = reduced[better], column
            free = np.where(~used[1:])[0] + 1
            step = int(free[np.argmin(least[free])])
            delta = least[step]
            u[match[used]] += delta
            v[used] -= delta
            least[~used] -= delta
            column = step
            if match[column] == 0:
                break
        while column:
            match[column] = match[way[column]]
            column = int(way[column])
    found = [0] * n
    for column in range(1, n + 1):
        found[match[column] - 1] = column - 1
    return found
