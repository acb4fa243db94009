"""Finds the couplings of a real module of any size from a few of its own gradients, in float64.

If a coupling is a symmetry, its infinitesimal elements are orthogonal to every gradient. Axes of equal length (whole,
in parts, folded) are tried with unknown powers; every index gives an equation for each gradient, so a handful suffices,
and the solutions are small integers. Nothing is known of the architecture. Whoever acts checks the outputs afterwards.
"""

from __future__ import annotations

import warnings
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import torch
from torch import Tensor, nn

from gradlaws.errors import InputError
from gradlaws.exact.ring import Reals
from gradlaws.laws.contraction import Contraction
from gradlaws.laws.observe import Seen
from gradlaws.laws.pieces import Groups, axes, divisors, folded, parted, total, whole
from gradlaws.laws.structured import Probe
from gradlaws.models.family import Shapes, size
from gradlaws.symmetry.coupling import Coupling
from gradlaws.symmetry.hold import holding
from gradlaws.symmetry.trial import arguments, duplicate_of, fresh_inputs, outputs, perturb, refuse_module

_FEWEST, _USUAL, _MOST, _SPARE = 2, 48, 400, 8
_CHEAP = 20_000_000
"""Numbers of all gradients up to which the usual count is taken: a unit must not be dead in all of them."""

_NUMBERS, _KEPT = 400_000_000, 50_000_000
_TOLERANCE, _NOISE = 1e-7, 1e-12
_LARGEST = 8
_FOLDS = 400
"""Readings of folded axes of one length: beyond them folds are left alone."""

Parts = tuple[tuple[Contraction, int], ...]


def couplings(
    module: nn.Module,
    example_inputs: Any,
    *,
    seed: int = 0,
    fewest: int = 0,
    listener: Callable[[Probe], None] | None = None,
) -> tuple[Coupling, ...]:
    """The continuous groups that act on shared indices of the parameters of a module.

    They are those of evaluation mode; found numerically, at perturbed weights, so that special values such as gains of
    one or biases of zero do not matter. The module is left as it is.

    Args:
        module: any torch module.
        example_inputs: a tensor, a tuple of positional or a dict of keyword arguments.
        seed: of the perturbation and the random losses.
        fewest: gradients that are taken at least.
        listener: is shown each of them.

    Raises:
        InputError: the module fails on the inputs.
    """
    refuse_module(module)
    state = {name: tuple(p.shape) for name, p in module.named_parameters() if p.requires_grad}
    if not state:
        raise InputError(f"{type(module).__name__} has no parameters to train")
    seen = Seen(state, defaultdict(list), defaultdict(list), {})
    count, probes = max(fewest, _wanted(state)), list[Probe]()
    keep = max(1, min(count, _KEPT // size(state)))
    for probed in random_gradients(module, example_inputs, count, torch.Generator().manual_seed(seed)):
        seen.add(probed)
        if listener:
            listener(probed)
        probes = [*probes, probed][-keep:]
    _, every = seen.frozen_and_moving(frozenset(state))
    moving = [axis for axis in every if not bool(axis.rows(seen.still).all(-1).any())]  # all of its slices were seen
    search = _Search(seen, probes)
    found = search.scalings(moving)
    groups = (*(search.widened(parts, width) for parts, width in found), *search.orthogonal(moving, found))
    kept = holding(module, example_inputs, groups, seed)
    wide = [g for g in groups if g.group in ("gl", "complex") and g not in kept]  # units that were open at all inputs
    numbers = [Coupling("positive", g.parts, g.width) for g in wide]
    return (*kept, *holding(module, example_inputs, numbers, seed))


def _wanted(state: Shapes) -> int:
    """As many gradients as the most axes of one length ask for, while that is affordable."""
    every = axes(state)
    readings = whole(every, state), parted(every, every, state), folded(every, state)
    groups = [item for reading in readings for item in reading.items()]
    wanted = max([-(-(len(group) + _SPARE) // length) for length, group in groups], default=_FEWEST)
    affordable = min(_MOST, _NUMBERS // size(state))
    return max(_FEWEST, min(_USUAL, _CHEAP // size(state)), min(wanted, affordable))


def random_gradients(
    module: nn.Module, example_inputs: Any, count: int, random: torch.Generator, loss_kind: str = "any"
) -> Iterator[Probe]:
    """Gradients of random linear functions of the outputs on random inputs, at perturbed weights, in float64.

    With ``cross_entropy`` the functions are those that see no constant along the last axis.
    """
    args, kwargs = arguments(example_inputs)
    with warnings.catch_warnings(), torch.enable_grad():
        warnings.simplefilter("ignore")
        duplicate = duplicate_of(module)
        parameters = {name: p for name, p in duplicate.named_parameters() if p.requires_grad}
        origin = {name: p.detach() for name, p in module.named_parameters() if p.requires_grad}
        for _ in range(count):
            perturb(parameters, origin, random)
            theta = {name: p.detach().unsqueeze(0) for name, p in parameters.items()}
            some_args, some_kwargs = fresh_inputs(args, kwargs, random)
            values = [v for v in outputs(duplicate, some_args, some_kwargs) if v.requires_grad]
            if not values:
                raise InputError(f"{type(module).__name__} returns no floating point tensor that its parameters move")
            along = [torch.randn(v.shape, generator=random, dtype=v.dtype) for v in values]
            if loss_kind == "cross_entropy":
                along = [a - a.mean(-1, keepdim=True) for a in along]
            loss = sum((v * a).sum() for v, a in zip(values, along, strict=True))
            gradients = torch.autograd.grad(loss, list(parameters.values()), allow_unused=True)  # type: ignore[arg-type]
            velocity = {
                name: torch.zeros_like(theta[name]) if g is None else g.unsqueeze(0)
                for name, g in zip(parameters, gradients, strict=True)
            }
            yield Probe(theta, velocity, Reals())  # type: ignore[arg-type]


@dataclass(frozen=True, eq=False, slots=True)
class _Search:
    """What is orthogonal to every gradient seen."""

    seen: Seen
    probes: list[Probe]

    def scalings(self, moving: list[Contraction]) -> list[tuple[Parts, int]]:
        """Powers for whole axes, then for parts, then for folds of what is left."""
        state = self.seen.state
        found = self._solve(whole(moving, state))
        for length, group in parted(_left(moving, found), moving, state).items():
            pieces = [p for p in group if p in moving or p in _left(group, found)]
            found += [b for b in self._solve({length: pieces}) if any(not p.whole and p not in moving for p, _ in b[0])]
        for length, group in folded(_left(moving, found), state).items():
            if len(group) <= _FOLDS:
                found += self._solve({length: _left(group, found)})
        first = {piece.tensor: piece for piece in reversed(_left(moving, found))}
        pairs = self._solve({1: [total(piece, state) for piece in first.values()]})
        together = [{piece.tensor for piece, _ in parts} for parts, _ in found]
        alone = [pair for pair in pairs if len(pair[0]) == 2]
        return found + [p for p in alone if {piece.tensor for piece, _ in p[0]} not in together]

    def _solve(self, groups: Groups) -> list[tuple[Parts, int]]:
        found: list[tuple[Parts, int]] = []
        for length, pieces in groups.items():
            if not pieces:
                continue
            columns = self.seen.columns(self.seen.norms, pieces, Reals())  # type: ignore[arg-type]
            scale = columns.norm(dim=0)
            alive = (scale > _NOISE * scale.max()).nonzero().squeeze(1).tolist()
            if len(columns) < len(alive) + 2:
                continue
            kept = [pieces[i] for i in alive]
            for vector in integers(columns[:, alive] / scale[alive].max()):
                parts = tuple((piece, c) for piece, c in zip(kept, vector, strict=True) if c)
                if {c > 0 for _, c in parts} == {True, False} and not _overlap(parts):
                    found.append((parts, length))
        return found

    def widened(self, parts: Parts, width: int) -> Coupling:
        """Matrices in the fewest blocks that are still a symmetry; else numbers, complex ones where pairs rotate."""
        parts = parts if parts[0][1] > 0 else tuple((piece, -c) for piece, c in parts)
        if {abs(c) for _, c in parts} == {1}:
            proper = divisors(width)[:-1]
            finest = [h for h in proper if not any(h < k and k % h == 0 for k in proper)]
            if any(self._holds(parts, width, heads) for heads in finest):  # blocks of blocks stay if blocks do
                heads = next(h for h in proper if self._holds(parts, width, h))
                return Coupling("gl", parts, width, heads)
            if all(piece.fold and piece.fold[1] % 2 == 0 for piece, _ in parts) and self._rotates(parts):
                return Coupling("complex", parts, width)
        return Coupling("positive", parts, width)

    def orthogonal(self, moving: list[Contraction], found: list[tuple[Parts, int]]) -> list[Coupling]:
        """Rotations of whole axes that no scaling goes with."""
        result = []
        for length, pieces in whole(_left(moving, found), self.seen.state).items():
            if not 1 < length <= 4096:
                continue
            columns = torch.stack([self._skew(piece, length) for piece in pieces], 1)
            scale = columns.norm(dim=0)
            alive = (scale > _NOISE * scale.max()).nonzero().squeeze(1).tolist()
            if len(columns) < len(alive) + 2:
                continue
            kept = [pieces[i] for i in alive]
            for vector in integers(columns[:, alive] / scale.max()):
                parts = tuple((piece, 1) for piece, c in zip(kept, vector, strict=True) if c)
                if {abs(c) for c in vector if c} == {1} and len(parts) > 1 and len({c for c in vector if c}) == 1:
                    result.append(Coupling("orthogonal", parts, length))
        return result

    def _skew(self, piece: Contraction, length: int) -> Tensor:
        """``(T V^T - V T^T) u`` for every gradient V: zero in the sum for what rotates together."""
        u = torch.randn(length, 1, generator=torch.Generator().manual_seed(length), dtype=torch.float64)
        rows = []
        for probed in self.probes:
            t, v = piece.rows(probed.theta)[0], piece.rows(probed.velocity)[0]
            rows.append((t @ (v.mT @ u) - v @ (t.mT @ u)).squeeze(1))
        return torch.cat(rows)

    def _holds(self, parts: Parts, width: int, heads: int) -> bool:
        """Whether Gram matrices in so many blocks are conserved, seen by one random vector."""
        u = torch.randn(heads, width // heads, 1, generator=torch.Generator().manual_seed(width), dtype=torch.float64)
        for probed in self.probes:
            total, size = torch.zeros_like(u), 0.0
            for piece, c in parts:
                t, v = (piece.rows(x)[0].unflatten(0, (heads, -1)) for x in (probed.theta, probed.velocity))
                moved = t @ (v.mT @ u) + v @ (t.mT @ u)
                total, size = total + c * moved, size + float(moved.norm())
            if float(total.norm()) > _TOLERANCE * size:
                return False
        return True

    def _rotates(self, parts: Parts) -> bool:
        """Whether turning the pairs of folded axes together changes nothing."""
        for probed in self.probes:
            total, size = torch.zeros(1, dtype=torch.float64), 0.0
            for piece, _ in parts:
                assert piece.fold
                t, v = (piece.rows(x)[0] for x in (probed.theta, probed.velocity))
                t, v = (x.view(len(x), -1, 2, x.shape[1] // piece.fold[1]) for x in (t, v))
                moved = (t[:, :, 0] * v[:, :, 1] - t[:, :, 1] * v[:, :, 0]).flatten(1).sum(1)
                total, size = total + moved, size + float(moved.norm())
            if float(total.norm()) > _TOLERANCE * size:
                return False
        return True


def _overlap(parts: Parts) -> bool:
    """Whether two parts share entries of one axis."""
    for (a, _), (b, _) in combinations(parts, 2):
        apart = (a.stop is not None and a.stop <= b.start) or (b.stop is not None and b.stop <= a.start)
        if (a.tensor, a.axis) == (b.tensor, b.axis) and not apart:
            return True
    return False


def integers(columns: Tensor) -> list[tuple[int, ...]]:
    """A basis of the null vectors of a real matrix as small integers; those that are none are left out."""
    if not columns.shape[1]:
        return []
    norms = columns.norm(dim=0)
    _, values, right = torch.linalg.svd(columns / norms, full_matrices=len(columns) < columns.shape[1])
    rank = int((values > _TOLERANCE * max(1.0, float(values.max()))).sum())
    basis = (right[rank:] / norms).clone()
    reduced = _echelon(basis)
    found = []
    for row in reduced:
        for scale in range(1, _LARGEST + 1):
            whole_row = (row * scale).round()
            if float((row * scale - whole_row).abs().max()) < 1e-4 and float(whole_row.abs().max()) <= _LARGEST:
                found.append(tuple(int(c) for c in whole_row.tolist()))
                break
    return found


def _echelon(rows: Tensor) -> Tensor:
    """Reduced row echelon form with the largest pivots; the rows are independent."""
    rows = rows / rows.abs().amax(1, keepdim=True) if len(rows) else rows
    for i in range(len(rows)):
        k, column = divmod(int(rows[i:].abs().argmax()), rows.shape[1])
        rows[[i, i + k]] = rows[[i + k, i]]
        rows[i] = rows[i] / rows[i, column].clone()
        others = torch.arange(len(rows)) != i
        rows[others] -= rows[others][:, column : column + 1] * rows[i]
    return rows


def _left(pieces: list[Contraction], found: list[tuple[Parts, int]]) -> list[Contraction]:
    """Pieces of axes that are in no coupling so far."""
    taken = {(piece.tensor, piece.axis) for parts, _ in found for piece, _ in parts}
    return [piece for piece in pieces if (piece.tensor, piece.axis) not in taken]
