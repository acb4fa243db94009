"""Fully connected ReLU networks read off torch modules, and the check that they are that."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn

from gradlaws.errors import InputError
from gradlaws.geometry.jacobian import refuse_nan

_EXPECTED = (
    "expected a chain of at least two nn.Linear layers with ReLU or leaky ReLU in between, nothing shared, all trained"
)
_ROUNDING = 1e-9


@dataclass(frozen=True, eq=False, slots=True)
class Layer:
    """One affine map.

    Args:
        name: of its weight.
        weight: ``[out, in]``, float64.
        bias: ``[out]``, or None.
    """

    name: str
    weight: Tensor
    bias: Tensor | None


def read_chain(module: nn.Module) -> list[Layer]:
    """The layers in order.

    That the module is what it seems to be is not taken from its text: for random inputs and a random loss the gradient
    must be orthogonal to every rescaling of a hidden unit, and the network must not be affine.

    Raises:
        InputError: the module is something else, or a weight is NaN.
    """
    if not isinstance(module, nn.Module):
        raise InputError(f"{module!r} is no torch module with weights: {_EXPECTED}")
    real = copy.deepcopy(module).double().cpu()
    found = [(name, m) for name, m in real.named_modules() if isinstance(m, nn.Linear)]
    own = {id(p) for _, m in found for p in m.parameters(recurse=False)}
    chained = all(a.out_features == b.in_features for (_, a), (_, b) in pairwise(found))
    if len(found) < 2 or not chained or own != {id(p) for p in real.parameters()}:
        raise InputError(f"{type(module).__name__} is not a fully connected network: {_EXPECTED}")
    refuse_nan(dict(real.named_parameters()), "parameter")
    frozen = [name for name, p in real.named_parameters() if not p.requires_grad and p is not found[-1][1].bias]
    if frozen:
        raise InputError(f"parameter {frozen[0]} is frozen, where other laws hold: {_EXPECTED}, as by requires_grad_()")
    _check_rescalings(real, [name for name, _ in found])
    dot = {name: f"{name}." if name else "" for name, _ in found}
    return [
        Layer(f"{dot[name]}weight", m.weight.detach(), None if m.bias is None else m.bias.detach()) for name, m in found
    ]


def imbalances(layers: list[Layer]) -> list[Tensor]:
    """The laws of each hidden layer, ``|w_in|^2 + b^2 - |w_out|^2`` for each unit, ``[width]``."""
    values = []
    for before, after in pairwise(layers):
        inner = before.weight.square().sum(1)
        inner = inner if before.bias is None else inner + before.bias.square()
        values.append(inner - after.weight.square().sum(0))
    return values


def _check_rescalings(real: nn.Module, names: list[str]) -> None:
    """A random gradient is orthogonal to the rescaling of each hidden unit, and to no other mixing of units.

    At random weights, where units live, with small and large inputs, for what saturates does so at large ones only.
    """
    trial, random = copy.deepcopy(real), torch.Generator().manual_seed(0)
    linear = [trial.get_submodule(name) for name in names]
    mixed = [False] * (len(linear) - 1)
    for size in (1.0, 1e3):
        with torch.no_grad():
            for p in trial.parameters():
                p.copy_(torch.randn(p.shape, generator=random, dtype=p.dtype) / p.shape[-1] ** 0.5)
                p.requires_grad_(True)
        x = size * torch.randn(64, linear[0].get_parameter("weight").shape[1], generator=random, dtype=torch.float64)
        _backward(trial, x, random)
        for i, (first, second) in enumerate(pairwise(linear)):
            mixed[i] |= _mixes(trial, first, second)
    if not all(mixed):
        raise InputError(
            f"{type(real).__name__} is affine on all inputs tried between two layers, as linear networks are, whose "
            f"laws are matrices: {_EXPECTED}"
        )


def _backward(trial: nn.Module, x: Tensor, random: torch.Generator) -> None:
    """Gradients of a random linear function of the outputs."""
    with torch.inference_mode(False), torch.enable_grad():
        try:
            y = trial(x)
        except Exception as error:
            raise InputError(f"{type(trial).__name__} fails on inputs {list(x.shape)}: {_EXPECTED}") from error
        if not isinstance(y, Tensor) or y.dim() == 0:
            raise InputError(f"{type(trial).__name__} does not return one tensor: {_EXPECTED}")
        trial.zero_grad()
        (y * torch.randn(y.shape, generator=random, dtype=y.dtype)).sum().backward()
    if any(p.grad is None for p in trial.parameters()):
        raise InputError(f"{type(trial).__name__} does not use all its layers: {_EXPECTED}")


def _mixes(trial: nn.Module, first: nn.Module, second: nn.Module) -> bool:
    """Whether mixing the units between two layers changes something, as it does where an activation stands there.

    Raises:
        InputError: rescaling one does.
    """
    inner = [p for p in first.parameters(recurse=False) if p.grad is not None]
    parts = [(p.grad.reshape(len(p), -1) @ p.detach().reshape(len(p), -1).mT) for p in inner if p.grad is not None]
    v = second.get_parameter("weight")
    assert v.grad is not None
    apart = torch.stack(parts).sum(0) - v.detach().mT @ v.grad
    size = float(torch.stack(parts).abs().sum() + (v.detach().mT @ v.grad).abs().sum()) + 1e-300
    if float(apart.diagonal().abs().max()) > _ROUNDING * size:
        raise InputError(f"{type(trial).__name__} changes when a hidden unit is rescaled: {_EXPECTED}")
    rest = apart - apart.diagonal().diag()
    return len(apart) == 1 or float(rest.abs().max()) > _ROUNDING * size
