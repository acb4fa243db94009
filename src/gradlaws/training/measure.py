"""One recorded step: every law, every tensor, with no more float64 copies at a time than neighbouring laws share."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from gradlaws.laws.law import Law
from gradlaws.training.drift import Drift, relative, step_drift
from gradlaws.training.formula import Formula
from gradlaws.training.names import Live, entering, touched
from gradlaws.training.outside import cosine
from gradlaws.training.shards import is_sharded, size
from gradlaws.training.step import Before, Move, copied, groups_of, move

Owner = tuple[torch.optim.Optimizer, Formula]

IDENTITY = 2e3
"""Units of precision up to which <grad h, g> counts as zero: what autograd rounds off."""

FORMULA = 8.0
"""Units of precision of weights and update up to which an update counts as the optimizer's formula."""

_PARALLEL = 0.9
"""Cosine from which on an update is a multiple of the formula's."""

_QUIET = 1e-3
"""A gradient smaller than this part of all gradients is compared with that part: it may be rounding only."""

_NULL, _MUCH = 3e-3, 20.0
"""Factors that explain a broken identity leave next to nothing of the parts, and little of the breach itself."""


@dataclass(frozen=True, slots=True)
class TensorReading:
    """What one tensor did in one step; sizes are Euclidean.

    Args:
        live: the parameter.
        listed: how often the optimizer holds it.
        has_grad: whether there was a gradient.
        moved: whether it changed at all.
        decay: learning rate times weight decay.
        grad: size of its gradient, relative to that of all.
        error: size of the part of the update that the optimizer's formula does not explain, relative to the formula's.
        rounding: whether the precision of the weights explains it.
        ratio: of the update to the formula's, along it.
        scaled: cosine of the error and the weights.
        factor: that the weights were multiplied by, if `scaled` is one.
        epsilon: of its precision.
        finite: whether weights, gradient and update are numbers still; if not, the others say nothing.
    """

    live: Live
    listed: int
    has_grad: bool
    moved: bool
    decay: float
    grad: float
    error: float
    rounding: bool
    ratio: float
    scaled: float
    factor: float
    epsilon: float
    finite: bool = True


@dataclass(frozen=True, eq=False, slots=True)
class LawReading:
    """What one law did in one step.

    Args:
        drift: the split of its change.
        identity: tier (a), with gradients that are rounding only compared with all gradients.
        epsilon: of the coarsest precision of its tensors.
        rescaled: factors of the gradients of its tensors, the largest one 1, with which the broken identity would
            hold; empty if it holds, or if there are none.
    """

    drift: Drift
    identity: float
    epsilon: float
    rescaled: Mapping[str, float]

    @property
    def broken(self) -> bool:
        """Whether the law is no law of this gradient."""
        return self.identity > IDENTITY * self.epsilon


@dataclass(frozen=True, eq=False, slots=True)
class Reading:
    """One recorded step: the laws that had their turn, by number, and their tensors by name."""

    step: int
    laws: Mapping[int, LawReading]
    tensors: Mapping[str, TensorReading]


@dataclass(frozen=True, eq=False, slots=True)
class Probe:
    """The copies that are taken before a step.

    Args:
        step: number of the step.
        laws: to be measured, by number.
        before: the copies by name.
        owners: the optimizer of each tensor, by name, and its formula.
        everything: size of all gradients of the model's laws together.
    """

    step: int
    laws: Mapping[int, Law]
    before: Mapping[str, Before]
    owners: Mapping[str, Owner]
    everything: float

    @staticmethod
    def take(step: int, laws: Mapping[int, Law], owners: Sequence[Owner], live: Mapping[str, Live]) -> Probe:
        """Copy what the laws touch, and no more."""
        names = dict.fromkeys(name for law in laws.values() for name in touched(law))
        held = [groups_of(optimizer) for optimizer, _ in owners]
        before, owner = {}, {}
        for name in names:
            parameter = live[name].parameter
            having = [place for place, groups in enumerate(held) if id(parameter) in groups]
            place = having[0] if having else 0
            owner[name] = owners[place]
            listed = sum(held[other][id(parameter)][1] for other in having)
            before[name] = copied(live[name], held[place].get(id(parameter)), *owners[place], listed)
        grads = [one.parameter.grad for one in live.values() if one.parameter.grad is not None]
        return Probe(step, laws, before, owner, size(grads))

    def read(self) -> Reading:
        """Compare with what the step has made of it."""
        everything = self.everything
        kept = self._kept()
        moves: dict[str, Move] = {}
        tensors: dict[str, TensorReading] = {}
        found = {}
        for number, law in self.laws.items():
            names = touched(law)
            for name in names:
                if name not in moves:
                    moves[name] = move(self.before[name], *self.owners[name])
                if name not in tensors:
                    tensors[name] = tensor_reading(self.before[name], moves[name], everything)
            found[number] = law_reading(law, moves, names, self._epsilon(names), everything)
            moves = {name: one for name, one in moves.items() if name in kept[number]}
        return Reading(self.step, found, tensors)

    def _kept(self) -> dict[int, set[str]]:
        """What to keep after each law: whatever is used again, but of sharded tensors only those of the next law."""
        numbers, kept, later = list(self.laws), {}, set[str]()
        for number, following in reversed(list(zip(numbers, [*numbers[1:], None], strict=True))):
            if following is not None:
                now = set(touched(self.laws[following]))
                later = now | {name for name in later if not is_sharded(self.before[name].theta)}
            kept[number] = later
        return kept

    def _epsilon(self, names: Sequence[str]) -> float:
        return max(torch.finfo(self.before[name].theta.dtype).eps for name in names)


def tensor_reading(before: Before, moved: Move, everything: float) -> TensorReading:
    """Compare an update with the optimizer's formula.

    Args:
        before: the copies.
        moved: the step.
        everything: size of all gradients together.
    """
    epsilon = torch.finfo(before.theta.dtype).eps
    update, grad = float(moved.update.norm()), float(moved.grad.norm())
    error, rounding, ratio, scaled, factor = 0.0, True, 1.0, 0.0, 1.0
    finite = math.isfinite(update) and math.isfinite(grad)
    if moved.error is not None and finite:
        rest = float(moved.error.norm())
        expected = sum(float(term.norm()) for term in moved.parts.terms)
        theta = float(moved.theta.norm())
        rounding = rest <= FORMULA * epsilon * (theta + update + FORMULA * expected)
        error = rest / expected if expected else (0.0 if rounding else 1.0)
        if not rounding:
            formula = moved.update - moved.error
            along = float(formula.square().sum())
            ratio = float((moved.update * formula).sum()) / along if along else 0.0
            ratio *= cosine(moved.update, formula) > _PARALLEL
            scaled = cosine(moved.error, moved.theta + formula)
            factor = 1 + scaled * rest / (float((moved.theta + formula).norm()) or 1.0)
    return TensorReading(
        live=before.live,
        listed=before.listed,
        has_grad=before.grad is not None,
        moved=update > 0,
        decay=float(before.options.get("lr", 0.0)) * float(before.options.get("weight_decay", 0.0) or 0.0),
        grad=grad / everything if everything else 0.0,
        error=error,
        rounding=rounding,
        ratio=ratio,
        scaled=scaled,
        factor=factor,
        epsilon=epsilon,
        finite=finite,
    )


def law_reading(
    law: Law, moves: Mapping[str, Move], names: Sequence[str], epsilon: float, everything: float
) -> LawReading:
    """The drift of a law, and whether it is one.

    Args:
        law: over `names`.
        moves: of at least those tensors.
        names: of its tensors.
        epsilon: of their precision.
        everything: size of all gradients together.
    """
    drift = step_drift(law, moves, names)
    length = drift.scale ** (1 - 1 / law.degree) if drift.scale else 0.0
    identity = relative(drift.slope, max(drift.steepness, _QUIET * everything * length))
    broken = identity > IDENTITY * epsilon
    return LawReading(drift, identity, epsilon, _rescaled(law, moves) if broken else {})


def _rescaled(law: Law, moves: Mapping[str, Move]) -> dict[str, float]:
    """Factors of the gradients, one for each tensor, that a broken identity comes from.

    If the gradient of tensor t was multiplied by s_t, then the parts <grad h, g_t> of the derivative, as vectors over
    the bundle, are dependent with coefficients 1 / s_t: one singular value of few is zero, with a positive vector.
    """
    parts = {}
    for name in entering(law):
        own = {n: moves[n].grad if n == name else torch.zeros_like(moves[n].grad) for n in touched(law)}
        parts[name] = law.derivative({n: moves[n].theta for n in own}, own)
    largest = max((float(part.norm()) for part in parts.values()), default=0.0)
    parts = {name: part for name, part in parts.items() if float(part.norm()) > 1e-6 * largest}
    if len(parts) < 2 or law.count <= len(parts):
        return {}
    sizes = torch.stack([part.norm() for part in parts.values()])
    matrix = torch.stack(list(parts.values())) / sizes[:, None]
    return _positive_null(matrix, sizes, list(parts))


def _positive_null(matrix: Tensor, sizes: Tensor, names: list[str]) -> dict[str, float]:
    vectors, values, _ = torch.linalg.svd(matrix, full_matrices=False)
    inverse = vectors[:, -1] / sizes
    inverse = inverse * inverse.sum().sign()
    breach = float((sizes @ matrix).norm() / sizes.norm())
    if float(values[-1]) > _NULL * min(float(values[0]), _MUCH * breach) or bool((inverse <= 0).any()):
        return {}
    factors = (inverse.min() / inverse).tolist()
    return dict(zip(names, factors, strict=True))
