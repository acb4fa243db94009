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
    _check_rescalings(real, [m for _, m in found])
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


def _check_rescalings(real: nn.Module, linear: list[nn.Linear]) -> None:
    """A random gradient is orthogonal to the rescaling of each hidden unit, and the outputs are not affine in x."""
    generator = torch.Generator().manual_seed(0)
    x, step = torch.randn(2, 64, linear[0].in_features, generator=generator, dtype=torch.float64)
    weights = [m.weight.detach() for m in linear]
    with torch.inference_mode(False), torch.enable_grad():
        for m in linear:
            m.requires_grad_(True)
        try:
            y = real(x)
        except Exception as error:
            raise InputError(f"{type(real).__name__} fails on inputs {list(x.shape)}: {_EXPECTED}") from error
        if not isinstance(y, Tensor) or y.dim() == 0:
            raise InputError(f"{type(real).__name__} does not return one tensor: {_EXPECTED}")
        real.zero_grad()
        (y * torch.randn(y.shape, generator=generator, dtype=y.dtype)).sum().backward()
    with torch.no_grad():
        bend = real(x + step) - 2 * y + real(x - step)
        scale = float(y.abs().max()) + float(real(x + step).abs().max())
    for first, second, w, v in zip(linear, linear[1:], weights, weights[1:], strict=False):
        grad = first.weight.grad, second.weight.grad
        if grad[0] is None or grad[1] is None:
            raise InputError(f"{type(real).__name__} does not use all its layers: {_EXPECTED}")
        inner = (w * grad[0]).sum(1)
        if first.bias is not None and first.bias.grad is not None:
            inner = inner + first.bias.detach() * first.bias.grad
        outer = (v * grad[1]).sum(0)
        size = float((w * grad[0]).abs().sum() + (v * grad[1]).abs().sum()) + 1e-300
        if float((inner - outer).abs().max()) > _ROUNDING * size:
            raise InputError(f"{type(real).__name__} changes when a hidden unit is rescaled: {_EXPECTED}")
    if float(bend.abs().max()) <= _ROUNDING * scale and any(bool(w.any()) for w in weights):
        raise InputError(
            f"{type(real).__name__} is affine on all inputs tried, as linear networks are, whose laws are matrices: "
            f"{_EXPECTED}"
        )
