"""Fully connected networks from bare weights: the file says the widths, the user names the activation."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn

from gradlaws.errors import InputError
from gradlaws.models.radial import PROFILES, Radial, RadialMLP

ORDINARY: dict[str, type[nn.Module]] = {
    "linear": nn.Identity,
    "relu": nn.ReLU,
    "leaky_relu": nn.LeakyReLU,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "elu": nn.ELU,
    "softplus": nn.Softplus,
}
_RADIAL = "radial:"


@dataclass(frozen=True, eq=False, slots=True)
class Chain:
    """Layers with one activation between each two.

    Args:
        module: a `RadialMLP`, or a Sequential.
        names: the user's name of each layer, by its name in the module.
    """

    module: nn.Module
    names: Mapping[str, str]

    def named_as_given(self, module: nn.Module) -> dict[str, Tensor]:
        """The parameters of a network with some of the layers, under the names of the user."""
        found = {}
        for name, value in module.state_dict().items():
            layer, _, kind = name.rpartition(".")
            found[f"{self.names[layer]}{kind}"] = value
        return found


def chain_of(tensors: Mapping[str, Tensor], activation: str) -> Chain:
    """The network ``W_L act( ... act(W_1 x + b_1) ... ) + b_L`` of the weights, layers in the order of their names.

    Args:
        tensors: ``NAME.weight`` of shape ``[out, in]`` and, or not, ``NAME.bias``; numbers in names count as numbers.
        activation: relu, tanh and so on; or radial:step_relu, radial:squashing, radial:shifted_relu:SHIFT and
            radial:sigmoid:SHIFT, the shift being optional.

    Raises:
        InputError: the activation is unknown, or the tensors are not those of such a chain.
    """
    for name in tensors:
        if not name.endswith(("weight", "bias")):
            raise InputError(
                f"the tensor {name}: expected weights and biases of a fully connected network only; for another "
                "network give its module with --model FILE.py:FACTORY"
            )
    prefixes = sorted({re.sub(r"(weight|bias)$", "", name) for name in tensors}, key=_natural)
    weights = [_weight(tensors, prefix) for prefix in prefixes]
    biases = [tensors.get(f"{prefix}bias") for prefix in prefixes]
    _refuse_gaps(prefixes, weights, biases)
    widths = [weights[0].shape[1], *(len(w) for w in weights)]
    with torch.random.fork_rng():
        if activation.startswith(_RADIAL):
            module: nn.Module = RadialMLP(widths, _radial(activation), dtype=weights[0].dtype)
            names = [f"layers.{i}" for i in range(len(weights))]
        else:
            module = _sequential(widths, activation)
            names = [str(2 * i) for i in range(len(weights))]
    for name, weight, bias in zip(names, weights, biases, strict=True):
        layer = module.get_submodule(name)
        layer.register_parameter("weight", nn.Parameter(weight.clone()))
        layer.register_parameter("bias", None if bias is None else nn.Parameter(bias.clone()))
    return Chain(module.eval(), dict(zip(names, prefixes, strict=True)))


def _sequential(widths: list[int], activation: str) -> nn.Sequential:
    if activation not in ORDINARY:
        known = [*ORDINARY, *(_RADIAL + profile for profile in PROFILES)]
        raise InputError(f"unknown activation {activation!r}: expected one of {', '.join(known)}")
    parts: list[nn.Module] = []
    for n, m in pairwise(widths):
        parts += [nn.Linear(n, m), ORDINARY[activation]()]
    return nn.Sequential(*parts[:-1])


def _radial(activation: str) -> Radial:
    """``radial:NAME`` or ``radial:NAME:SHIFT``."""
    profile, _, shift = activation.removeprefix(_RADIAL).partition(":")
    try:
        return Radial(profile, float(shift) if shift else None)
    except ValueError as error:
        raise (
            error if isinstance(error, InputError) else InputError(f"the shift {shift!r}: expected a number")
        ) from None


def _weight(tensors: Mapping[str, Tensor], prefix: str) -> Tensor:
    weight = tensors.get(f"{prefix}weight")
    if weight is None or weight.dim() != 2 or not weight.is_floating_point() or 0 in weight.shape:
        given = "is missing" if weight is None else f"has shape {tuple(weight.shape)} and dtype {weight.dtype}"
        raise InputError(
            f"{prefix}weight {given}: expected matrices of a fully connected network; for another network give its "
            "module with --model FILE.py:FACTORY"
        )
    return weight


def _refuse_gaps(prefixes: list[str], weights: list[Tensor], biases: list[Tensor | None]) -> None:
    """See that each layer takes what the one before gives, and adds a bias of its own width."""
    if not weights:
        raise InputError("no tensors: expected the weights of a network")
    for (one, other), (before, after) in zip(pairwise(prefixes), pairwise(weights), strict=True):
        if len(before) != after.shape[1]:
            raise InputError(
                f"{one}weight has {len(before)} rows, {other}weight {after.shape[1]} columns: expected layers that "
                "follow each other in the order of their names; otherwise give the module with --model FILE.py:FACTORY"
            )
    for prefix, weight, bias in zip(prefixes, weights, biases, strict=True):
        if bias is not None and tuple(bias.shape) != (len(weight),):
            raise InputError(f"{prefix}bias has shape {tuple(bias.shape)}: expected ({len(weight)},)")
        if weight.dtype != weights[0].dtype or (bias is not None and bias.dtype != weight.dtype):
            raise InputError(f"{prefix}weight is of another dtype than others: expected one for all")


def _natural(name: str) -> list[tuple[int, str]]:
    """Names in the order in which a person counts: layer 2 before layer 10."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name)]
