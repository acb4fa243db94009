"""Permutations of a real module: hidden units, channels, attention heads, experts, coordinates of the residual stream.

Nothing is known of the architecture. Make the first two indices equal along every axis of one length: whatever
permutation acts on some of these axes, swapping the two is then at a fixed point, and the gradients along these axes
are as symmetric as the weights. Disturb one axis: the symmetry breaks for the axes that are permuted together with it,
and for no others. So one gradient finds the axes, one more for each of them tells which go together. Axes are read
whole, in equal parts, then in blocks, which are heads. Each group found is tried at random weights and inputs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from gradlaws.errors import InputError
from gradlaws.laws.contraction import Contraction
from gradlaws.laws.pieces import axes, blocks, divisors, parted, whole
from gradlaws.models.family import Shapes, size
from gradlaws.symmetry.coupling import Coupling, put
from gradlaws.symmetry.group_action import State
from gradlaws.symmetry.precise import Precise
from gradlaws.symmetry.trial import arguments, duplicate_of, fresh_inputs, outputs, perturb

_SAME, _PAIRS = 1e-9, 3
_CHEAP = 1_000_000
"""Parameters up to which twice as many pairs of indices are tried."""

_SMALL, _ATTEMPTS = 3_000, 32
"""Parameters up to which many more are: narrow networks are often dead."""

_FEWEST, _FLIPS = 4, 24
"""Random places at which a change of sign is tried, at least and at most."""

_LARGEST = 4096
"""Blocks up to which an axis is divided."""


def permutations(module: nn.Module, example_inputs: Any, *, seed: int = 0) -> tuple[Coupling, ...]:
    """Indices that may be permuted, shared by axes of several tensors; found numerically, in evaluation mode.

    Two gradients or so for each axis of each parameter: for modules of up to some millions of parameters.

    Raises:
        InputError: the module fails on the inputs.
    """
    trial = _Trial.of(module, example_inputs, seed)
    every, found = axes(trial.shapes), list[Coupling]()
    for pieces in whole(every, trial.shapes).values():
        found += trial.groups(pieces)
    for pieces in parted(_left(every, found), every, trial.shapes).values():
        found += trial.groups(_left(pieces, found))
    rest = _left(every, [group for group in found if all(piece.whole for piece, _ in group.parts)])
    heads, open_axes = list[Coupling](), {(piece.tensor, piece.axis) for piece in rest}
    for count in _counts(rest, trial.shapes):
        new = trial.groups(_read(_left(rest, heads), count, trial.shapes))
        for parts in parted(_left(rest, heads + new), every, trial.shapes).values():
            own = [p for p in _left(parts, heads + new) if (p.tensor, p.axis) in open_axes]
            new += trial.groups(_read(own, count, trial.shapes))
        heads += [*new, *(group for head in new for group in trial.inside(head))]
    return tuple({frozenset(group.parts): group for group in (*found, *heads)}.values())


def signs(module: nn.Module, example_inputs: Any, orders: Sequence[Coupling], *, seed: int = 0) -> tuple[Coupling, ...]:
    """Changes of sign of permuted indices: of units with an odd activation, or of a stream that is only rescaled.

    All axes change sign, or all but those of vectors, as gains of normalisations do not.

    Raises:
        InputError: the module fails on the inputs.
    """
    trial = _Trial.of(module, example_inputs, seed)
    found = []
    for order in orders:
        several = order.parts, tuple(part for part in order.parts if part[0].order > 1)
        flips = (Coupling("signs", parts, order.width) for parts in dict.fromkeys(several) if parts)
        found += [flip for flip in flips if trial.flips(flip)][:1]
    return tuple(found)


@dataclass(frozen=True, eq=False, slots=True)
class _Trial:
    """A copy of a module at random weights and inputs, to experiment with."""

    module: nn.Module
    parameters: dict[str, nn.Parameter]
    origin: State
    inputs: tuple[tuple[Any, ...], dict[str, Any]]
    seed: int

    @classmethod
    def of(cls, module: nn.Module, example_inputs: Any, seed: int) -> _Trial:
        random = torch.Generator().manual_seed(seed)
        duplicate = duplicate_of(module)
        parameters = {name: p for name, p in duplicate.named_parameters() if p.requires_grad}
        perturb(parameters, dict(module.named_parameters()), random)
        inputs = fresh_inputs(*arguments(example_inputs), random)
        origin = {name: p.detach().clone() for name, p in parameters.items()}
        return cls(duplicate, parameters, origin, inputs, seed)

    @property
    def shapes(self) -> Shapes:
        """Of the parameters."""
        return {name: tuple(p.shape) for name, p in self.parameters.items()}

    def groups(self, pieces: Sequence[Contraction]) -> list[Coupling]:
        """Pieces of equal length that are permuted together."""
        found: list[Coupling] = []
        width = pieces[0].length(self.shapes[pieces[0].tensor]) if pieces else 0
        numbers = size(self.shapes)
        attempts = _ATTEMPTS if numbers < _SMALL else 2 * _PAIRS if numbers < _CHEAP else _PAIRS
        clear = 0
        for attempt in range(attempts if width > 1 else 0):  # the two units of a pair may be dead: then other ones
            first, trial = 2 * attempt % (width - 1), self if attempt < width // 2 else self.again(attempt)
            classes, alive = trial._classes(_left(pieces, found), (first, first + 1))
            clear += alive
            if clear > _PAIRS:
                break
            for together in classes:
                group = Coupling("permutation", tuple((piece, 1) for piece in together), width)
                if len(together) > 1 and trial.permutes(group):
                    found.append(group)
        return found

    def flips(self, group: Coupling) -> bool:
        """Whether all units may change sign, each seen alive: a dead one could do anything."""
        alive = torch.zeros(group.width, dtype=torch.bool)
        for attempt in range(_FLIPS):
            trial = self.again(attempt + 1)
            if not trial.stays(group, -torch.ones(group.width, dtype=torch.float64)):
                return False
            slopes = trial._gradients({})
            rows = [piece.rows(slopes).ne(0).any(1) for piece, _ in group.parts if piece.tensor in slopes]
            alive |= torch.stack(rows).all(0) if rows else alive
            if attempt + 1 >= _FEWEST and bool(alive.all()):
                return self._flips_one(group)
        return False

    def _flips_one(self, group: Coupling) -> bool:
        """Whether the first unit alone may change sign."""
        first = torch.ones(group.width, dtype=torch.float64)
        first[0] = -1.0
        return self.stays(group, first)

    def again(self, attempt: int) -> _Trial:
        """The same module at other random weights and inputs; every other time with larger biases: units live."""
        random = torch.Generator().manual_seed(self.seed * _ATTEMPTS + attempt)
        perturb(self.parameters, self.origin, random)
        for p in self.parameters.values() if attempt % 2 else ():
            p.data += torch.rand(p.shape, generator=random, dtype=p.dtype) if p.dim() == 1 else 0.0
        origin = {name: p.detach().clone() for name, p in self.parameters.items()}
        return replace(self, origin=origin, inputs=fresh_inputs(*self.inputs, random))

    def inside(self, heads: Coupling) -> Iterator[Coupling]:
        """Permutations inside the blocks of a group: of query heads that share a key head."""
        sizes = {piece: piece.fold[1] if piece.fold else 1 for piece, _ in heads.parts}
        least, most = min(sizes.values()), max(sizes.values())
        wide = [piece for piece, size in sizes.items() if size == most]
        if most % least or len(wide) < 2 or most == least:
            return
        for k in range(heads.width):
            parts = [
                replace(p, start=p.start + k * most, stop=p.start + (k + 1) * most, fold=(most // least, least, 1))
                for p in wide
            ]
            group = Coupling("permutation", tuple((piece, 1) for piece in parts), most // least)
            if self.permutes(group):
                yield group

    def permutes(self, group: Coupling) -> bool:
        """Whether a swap and a cycle, which make all permutations, change no output."""
        order = torch.arange(group.width)
        swap = torch.cat([order[:2].flip(0), order[2:]])
        return self.stays(group, order.roll(1)) and (group.width == 2 or self.stays(group, swap))

    def stays(self, group: Coupling, element: Tensor) -> bool:
        """Whether an element of a group changes no output."""
        self._set({})
        with torch.no_grad(), Precise():
            before = outputs(self.module, *self.inputs)
            self._set(group.act(self.origin, element))
            after = outputs(self.module, *self.inputs)
        self._set({})
        return all(_close(a, b) for a, b in zip(before, after, strict=True))

    def _classes(self, pieces: list[Contraction], pair: tuple[int, int]) -> tuple[list[list[Contraction]], bool]:
        """Pieces along which two indices can be told apart only together; and whether no index was dead."""
        if len(pieces) < 2:
            return [], True
        even = dict(self.origin)
        for piece in pieces:
            even[piece.tensor] = 0.5 * (even[piece.tensor] + _swapped(even, piece, pair))
        slopes = self._gradients(even)
        alike = [p for p in pieces if p.tensor in slopes and self._split(slopes, p, pieces, pair) <= _SAME]
        moved = [p for p in alike if bool(p.rows(slopes)[list(pair)].any())]
        joined = {piece: {piece} for piece in moved}
        for piece in moved if len(moved) > 1 else []:
            noise = torch.randn(even[piece.tensor].shape, generator=torch.Generator().manual_seed(1)).double()
            odd = _part(noise, piece, pieces, pair)
            change = odd * (even[piece.tensor].norm() / odd.norm().clamp_min(1e-300))
            slopes = self._gradients(even | {piece.tensor: even[piece.tensor] + 0.3 * change})
            for other in moved:
                if self._split(slopes, other, pieces, pair) > _SAME and other not in joined[piece]:
                    union = joined[piece] | joined[other]
                    joined |= dict.fromkeys(union, union)
        groups = {frozenset(group): [piece for piece in pieces if piece in group] for group in joined.values()}
        return list(groups.values()), len(moved) == len(alike) or not self.real

    @property
    def real(self) -> bool:
        """Whether inputs are numbers: then other ones may wake what is dead, as other tokens are not drawn."""
        return any(isinstance(x, Tensor) and x.is_floating_point() for x in pytree.tree_leaves(self.inputs))

    def _split(self, slopes: State, piece: Contraction, pieces: list[Contraction], pair: tuple[int, int]) -> float:
        """How much of a gradient tells two indices of a piece apart."""
        slope = slopes[piece.tensor]
        return float(_part(slope, piece, pieces, pair).norm() / slope.norm().clamp_min(1e-300))

    def _gradients(self, state: State) -> State:
        """Those of one random linear function of the outputs, always the same one."""
        random = torch.Generator().manual_seed(0)
        self._set(state)
        with Precise():
            values = [v for v in outputs(self.module, *self.inputs) if v.requires_grad]
        if not values:
            raise InputError(f"{type(self.module).__name__} returns no floating point tensor that its parameters move")
        loss = torch.stack([(v * torch.randn(v.shape, generator=random, dtype=v.dtype)).sum() for v in values]).sum()
        slopes = torch.autograd.grad(loss, list(self.parameters.values()), allow_unused=True)
        self._set({})
        return {name: g for name, g in zip(self.parameters, slopes, strict=True) if g is not None}

    def _set(self, state: State) -> None:
        for name, x in (self.origin | state).items():
            self.parameters[name].data.copy_(x)


def _part(x: Tensor, piece: Contraction, pieces: list[Contraction], pair: tuple[int, int]) -> Tensor:
    """What changes sign when two indices of one piece are swapped, and stays when those of the others are."""
    for other in pieces:
        if other.tensor == piece.tensor and other != piece:
            x = 0.5 * (x + _swapped({piece.tensor: x}, other, pair))
    return 0.5 * (x - _swapped({piece.tensor: x}, piece, pair))


def _swapped(state: State, piece: Contraction, pair: tuple[int, int]) -> Tensor:
    rows = piece.rows(state).clone()
    rows[list(pair)] = rows[list(pair[::-1])]
    return put(state[piece.tensor], piece, rows)


def _left(pieces: Iterable[Contraction], found: list[Coupling]) -> list[Contraction]:
    """Pieces of axes of which no index is permuted so far."""
    taken = {(piece.tensor, piece.axis) for group in found for piece, _ in group.parts}
    return [piece for piece in pieces if (piece.tensor, piece.axis) not in taken]


def _counts(pieces: list[Contraction], shapes: Shapes) -> list[int]:
    """Numbers of blocks that at least two axes can be read in, most first."""
    lengths = [piece.length(shapes[piece.tensor]) for piece in pieces]
    counts = {n for length in set(lengths) for n in divisors(length)[1:] if n <= _LARGEST}
    return sorted((n for n in counts if sum(length % n == 0 for length in lengths) > 1), reverse=True)


def _read(pieces: Sequence[Contraction], count: int, shapes: Shapes) -> list[Contraction]:
    """Pieces of this length, and longer ones in so many blocks."""
    read = []
    for piece in pieces:
        length = piece.length(shapes[piece.tensor])
        if length % count == 0:
            read.append(piece if length == count else blocks(piece, count, shapes))
    return read


def _close(a: Tensor, b: Tensor) -> bool:
    return float((a - b).abs().max()) <= _SAME * max(1e-300, float(a.abs().max()))
