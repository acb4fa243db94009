"""Shifts of a real module: constants along an index that change nothing, or that slices of other tensors take back.

A key bias adds the same to all scores of a query; normalisations subtract means; a constant in a value bias passes
through attention, and the output bias takes it back: ``b' = t, c' = c - W t``. Those without slices carry the linear
laws of gradient flow, each the sum of some entries; the others carry none. Along all of them the norm has one minimum,
by least squares.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from gradlaws.errors import InputError
from gradlaws.laws.contraction import Contraction
from gradlaws.laws.law import signed_sum
from gradlaws.laws.pieces import Groups, axes, parted, total, whole
from gradlaws.laws.structured import Probe
from gradlaws.models.family import Shapes, size
from gradlaws.symmetry.couple import integers, random_gradients
from gradlaws.symmetry.coupling import put
from gradlaws.symmetry.group_action import GroupAction, State
from gradlaws.symmetry.hold import holding
from gradlaws.symmetry.trial import refuse_module

Loss = Literal["any", "cross_entropy"]
_FEWEST, _MOST, _SPARE, _NOISE, _ROUNDING = 3, 12, 8, 1e-10, 1e-12
_STEPS, _EXACT, _NUMBERS = 200, 1e-28, 2**25
_TABLE = 2**23
"""Numbers beyond which a tensor is left alone: a table of tokens, of which an example shows few."""


@dataclass(frozen=True, slots=True)
class Slices:
    """``T[i] += sum over k of t[k] S[i, k]``: a vector and one slice of a tensor for each index.

    Args:
        piece: the index k of S.
        axis: the index i of S.
        vector: T.
    """

    piece: Contraction
    axis: int
    vector: str

    def weighted(self, state: Mapping[str, Tensor], vector: Tensor) -> Tensor:
        """``sum over i of vector[i] S[i, k]`` for each k."""
        slots = [-1 if axis == self.axis else 1 for axis in range(self.piece.order)]
        return self.piece.rows({self.piece.tensor: state[self.piece.tensor] * vector.view(slots)}).sum(1)

    def matrix(self, state: Mapping[str, Tensor]) -> Tensor:
        """S with i first and k last, summed over the rest ``[i, k]``."""
        x = state[self.piece.tensor].movedim((self.axis, self.piece.axis), (0, -1))
        return x.reshape(x.shape[0], -1, x.shape[-1]).sum(1)[:, self.piece.start : self.piece.stop]


@dataclass(frozen=True, slots=True)
class Shift(GroupAction):
    """Adds ``t[k]`` along the index k of some tensors, and lets others take it back.

    Args:
        constants: where to add, each with a factor.
        slices: what takes it back, each with a factor.
        width: how many indices.
    """

    constants: tuple[tuple[Contraction, int], ...]
    slices: tuple[tuple[Slices, int], ...]
    width: int

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of an element."""
        return (self.width,)

    @property
    def linear(self) -> bool:
        """Whether it carries linear laws: one for each index."""
        return not self.slices

    @property
    def tensors(self) -> tuple[str, ...]:
        """What it moves."""
        return tuple(dict.fromkeys([*(p.tensor for p, _ in self.constants), *(s.vector for s, _ in self.slices)]))

    @property
    def read(self) -> tuple[str, ...]:
        """What it moves and what it takes slices of."""
        return tuple(dict.fromkeys([*self.tensors, *(s.piece.tensor for s, _ in self.slices)]))

    @property
    def text(self) -> str:
        """For example ``b1[k] + t, b2 - t W2[:,k]``."""
        added = [(c, f"t on {piece.slice('k')}") for piece, c in self.constants]
        taken = [(c, f"t {s.piece.slice('k')} on {s.vector}") for s, c in self.slices]
        return signed_sum([*added, *taken])

    def check(self, element: Tensor) -> Tensor:
        """The numbers t in float64.

        Raises:
            InputError: there are not as many as indices, or some are not finite.
        """
        if not isinstance(element, Tensor) or tuple(element.shape) != (self.width,):
            given = tuple(element.shape) if isinstance(element, Tensor) else type(element).__name__
            raise InputError(f"shift of shape {given}: {self.text} expects ({self.width},), one number for each index")
        if not bool(torch.isfinite(element).all()):
            raise InputError("the shift has entries that are not finite numbers")
        return element.detach().to(torch.float64)

    def act(self, state: Mapping[str, Tensor], element: Tensor) -> State:
        """New tensors for what moves, in the dtype of the old ones; the arithmetic is in float64.

        Raises:
            InputError: a tensor is missing, or the element does not fit.
        """
        element = self.check(element)
        if missing := set(self.read) - set(state):
            raise InputError(f"unknown parameter {min(missing)!r}: {self.text} acts on {', '.join(self.tensors)}")
        old = {name: state[name].detach().to("cpu", torch.float64) for name in self.read}
        moved = {name: old[name].clone() for name in self.tensors}
        for piece, c in self.constants:
            rows = piece.rows(moved)
            if len(rows) != self.width:
                raise InputError(f"{piece.tensor} has {len(rows)} indices: {self.text} expects {self.width}")
            moved[piece.tensor] = put(moved[piece.tensor], piece, rows + c * element.unsqueeze(1))
        for s, c in self.slices:
            moved[s.vector] = moved[s.vector] + c * (s.matrix(old) @ element)
        return {name: x.to(state[name].device, state[name].dtype) for name, x in moved.items()}

    def best(self, state: State) -> tuple[Tensor, float]:
        """The numbers t that make the norm least, and how steep it is before: 0 to 1, 0 where every law is zero."""
        slope = torch.zeros(self.width, dtype=torch.float64)
        diagonal = torch.zeros(self.width, dtype=torch.float64)
        for piece, c in self.constants:
            rows = piece.rows(state)
            slope += c * rows.sum(1)
            diagonal += c * c * rows.shape[1]
        own, taken = diagonal.clone(), dict[str, Tensor]()
        for s, c in self.slices:
            matrix = c * s.matrix(state)
            taken[s.vector] = taken[s.vector] + matrix if s.vector in taken else matrix
        for name, matrix in taken.items():
            slope += matrix.mT @ state[name]
            diagonal += matrix.square().sum(0)
        norm = sum(float(state[name].square().sum()) for name in self.tensors) ** 0.5
        steep = float((slope.abs() / diagonal.sqrt()).max()) / max(norm, 1e-300)
        return _least(own, list(taken.values()), diagonal, -slope), steep


def _least(own: Tensor, matrices: list[Tensor], diagonal: Tensor, right: Tensor) -> Tensor:
    """Solves ``(own + sum of M^T M) t = right``, positive definite, by conjugate gradients (Hestenes, Stiefel 1952)."""
    if not matrices:
        return right / own
    t, rest = torch.zeros_like(right), right
    toward = rest / diagonal
    fall = float(rest @ toward)
    start = fall
    for _ in range(min(_STEPS, 2 * len(right))):
        if fall <= _EXACT * start:
            break
        bent = own * toward
        for matrix in matrices:
            bent = bent + matrix.mT @ (matrix @ toward)
        step = fall / float(toward @ bent)
        t, rest = t + step * toward, rest - step * bent
        eased = rest / diagonal
        before, fall = fall, float(rest @ eased)
        toward = eased + (fall / before) * toward
    return t


def shifts(module: nn.Module, example_inputs: Any, *, loss: Loss = "any", seed: int = 0) -> tuple[Shift, ...]:
    """Constants along shared indices that change no output; found numerically, in evaluation mode.

    Vectors that take back are those of the module that holds the tensor, as a bias is. Rows that the example did not
    show are not moved by themselves.

    Args:
        module: any torch module.
        example_inputs: a tensor, a tuple of positional or a dict of keyword arguments.
        loss: for ``cross_entropy`` all logits of one row may move by the same, as the softmax does not see it.
        seed: of the random weights and losses.

    Raises:
        InputError: the module fails on the inputs, or the loss is unknown.
    """
    refuse_unknown(loss)
    refuse_module(module)
    search, random = ShiftSearch(module), torch.Generator().manual_seed(seed)
    for probed in random_gradients(module, example_inputs, search.wanted, random, loss):
        search.add(probed)
    found = tuple(search.found())
    return holding(module, example_inputs, found, seed) if loss == "any" else found


def refuse_unknown(loss: str) -> None:
    """See that a loss is known.

    Raises:
        InputError: it is not.
    """
    if loss not in ("any", "cross_entropy"):
        raise InputError(f"unknown loss {loss!r}: expected 'any' or 'cross_entropy'")


Term = Contraction | Slices


def _terms(state: Shapes) -> dict[int, list[Term]]:
    """By length: constants along whole axes, parts of vectors, totals; slices of tensors with a vector of theirs."""
    every = axes(state)
    vectors = [piece for piece in every if piece.order == 1]
    pieces: Groups = dict(whole(every, state))
    for length, found in parted(vectors, every, state).items():
        pieces[length] = list(dict.fromkeys([*pieces.get(length, []), *found]))
    totals = [total(piece, state) for piece in vectors]
    groups: dict[int, list[Term]] = {length: list(found) for length, found in pieces.items()}
    groups[1] = [*groups.get(1, []), *totals]
    for piece in every:
        groups[piece.length(state[piece.tensor])] += _slices(piece, state)
    return {length: terms for length, terms in groups.items() if terms}


def _slices(piece: Contraction, state: Shapes) -> list[Slices]:
    """Of a tensor, for each vector of the same module that is as long as another of its axes."""
    shape, place = state[piece.tensor], piece.tensor.rpartition(".")[0]
    vectors = [name for name, other in state.items() if len(other) == 1 and name.rpartition(".")[0] == place]
    return [
        Slices(piece, axis, name)
        for axis in range(piece.order)
        for name in vectors
        if piece.order > 1 and axis != piece.axis and state[name][0] == shape[axis]
    ]


class ShiftSearch:
    """What random gradients say of sums along axes.

    Args:
        module: whose parameters are asked about.
    """

    def __init__(self, module: nn.Module) -> None:
        small = ((name, p) for name, p in module.named_parameters() if p.requires_grad and p.numel() <= _TABLE)
        self.state = {name: tuple(p.shape) for name, p in small}
        self.groups = groups = _terms(self.state)
        self.columns: dict[int, list[Tensor]] = {length: [] for length in groups}
        self.sizes: dict[int, list[Tensor]] = {length: [] for length in groups}
        self.moved: dict[tuple[str, int], Tensor] = {}

    @property
    def wanted(self) -> int:
        """How many gradients."""
        unknown = max([-(-(len(terms) + _SPARE) // length) for length, terms in self.groups.items()], default=0)
        return max(2, min(_MOST, max(_FEWEST, unknown), _NUMBERS // max(1, size(self.state))))

    def add(self, probed: Probe) -> None:
        """One more gradient."""
        theta = {name: x[0] for name, x in probed.theta.items()}
        velocity = {name: probed.velocity[name][0] for name in self.state}
        rounding = _ROUNDING * max(float(x.abs().max()) for x in velocity.values())
        velocity = {name: torch.where(x.abs() > rounding, x, 0.0) for name, x in velocity.items()}
        norms = {name: float(x.norm()) for name, x in velocity.items()}
        for length, terms in self.groups.items():
            seen = [_column(term, theta, velocity, norms) for term in terms]
            self.columns[length].append(torch.stack([column for column, _ in seen], 1))
            self.sizes[length].append(torch.tensor([size for _, size in seen], dtype=torch.float64))
        for piece in axes(self.state):
            key, now = (piece.tensor, piece.axis), piece.rows(velocity).ne(0).any(1)
            self.moved[key] = self.moved[key] | now if key in self.moved else now

    def found(self) -> Iterator[Shift]:
        """Those of whole axes first; parts of what is left."""
        taken: set[tuple[str, int]] = set()
        for parts in (False, True):
            for length, terms in sorted(self.groups.items(), reverse=True):
                chosen = [i for i, term in enumerate(terms) if self._usable(term, parts, taken)]
                for shift in self._solved(length, chosen):
                    if any(not p.whole for p, _ in shift.constants) == parts:
                        taken |= {(p.tensor, p.axis) for p, _ in shift.constants}
                        yield shift

    def _usable(self, term: Term, parts: bool, taken: set[tuple[str, int]]) -> bool:
        if isinstance(term, Slices):
            return True
        if not (term.whole or parts) or ((term.tensor, term.axis) in taken and not term.fold):
            return False  # of what is taken, the total may change nothing at all
        part = self.moved[term.tensor, term.axis][term.start : term.stop]
        return bool(part.all()) or (not part.any() and self._is_bias(term))

    def _is_bias(self, piece: Contraction) -> bool:
        """Whether a vector that does nothing belongs to a tensor of which the same indices do something."""
        place = piece.tensor.rpartition(".")[0]
        if piece.order > 1 or piece.fold:
            return False
        others = [
            self.moved[name, axis][piece.start : piece.stop]
            for name, shape in self.state.items()
            for axis, length in enumerate(shape)
            if (name, axis) in self.moved
            and len(shape) > 1
            and name.rpartition(".")[0] == place
            and length == self.state[piece.tensor][0]
        ]
        return any(bool(other.all()) for other in others)

    def _zeros(self, constants: tuple[tuple[Contraction, int], ...]) -> State:
        return {piece.tensor: torch.zeros(self.state[piece.tensor], dtype=torch.float64) for piece, _ in constants}

    def _solved(self, length: int, chosen: Sequence[int]) -> Iterator[Shift]:
        if not chosen:
            return
        terms = [self.groups[length][i] for i in chosen]
        columns = torch.cat(self.columns[length])[:, list(chosen)]
        sizes = torch.stack(self.sizes[length])[:, list(chosen)].norm(dim=0)
        zero = columns.norm(dim=0) <= _NOISE * sizes
        for term, alone in zip(terms, zero.tolist(), strict=True):
            if alone and isinstance(term, Contraction):
                yield Shift(((term, 1),), (), length)
        alive = [i for i, alone in enumerate(zero.tolist()) if not alone]
        if not alive or len(columns) < len(alive) + 2:
            return
        for vector in integers(columns[:, alive] / columns.norm(dim=0).max()):
            parts = [(terms[i], c) for i, c in zip(alive, vector, strict=True) if c]
            constants = tuple((term, c) for term, c in parts if isinstance(term, Contraction))
            slices = tuple((term, c) for term, c in parts if isinstance(term, Slices))
            moved = {piece.tensor for piece, _ in constants} | {s.vector for s, _ in slices}
            if not constants or moved & {s.piece.tensor for s, _ in slices}:
                continue
            shift = Shift(constants, slices, length)
            if slices or any(bool(x.any()) for x in shift.act(self._zeros(constants), torch.ones(length)).values()):
                yield shift  # else its parts add up to nothing: a vector less all of its entries


def _column(term: Term, theta: State, velocity: State, norms: Mapping[str, float]) -> tuple[Tensor, float]:
    """The slope along each index, and how large it could be."""
    if isinstance(term, Slices):
        column = term.weighted(theta, velocity[term.vector])
        return column, norms[term.vector] * float(theta[term.piece.tensor].norm())
    rows = term.rows(velocity)
    return rows.sum(1), norms[term.tensor] * rows.shape[1] ** 0.5
