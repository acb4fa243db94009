"""Teleportation: jump along the orbit to where the gradient is larger, or the loss flatter, and train on from there.

The orbit is that of the couplings of a module, so its function stays the same for every input, for any batch size, and
with biases, convolutions and attention; or that of actions on one batch, so its outputs there stay the same (Zhao et
al. 2022, 2024; Armenta et al. 2020). Elements are exponentials; the objective is improved by gradient steps with
backtracking inside a ball of logarithms, for on a non-compact orbit the gradient has no largest norm.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.func import functional_call

from gradlaws.errors import InputError
from gradlaws.symmetry.along import Action, along
from gradlaws.symmetry.batch_action import BatchAction
from gradlaws.symmetry.group_action import State

Objective = Literal["gradient", "sharpness"]
Rule = Literal["search", "ascent"]
Loss = Callable[[nn.Module], Tensor]

_HALVINGS = 12
_RADII = (0.05, 0.1)
_DIRECTIONS = 4


@dataclass(frozen=True, slots=True)
class Teleported:
    """What one teleportation did.

    Args:
        objective_before: squared gradient norm, or average loss nearby.
        objective_after: the same, afterwards.
        loss_before: of the closure.
        loss_after: equal up to rounding.
    """

    objective_before: float
    objective_after: float
    loss_before: float
    loss_after: float


def teleport_(
    module: nn.Module,
    loss: Loss,
    groups: Sequence[Action],
    *,
    objective: Objective = "gradient",
    steps: int = 10,
    lr: float = 0.1,
    radius: float = 1.0,
    rule: Rule = "search",
    seed: int = 0,
    optimizer: torch.optim.Optimizer | None = None,
) -> Teleported:
    """Move a module along its symmetries, in place; its function, or its outputs on the batch, stay the same.

    Args:
        module: what is trained.
        loss: of a module: ``lambda m: criterion(m(x), y)``.
        groups: from `gradlaws.symmetry.couple.couplings`, or `gradlaws.symmetry.batch_action.batch_actions` for the
            batch that the loss is of.
        objective: ``gradient`` makes the squared norm of the gradient larger, ``sharpness`` the average loss at random
            points near by (at distances 0.05 and 0.1 times the norm of the parameters) smaller.
        steps: of the search.
        lr: first length of a step, in logarithms of group elements.
        radius: largest norm of such a logarithm, each group.
        rule: ``search`` halves a step until it helps; ``ascent`` takes every step, of `lr` times the slope of the
            objective, as published.
        seed: of the directions for sharpness.
        optimizer: its momenta are moved along, as gradients are.

    Raises:
        InputError: an option makes no sense, there is no group, or the loss is not that of the batch that an action
            keeps; the parameters stay as they were.
    """
    _refuse(groups, objective, rule, steps, lr, radius)
    parameters = {name: p for name, p in module.named_parameters() if p.requires_grad}
    value = _objective(module, loss, objective, parameters, seed)
    kept = {name: p.detach().clone() for name, p in parameters.items()}
    before_loss, first = float(loss(module).detach()), float(value(kept).detach())
    best, logs = first, _identity(groups, next(iter(parameters.values())).device)
    for _ in range(steps):
        improved = (_improved if rule == "search" else _ascended)(value, kept, groups, logs, best, lr, radius)
        if improved is None:
            break
        best, logs = improved
    logs = [log.detach() for log in logs]
    _put(parameters, along(kept, groups, logs))
    after_loss = float(loss(module).detach())
    if any(isinstance(group, BatchAction) for group in groups) and not _same(after_loss, before_loss, kept):
        _put(parameters, kept)
        raise InputError(
            f"the loss would change from {before_loss:.6g} to {after_loss:.6g}: expected a loss of the batch that the "
            "actions keep, without random numbers"
        )
    if optimizer is not None:
        _move_momenta(optimizer, parameters, groups, logs)
    sign = -1.0 if objective == "gradient" else 1.0
    return Teleported(sign * first, sign * best, before_loss, after_loss)


def _identity(groups: Sequence[Action], device: torch.device) -> list[Tensor]:
    """Logarithms of zero."""
    return [torch.zeros(g.shape, dtype=torch.float64, device=device, requires_grad=True) for g in groups]


def _improved(
    value: Callable[[State], Tensor],
    state: State,
    groups: Sequence[Action],
    logs: list[Tensor],
    best: float,
    lr: float,
    radius: float,
) -> tuple[float, list[Tensor]] | None:
    """One gradient step in the logarithms, halved until it helps; None where none does."""
    slopes = _slopes(value, state, groups, logs)
    size = sum(float(s.square().sum()) for s in slopes) ** 0.5
    if not 0 < size < float("inf"):
        return None
    for halving in range(_HALVINGS):
        trial = _step(logs, slopes, lr * 0.5**halving / size, radius)
        try:
            new = float(value(along(state, groups, trial)).detach())
        except InputError:  # the trial makes the batch degenerate: a shorter one may not
            continue
        if new < best:
            return new, trial
    return None


def _ascended(
    value: Callable[[State], Tensor],
    state: State,
    groups: Sequence[Action],
    logs: list[Tensor],
    best: float,
    lr: float,
    radius: float,
) -> tuple[float, list[Tensor]] | None:
    """One gradient step in the logarithms, whatever comes of it; None where numbers overflow or the batch collapses."""
    trial = _step(logs, _slopes(value, state, groups, logs), lr, radius)
    try:
        new = float(value(along(state, groups, trial)).detach())
    except InputError:
        return None
    return (new, trial) if abs(new) < float("inf") else None


def _slopes(
    value: Callable[[State], Tensor], state: State, groups: Sequence[Action], logs: list[Tensor]
) -> list[Tensor]:
    slopes = torch.autograd.grad(value(along(state, groups, logs)), logs, allow_unused=True)
    return [torch.zeros_like(log) if s is None else s for log, s in zip(logs, slopes, strict=True)]


def _step(logs: list[Tensor], slopes: list[Tensor], length: float, radius: float) -> list[Tensor]:
    pairs = zip(logs, slopes, strict=True)
    return [_inside(log.detach() - length * s, radius).requires_grad_() for log, s in pairs]


@dataclass(frozen=True, eq=False, slots=True)
class Teleporting:
    """An optimizer that teleports before some of its steps.

    Args:
        optimizer: any of `torch.optim`.
        module: what it trains.
        loss: see `teleport_`; may be one batch.
        groups: couplings of the module; or a function of the module that is asked at each teleportation, such as for
            the actions on the batch of that step.
        schedule: numbers of steps, from 0, before which to teleport.
        options: of `teleport_`.
        history: what each teleportation did.
    """

    optimizer: torch.optim.Optimizer
    module: nn.Module
    loss: Loss
    groups: tuple[Action, ...] | Callable[[nn.Module], Sequence[Action]]
    schedule: Container[int]
    options: Mapping[str, Any]
    history: list[tuple[int, Teleported]]
    done: list[int]

    @classmethod
    def of(
        cls,
        optimizer: torch.optim.Optimizer,
        module: nn.Module,
        loss: Loss,
        groups: Sequence[Action] | Callable[[nn.Module], Sequence[Action]],
        schedule: Container[int],
        **options: Any,
    ) -> Teleporting:
        """With an empty history."""
        return cls(optimizer, module, loss, groups if callable(groups) else tuple(groups), schedule, options, [], [])

    @property
    def param_groups(self) -> list[dict[str, Any]]:
        """Those of the optimizer."""
        return self.optimizer.param_groups

    def zero_grad(self, set_to_none: bool = True) -> None:
        """That of the optimizer."""
        self.optimizer.zero_grad(set_to_none)

    def step(self) -> float:
        """Teleport if it is time, then one step on the loss; returns the loss before the step."""
        number = len(self.done)
        if number in self.schedule:
            groups = self.groups(self.module) if callable(self.groups) else self.groups
            moved = teleport_(self.module, self.loss, groups, optimizer=self.optimizer, **self.options)
            self.history.append((number, moved))
        self.optimizer.zero_grad()
        value = self.loss(self.module)
        value.backward()
        self.optimizer.step()
        self.done.append(number)
        return float(value.detach())

    def state_dict(self) -> dict[str, Any]:
        """That of the optimizer and the number of steps."""
        return {"optimizer": self.optimizer.state_dict(), "steps": len(self.done)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """What `state_dict` gave."""
        self.optimizer.load_state_dict(state["optimizer"])
        self.done[:] = range(int(state["steps"]))


def _refuse(groups: Sequence[Action], objective: str, rule: str, steps: int, lr: float, radius: float) -> None:
    if objective not in ("gradient", "sharpness"):
        raise InputError(f"unknown objective {objective!r}: expected gradient or sharpness")
    if rule not in ("search", "ascent"):
        raise InputError(f"unknown rule {rule!r}: expected search or ascent")
    if not groups:
        raise InputError("no groups: a module without continuous symmetries of its parameters cannot be teleported")
    if any(group.group == "permutation" for group in groups):
        raise InputError("permutations have no logarithm: leave them out")
    if steps < 1 or not lr > 0 or not radius > 0:
        raise InputError(f"steps {steps}, lr {lr}, radius {radius}: expected positive numbers")


def _objective(
    module: nn.Module, loss: Loss, objective: Objective, parameters: Mapping[str, Tensor], seed: int
) -> Callable[[State], Tensor]:
    """What is to become small, as a function of the parameters."""
    wrapped = _Loss(module, loss)
    others = {f"module.{n}": p for n, p in module.named_parameters() if n not in parameters}

    def at(state: State) -> Tensor:
        return functional_call(wrapped, others | {f"module.{name}": x for name, x in state.items()}, ())

    def gradient(state: State) -> Tensor:
        # clones: one moved tensor may have been computed from another, and a partial derivative is meant
        leaves = {name: x.clone() if x.requires_grad else x.detach().requires_grad_() for name, x in state.items()}
        slopes = torch.autograd.grad(at(leaves), list(leaves.values()), create_graph=True)
        return -torch.stack([s.square().sum() for s in slopes]).sum()

    random = torch.Generator().manual_seed(seed)
    size = sum(float(p.detach().square().sum()) for p in parameters.values()) ** 0.5
    directions = []
    for _ in range(_DIRECTIONS):
        d = {name: torch.randn(p.shape, generator=random, dtype=torch.float64) for name, p in parameters.items()}
        norm = sum(float(x.square().sum()) for x in d.values()) ** 0.5
        directions.append({name: (x / norm).to(parameters[name]) for name, x in d.items()})

    def sharpness(state: State) -> Tensor:
        near = [
            at({n: x + r * size * d[n] for n, x in state.items()})
            for d in directions
            for r in (*_RADII, *(-r for r in _RADII))
        ]
        return torch.stack(near).mean()

    return gradient if objective == "gradient" else sharpness


def _inside(log: Tensor, radius: float) -> Tensor:
    norm = float(log.norm())
    return log if norm <= radius else log * (radius / norm)


def _move_momenta(
    optimizer: torch.optim.Optimizer,
    parameters: Mapping[str, nn.Parameter],
    groups: Sequence[Action],
    logs: Sequence[Tensor],
) -> None:
    """Averages of gradients are pulled back along the way back, as gradients are; averages of squares have no rule."""
    for key in ("momentum_buffer", "exp_avg"):
        held = {name: optimizer.state[p].get(key) for name, p in parameters.items() if p in optimizer.state}
        known = {name: buffer for name, buffer in held.items() if buffer is not None}
        if not all(name in known for group in groups for name in group.tensors):
            continue
        here = {name: p.detach().double().requires_grad_() for name, p in parameters.items()}
        there = along(here, groups, logs, back=True)
        total = torch.stack([(there[name] * buffer).sum() for name, buffer in known.items()]).sum()
        slopes = torch.autograd.grad(total, [here[name] for name in known])
        for buffer, slope in zip(known.values(), slopes, strict=True):
            buffer.copy_(slope)


def _put(parameters: Mapping[str, nn.Parameter], state: State) -> None:
    with torch.no_grad():
        for name, x in state.items():
            parameters[name].copy_(x)


def _same(new: float, old: float, state: State) -> bool:
    """Whether two losses agree to half of the digits of the coarsest parameter; a loss near zero absolutely."""
    half = max(torch.finfo(x.dtype).eps for x in state.values()) ** 0.5
    return abs(new - old) <= half * (abs(old) + half)


class _Loss(nn.Module):
    """A module with its loss, so that its parameters can be replaced for one evaluation."""

    def __init__(self, module: nn.Module, loss: Loss) -> None:
        super().__init__()
        self.module, self.loss = module, loss

    def forward(self) -> Tensor:
        return self.loss(self.module)
