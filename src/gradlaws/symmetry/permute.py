"""Permutations of hidden units of a real module, found by switching units off.

When what reads a unit is set to zero, the gradients of all that feeds it vanish. Axes found so are permuted together at
random weights; they are a symmetry if the outputs stay.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from gradlaws.laws.contraction import Contraction
from gradlaws.laws.pieces import axes
from gradlaws.symmetry.couple import arguments, duplicate_of, fresh_inputs, outputs, perturb
from gradlaws.symmetry.coupling import Coupling, put

_SAME, _UNITS = 1e-9, 4


def permutations(module: nn.Module, example_inputs: Any, *, seed: int = 0) -> tuple[Coupling, ...]:
    """Hidden indices with one reader whose units may be permuted; found numerically, in evaluation mode.

    One gradient for each axis of each parameter: for modules of up to some millions of parameters.

    Raises:
        InputError: the module fails on the inputs.
    """
    random = torch.Generator().manual_seed(seed)
    duplicate = duplicate_of(module)
    parameters = {name: p for name, p in duplicate.named_parameters() if p.requires_grad}
    perturb(parameters, dict(module.named_parameters()), random)
    inputs = fresh_inputs(*arguments(example_inputs), random)
    every = axes({name: tuple(p.shape) for name, p in parameters.items()})
    found: dict[frozenset[Contraction], Coupling] = {}
    for reader in every:
        width = reader.length(tuple(parameters[reader.tensor].shape))
        if width < 2:
            continue
        for unit in range(min(width, _UNITS)):
            fed = _fed_by(duplicate, parameters, reader, every, unit, inputs)
            parts = tuple((piece, 1) for piece in (*fed, reader))
            group = Coupling("permutation", parts, width)
            if fed and _stays(duplicate, parameters, group, inputs):
                found.setdefault(frozenset(p for p, _ in parts), group)
                break
    return tuple(found.values())


def signs(module: nn.Module, example_inputs: Any, orders: Sequence[Coupling], *, seed: int = 0) -> tuple[Coupling, ...]:
    """Those of some permuted indices whose units may change sign as well, as under an odd activation.

    Raises:
        InputError: the module fails on the inputs.
    """
    random = torch.Generator().manual_seed(seed)
    duplicate = duplicate_of(module)
    parameters = {name: p for name, p in duplicate.named_parameters() if p.requires_grad}
    perturb(parameters, dict(module.named_parameters()), random)
    inputs = fresh_inputs(*arguments(example_inputs), random)
    return tuple(order for order in orders if _flips(duplicate, parameters, order, inputs))


def _flips(module: nn.Module, parameters: dict[str, nn.Parameter], order: Coupling, inputs: Any) -> bool:
    """Whether the outputs stay when the first unit changes its sign."""

    def flipped(state: dict[str, Tensor]) -> dict[str, Tensor]:
        moved = dict(state)
        for piece, _ in order.parts:
            rows = piece.rows(moved).clone()
            rows[0] = -rows[0]
            moved[piece.tensor] = put(moved[piece.tensor], piece, rows)
        return moved

    return _unchanged(module, parameters, order, flipped, inputs)


def _fed_by(
    module: nn.Module,
    parameters: dict[str, nn.Parameter],
    reader: Contraction,
    every: list[Contraction],
    unit: int,
    inputs: Any,
) -> list[Contraction]:
    """Axes of this length whose slice of the unit feeds nothing but the same slice of the reader."""
    tensor = parameters[reader.tensor]
    kept, before = tensor.detach().clone(), _gradients(module, parameters, inputs)
    tensor.data.movedim(reader.axis, 0)[unit] = 0.0
    try:
        after = _gradients(module, parameters, inputs)
    finally:
        tensor.data.copy_(kept)
    fed = []
    width = reader.length(tuple(tensor.shape))
    for piece in every:
        if piece == reader or piece.tensor not in after or piece.length(tuple(parameters[piece.tensor].shape)) != width:
            continue
        if bool(piece.rows(before)[unit].any()) and not bool(piece.rows(after)[unit].any()):
            fed.append(piece)
    return fed


def _gradients(module: nn.Module, parameters: dict[str, nn.Parameter], inputs: Any) -> dict[str, Tensor]:
    """Those of one random linear function of the outputs, always the same one."""
    random = torch.Generator().manual_seed(0)
    values = [v for v in outputs(module, *inputs) if v.requires_grad]
    loss = torch.stack([(v * torch.randn(v.shape, generator=random, dtype=v.dtype)).sum() for v in values]).sum()
    slopes = torch.autograd.grad(loss, list(parameters.values()), allow_unused=True)
    return {name: g for name, g in zip(parameters, slopes, strict=True) if g is not None}


def _stays(module: nn.Module, parameters: dict[str, nn.Parameter], group: Coupling, inputs: Any) -> bool:
    """Whether a cyclic permutation changes no output."""
    order = torch.arange(group.width).roll(1)
    return _unchanged(module, parameters, group, lambda state: group.act(state, order), inputs)


def _unchanged(
    module: nn.Module,
    parameters: dict[str, nn.Parameter],
    group: Coupling,
    move: Callable[[dict[str, Tensor]], dict[str, Tensor]],
    inputs: Any,
) -> bool:
    """Whether the outputs stay when the tensors of a group are moved; they are moved back."""
    with torch.no_grad():
        before = outputs(module, *inputs)
        kept = {name: parameters[name].detach().clone() for name in group.tensors}
        for name, x in move(kept).items():
            parameters[name].copy_(x)
        after = outputs(module, *inputs)
        for name, x in kept.items():
            parameters[name].copy_(x)
    return all(_close(a, b) for a, b in zip(before, after, strict=True))


def _close(a: Tensor, b: Tensor) -> bool:
    return float((a - b).abs().max()) <= _SAME * max(1e-300, float(a.abs().max()))
