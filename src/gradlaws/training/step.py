"""One optimizer step as seen from outside: copies before it, and the update of each tensor after it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from gradlaws.training.formula import Formula, Parts, wide
from gradlaws.training.names import Live
from gradlaws.training.shards import is_sharded, shard, whole, whole_state


@dataclass(frozen=True, eq=False, slots=True)
class Before:
    """What one tensor was when the optimizer began; everything is a copy in the tensor's own precision.

    Args:
        live: the parameter.
        theta: its values, or those of its master copy.
        grad: its gradient, None where there was none.
        options: its group as plain numbers, empty if the optimizer does not hold it.
        listed: how often the optimizer holds it.
        state: copies of what the formula needs, None where absent.
        master: entry of the optimizer's state that the values are read from, as it holds them in higher precision.
    """

    live: Live
    theta: Tensor
    grad: Tensor | None
    options: Mapping[str, Any]
    listed: int
    state: Mapping[str, Tensor | None]
    master: str | None = None


@dataclass(frozen=True, eq=False, slots=True)
class Move:
    """The step of one tensor, in its own precision but at least float32: differences of neighbours are exact there.

    Args:
        theta: before the step.
        grad: zeros where there was none.
        update: what was added, exactly.
        parts: what the optimizer says it added.
        error: `update` less the sum of `parts`; None if the formula is not complete.
    """

    theta: Tensor
    grad: Tensor
    update: Tensor
    parts: Parts
    error: Tensor | None


def groups_of(optimizer: torch.optim.Optimizer) -> dict[int, tuple[dict[str, Any], int]]:
    """The group of each parameter, by id, and how often the optimizer holds it."""
    found: dict[int, tuple[dict[str, Any], int]] = {}
    for group in optimizer.param_groups:
        for p in group["params"]:
            _, listed = found.get(id(p), (group, 0))
            found[id(p)] = group, listed + 1
    return found


def copies(optimizer: torch.optim.Optimizer, formula: Formula, tensors: Iterable[Live]) -> dict[str, Before]:
    """Copies of the named tensors, their gradients and what the formula needs of their state."""
    groups = groups_of(optimizer)
    found = {live.name: (live, groups.get(id(live.parameter))) for live in tensors}
    return {
        name: copied(live, place, optimizer, formula, place[1] if place else 0) for name, (live, place) in found.items()
    }


def copied(
    live: Live,
    place: tuple[dict[str, Any], int] | None,
    optimizer: torch.optim.Optimizer,
    formula: Formula,
    listed: int,
) -> Before:
    """Copies of one tensor.

    Args:
        live: the tensor.
        place: as `groups_of` has it, None if the optimizer does not hold it.
        optimizer: that moves it.
        formula: of that optimizer.
        listed: how often any optimizer holds it.
    """
    p = live.parameter
    group, _ = place if place else ({}, 0)
    state = optimizer.state.get(p, {}) if place else {}
    scale = getattr(optimizer, "grad_scale", None)
    grad = p.grad
    if grad is not None:
        grad = grad.to_dense() if grad.is_sparse else grad.detach().clone()
        grad = grad if scale is None else grad / scale
    kept = {name: value.detach().clone() for name in formula.needs if isinstance(value := state.get(name), Tensor)}
    master = _master(p.detach(), state)
    theta = state[master] if master else p
    return Before(live, theta.detach().clone(), grad, _numbers(group), listed, kept, master)


def _master(p: Tensor, state: Mapping[str, Any]) -> str | None:
    """The entry of the state that is the parameter in higher precision: what rounds to exactly its values."""
    if p.dtype.itemsize >= 4:
        return None
    own = shard(p)
    wider = {name: shard(x) for name, x in state.items() if isinstance(x, Tensor) and x.shape == p.shape}
    same = (name for name, x in wider.items() if x.dtype.itemsize >= 4 and torch.equal(x.to(p.dtype), own))
    return next(same, None)


def move(before: Before, optimizer: torch.optim.Optimizer, formula: Formula) -> Move:
    """The step of one tensor, read when the optimizer is done; one that is sharded is gathered."""
    theta, now = wide(whole(before.theta)), before.live.parameter.detach()
    if before.master:
        now = optimizer.state[before.live.parameter][before.master].detach()
    update = whole(now).to(theta.dtype) - theta
    if before.grad is None or not before.listed:
        grad = torch.zeros_like(theta) if before.grad is None else wide(whole(before.grad))
        return Move(theta, grad, update, Parts(), update)
    grad = wide(whole(before.grad))
    old = {name: wide(whole(value)) for name, value in before.state.items() if value is not None}
    after = optimizer.state.get(before.live.parameter, {})
    if is_sharded(before.theta):
        after = whole_state(after)
    try:
        parts = formula.parts(theta, grad, before.options, old, after)
    except KeyError:  # a subclass that keeps its state otherwise
        parts = Parts(complete=False)
    if not parts.complete:
        rest = update if parts.decay is None else update - parts.decay
        return Move(theta, grad, update, Parts(parts.decay, direction=rest, complete=False), None)
    if parts.open is not None and parts.direction is not None:
        rest = update if parts.decay is None else update - parts.decay
        parts = replace(parts, direction=torch.where(parts.open, rest, parts.direction))
    error = update.clone()
    for term in parts.terms:
        error -= term
    return Move(theta, grad, update, parts, error)


def _numbers(group: Mapping[str, Any]) -> dict[str, Any]:
    """Options without the parameters; rates that are tensors as floats, for they may change in place."""
    return {
        name: float(value) if isinstance(value, Tensor) and value.numel() == 1 else value
        for name, value in group.items()
        if name != "params"
    }
