"""Balance: the point of the orbit with the least norm, where every quadratic law of the groups is zero.

On the orbit of a linear action the squared norm is convex along one-parameter groups, and where it has a minimum all
moments vanish (Kempf, Ness 1979): ``|incoming|^2 = |outgoing|^2`` for each unit, ``W1 W1^T = W2^T W2`` for linear
layers. Each coupling has its minimum in closed form; they are visited in turn until all are balanced. For rectified
networks this is cross-layer equalisation (Nagel et al. 2019) with Euclidean norms. Shifts come last: where constants
change nothing, the least norm is where their sum, a linear law, is zero; where others take them back, least squares.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from gradlaws.errors import InputError
from gradlaws.progress import Progress
from gradlaws.symmetry.couple import couplings
from gradlaws.symmetry.coupling import Coupling, put
from gradlaws.symmetry.group_action import State
from gradlaws.symmetry.hold import holding
from gradlaws.symmetry.shift import Loss, Shift, ShiftSearch, refuse_unknown, shifts
from gradlaws.symmetry.trial import arguments, outputs, refuse_module

_SWEEPS = 500
_SINGULAR = 1e-12
_NEWTON = 60
_ALLOWED = {torch.float64: 1e-9, torch.float32: 1e-3}
"""Relative change of the outputs beyond which the weights are put back."""


@dataclass(frozen=True, slots=True)
class Balance:
    """What balancing did.

    Args:
        couplings: the groups that were used.
        shifts: constants along indices that were used too.
        norm_before: Euclidean norm of all parameters.
        norm_after: the same, afterwards.
        imbalance_before: largest relative size of a law, between 0 and 1.
        imbalance_after: the same, afterwards.
        unattained: group elements without a least norm (dead units, matrices without full rank), left as they were.
        change: largest change of an output on the example inputs, relative to the largest output.
        sweeps: how often every coupling was visited.
        seconds: wall time.
    """

    couplings: tuple[Coupling, ...]
    shifts: tuple[Shift, ...]
    norm_before: float
    norm_after: float
    imbalance_before: float
    imbalance_after: float
    unattained: int
    change: float
    sweeps: int
    seconds: float

    def __str__(self) -> str:
        rest = f", {self.unattained} elements have no least norm and stay" if self.unattained else ""
        more = f" and {len(self.shifts)} shifts taken out" if self.shifts else ""
        return (
            f"{len(self.couplings)} groups balanced{more} in {self.sweeps} sweeps, {self.seconds:.1f} s: norm "
            f"{self.norm_before:.6g} -> {self.norm_after:.6g}, largest law {self.imbalance_before:.1e} -> "
            f"{self.imbalance_after:.1e}, outputs changed by {self.change:.1e}{rest}"
        )


def balance_(
    module: nn.Module,
    example_inputs: Any,
    *,
    groups: Sequence[Coupling] | None = None,
    loss: Loss = "any",
    tolerance: float = 1e-9,
    seed: int = 0,
    on_progress: Progress | None = None,
) -> Balance:
    """Move a module, in place, to the point of least norm that its symmetries can reach; its function stays the same.

    Args:
        module: any torch module; groups are found in evaluation mode.
        example_inputs: a tensor, a tuple of positional or a dict of keyword arguments.
        groups: couplings to use; found by `gradlaws.symmetry.couple.couplings` if not given, and shifts by
            `gradlaws.symmetry.shift.shifts`.
        loss: for ``cross_entropy`` the logits of a row may all move by the same: the softmax stays, the logits do not.
        tolerance: largest relative size of a law that is left.
        seed: of the search for groups.
        on_progress: hears the name of a stage and the fraction done.

    Raises:
        InputError: the module fails on the inputs, the loss is unknown, or the outputs change: then the weights are
            those of before.
    """
    started = time.perf_counter()
    if not tolerance > 0:
        raise InputError(f"tolerance {tolerance} is not positive: expected a small number such as 1e-9")
    refuse_module(module)
    args, kwargs = arguments(example_inputs)
    with evaluating(module):
        before = outputs(module, args, kwargs)
        used, moves = _found(module, example_inputs, loss, seed) if groups is None else (tuple(groups), ())
        parameters = dict(module.named_parameters())
        names = dict.fromkeys([*(n for g in used for n in g.tensors), *(n for s in moves for n in s.read)])
        found = balanced({n: parameters[n] for n in names}, used, tolerance, on_progress, moves)
        norms = [_norm(parameters)]
        change = write(module, found.state, before, args, kwargs, loss)
    return Balance(
        used,
        moves,
        norms[0],
        _norm(parameters),
        found.before,
        found.after,
        found.unattained,
        change,
        found.sweeps,
        time.perf_counter() - started,
    )


def _found(
    module: nn.Module, example_inputs: Any, loss: Loss, seed: int
) -> tuple[tuple[Coupling, ...], tuple[Shift, ...]]:
    """Groups and shifts, from the same gradients where they see the same loss."""
    refuse_unknown(loss)
    if loss != "any":
        moves = shifts(module, example_inputs, loss=loss, seed=seed)
        return couplings(module, example_inputs, seed=seed), moves
    search = ShiftSearch(module)
    used = couplings(module, example_inputs, seed=seed, fewest=search.wanted, listener=search.add)
    return used, holding(module, example_inputs, tuple(search.found()), seed)


@dataclass(frozen=True, eq=False, slots=True)
class Balanced:
    """New values of parameters in float64, and how far from balance they and the old ones are."""

    state: State
    before: float
    after: float
    unattained: int
    sweeps: int


def balanced(
    state: State,
    groups: Sequence[Coupling],
    tolerance: float = 1e-9,
    on_progress: Progress | None = None,
    moves: Sequence[Shift] = (),
) -> Balanced:
    """The balanced values of named parameters, which are left as they are."""
    now = {name: x.detach().to("cpu", torch.float64) for name, x in state.items()}
    sizes = {}
    first = worst = 0.0
    sweep = 0
    for sweep in range(1, _SWEEPS + 1):
        worst = 0.0
        for i, group in enumerate(groups):
            element, size, lost = _best(group, now)
            sizes[i] = lost
            worst = max(worst, size)
            if size > tolerance:
                moved: State = {}
                for piece, c in group.parts:
                    x = moved.get(piece.tensor, now[piece.tensor])
                    moved[piece.tensor] = put(x, piece, group.moved(piece.rows({piece.tensor: x}), c, element, piece))
                now |= moved
        for move in moves:
            t, steep = move.best(now)
            worst = max(worst, steep)
            if steep > tolerance:
                now |= move.act(now, t)
        first = worst if sweep == 1 else first
        if on_progress:
            on_progress("balancing", sweep / _SWEEPS)
        if worst <= tolerance:
            break
    return Balanced(now, first, worst, sum(sizes.values()), sweep)


def _best(group: Coupling, state: State) -> tuple[Tensor, float, int]:
    """The element that makes the norm least, the relative size of the law, and how many elements have no least norm."""
    rows = [(piece.rows(state), c) for piece, c in group.parts]
    if group.group in ("positive", "complex"):
        return _best_scaling(group, [(x.square().sum(1), c) for x, c in rows])
    if group.group == "gl":
        sides = [torch.zeros(group.shape, dtype=torch.float64) for _ in range(2)]
        for x, c in rows:
            blocks = x.reshape(group.heads, -1, x.shape[1])
            sides[c < 0] += blocks @ blocks.mT
        return _best_matrix(sides[0], sides[1], _share(group))
    return torch.eye(group.shape[-1], dtype=torch.float64).expand(group.shape), 0.0, 0


def _best_scaling(group: Coupling, norms: list[tuple[Tensor, int]]) -> tuple[Tensor, float, int]:
    """Least ``sum of n_c d^(2c)``: Newton's method in log d, which is convex."""
    up, down = (sum(n for n, c in norms if (c > 0) == sign) for sign in (True, False))
    assert isinstance(up, Tensor)
    assert isinstance(down, Tensor)
    usable = (up > _SINGULAR * down) & (down > _SINGULAR * up)
    t = torch.zeros_like(up)
    law = sum(c * n for n, c in norms)
    total = sum(abs(c) * n for n, c in norms)
    size = float((law.abs() / total)[usable].max()) if bool(usable.any()) else 0.0  # type: ignore[union-attr]
    for _ in range(_NEWTON):
        slope = sum(2 * c * n * torch.exp(2 * c * t) for n, c in norms)
        bend = sum(4 * c * c * n * torch.exp(2 * c * t) for n, c in norms)
        step = torch.where(usable, slope / bend, torch.zeros_like(t)).clamp(-1, 1)
        t = t - step
        if float(step.abs().max()) < 1e-15:
            break
    element = torch.exp(t * _share(group))
    if group.group == "complex":
        element = element.to(torch.complex128)
    return element, size, int((~usable).sum())


def _share(group: Coupling) -> float:
    """How much of the way to go: half where both axes of one tensor move, as in recurrent layers."""
    return 1.0 if len({(p.tensor, p.axis) for p, _ in group.parts}) == len(group.tensors) else 0.5


def _best_matrix(up: Tensor, down: Tensor, share: float) -> tuple[Tensor, float, int]:
    """Least ``tr(P up) + tr(P^-1 down)`` over P = g^T g: a geometric mean of matrices (Pusz, Woronowicz 1975)."""
    values, vectors = torch.linalg.eigh(up)
    other = torch.linalg.eigvalsh(down)
    usable = (values[:, 0] > _SINGULAR * values[:, -1]) & (other[:, 0] > _SINGULAR * other[:, -1])
    sizes = up.flatten(1).norm(dim=1) + down.flatten(1).norm(dim=1)
    law = (up - down).flatten(1).norm(dim=1) / sizes.clamp_min(1e-300)
    size = float(law[usable].max()) if bool(usable.any()) else 0.0
    safe = values.clamp_min(1e-300)
    root, inverse = (_from(vectors, safe.pow(power)) for power in (0.5, -0.5))
    middle, turned = torch.linalg.eigh(root @ down @ root)
    p = inverse @ _from(turned, middle.clamp_min(0).sqrt()) @ inverse
    values, vectors = torch.linalg.eigh(p)
    g = _from(vectors, values.clamp_min(1e-300).pow(share / 2))
    identity = torch.eye(g.shape[-1], dtype=g.dtype).expand_as(g)
    return torch.where(usable.view(-1, 1, 1), g, identity), size, int((~usable).sum())


def _from(vectors: Tensor, values: Tensor) -> Tensor:
    return (vectors * values.unsqueeze(-2)) @ vectors.mT


def write(
    module: nn.Module,
    state: State,
    before: list[Tensor],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    loss: Loss = "any",
) -> float:
    """Put new values into a module; if its outputs change, the old ones are put back, bit by bit.

    Returns:
        The largest change of an output, relative to the largest output.

    Raises:
        InputError: the outputs change.
    """
    parameters = dict(module.named_parameters())
    kept = {name: parameters[name].detach().clone() for name in state}
    try:
        with torch.no_grad():
            for name, x in state.items():
                parameters[name].copy_(x)
        after = outputs(module, args, kwargs)
        if loss == "cross_entropy":
            before, after = ([x - x.mean(-1, keepdim=True) for x in values] for values in (before, after))
        change = _change(before, after)
        allowed = min(_ALLOWED.get(p.dtype, 0.1) for p in parameters.values()) if parameters else 0.0
        if not change <= allowed:
            raise InputError(
                f"the outputs of {type(module).__name__} would change by {change:.1e} of their size: the weights are "
                "as before; in this precision, or in the present mode, the groups found are no symmetries"
            )
    except BaseException:
        with torch.no_grad():
            for name, x in kept.items():
                parameters[name].copy_(x)
        raise
    return change


def _change(before: list[Tensor], after: list[Tensor]) -> float:
    size = max((float(a.detach().abs().max()) for a in before), default=0.0) or 1.0
    return max((float((a - b).detach().abs().max()) for a, b in zip(before, after, strict=True)), default=0.0) / size


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Evaluation mode and no gradients, for a while."""
    modes = {child: child.training for child in module.modules()}
    module.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for child, mode in modes.items():
            child.training = mode


def _norm(parameters: dict[str, nn.Parameter]) -> float:
    return float(sum(float(p.detach().double().square().sum()) for p in parameters.values()) ** 0.5)
