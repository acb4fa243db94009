"""Neural teleportation: every hidden unit is measured in another unit, and its activation is moved along.

A unit in a new basis holds tau times what it held. Weights become ``tau_out / tau_in W``, biases ``tau b``, and what
stands between two layers becomes ``x -> tau f(x / tau)``; so the function stays the same for any activation and any
tau but zero (Armenta, Judge, Painchaud, Skandarani, Lemaire, Gibeau Sanchez, Spino, Jodoin 2020). Where f lets tau
through by itself, such as a ReLU positive ones, it is left alone: then it is a symmetry of the weights.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any, cast, final

import torch
from torch import Tensor, nn

from gradlaws.errors import InputError, UnsupportedError
from gradlaws.symmetry.between import Between
from gradlaws.symmetry.faithful import measured, refuse_weights
from gradlaws.symmetry.sequential import LAYERS, Affine, blocks, examples, flat, unblocked


@final
class Rescaled(nn.Module):
    """``x -> tau f(x / tau)``: what f does to units that are measured in another unit.

    Args:
        inner: f, which has as many units after as before.
        tau: one number for each unit, none zero.
        axis: of the units, counted from the end.
    """

    tau: Tensor

    def __init__(self, inner: nn.Module, tau: Tensor, axis: int = -1) -> None:
        super().__init__()
        self.inner, self.axis = inner, axis
        self.register_buffer("tau", tau)

    def forward(self, x: Tensor) -> Tensor:
        """The shapes of f."""
        tau = self.tau.reshape(-1, *[1] * (-1 - self.axis))
        return tau * self.inner(x / tau)

    def extra_repr(self) -> str:
        """How many units."""
        return f"{len(self.tau)} units"


def change_basis(net: nn.Sequential, factors: Mapping[str, Tensor], example_inputs: Any = None) -> nn.Sequential:
    """A copy that computes the same, with hidden units in other units; the original is left as it is.

    Args:
        net: linear layers, convolutions (grouped and transposed ones too), and anything between them that has as many
            units after as before; Flatten from channels to a linear layer.
        factors: by the name of a layer, one number for each of its units; 1 where there is none. The last layer has
            no factors: its units are the outputs.
        example_inputs: a tensor that the net accepts; needed unless it starts with a linear layer.

    Raises:
        InputError: factors that are zero, not finite or of the wrong shape; unknown layers; shared parameters.
        UnsupportedError: not a Sequential, or something between two layers changes the number of units.
        UnclearError: rounding decides a jump of an activation, so the outputs differ.
    """
    _refuse(net, factors)
    moved = copy.deepcopy(net)
    tau, axis = None, -1
    for name, part in flat(moved):
        if type(part) in LAYERS:
            layer = cast(Affine, part)
            tau = _moved_layer(name, layer, tau, factors.get(name))
            axis = -1 if isinstance(layer, nn.Linear) else 1 - layer.weight.dim()
        elif tau is not None and type(part) is nn.Flatten:
            tau, axis = _flattened(name, part, moved, tau, axis), -1
        elif tau is not None:
            _replace(moved, name, _carried(name, part, tau, axis))
    before, after = (copy.deepcopy(each).eval() for each in (net, moved))
    try:
        measured(lambda m, x: m(x), before, after, examples(net, example_inputs))
    except RuntimeError as failure:
        raise UnsupportedError(
            f"the units between two layers cannot be followed: {failure}; expected modules that have as many units "
            "after as before"
        ) from None
    return moved


def random_basis(net: nn.Sequential, spread: float = 0.5, *, signs: bool = False, seed: int = 0) -> dict[str, Tensor]:
    """Factors for all hidden layers, uniform within `spread` of 1; with `signs` half of them negative.

    Raises:
        InputError: the spread is not between 0 and 1.
    """
    if not 0 <= spread < 1:
        raise InputError(f"spread {spread}: expected at least 0 and less than 1, for no factor may be zero")
    random = torch.Generator().manual_seed(seed)
    found = {}
    for name, units in list(_widths(net).items())[:-1]:
        tau = 1 + spread * (2 * torch.rand(units, generator=random, dtype=torch.float64) - 1)
        flips = torch.randint(2, tau.shape, generator=random) if signs else torch.zeros_like(tau)
        found[name] = tau * (1 - 2 * flips)
    return found


def _moved_layer(name: str, layer: Affine, tau_in: Tensor | None, factor: Tensor | None) -> Tensor:
    """Move weight and bias in place; the factors of the units after, float64."""
    parts = blocks(layer, layer.weight.detach().to("cpu", torch.float64))
    groups, per_group = parts.shape[0], parts.shape[2]
    units, inputs = groups * parts.shape[1], groups * per_group
    tau_out = torch.ones(units, dtype=torch.float64) if factor is None else factor.to("cpu", torch.float64)
    if tau_in is not None:
        if inputs != len(tau_in):
            raise InputError(f"{name} takes {inputs} inputs but {len(tau_in)} units come before it: expected as many")
        parts = parts / tau_in.reshape(groups, 1, per_group, 1)
    with torch.no_grad():
        layer.weight.copy_(unblocked(layer, parts * tau_out.reshape(groups, -1, 1, 1)))
        if layer.bias is not None:
            layer.bias.copy_(layer.bias.to("cpu", torch.float64) * tau_out)
    return tau_out


def _carried(name: str, part: nn.Module, tau: Tensor, axis: int) -> nn.Module:
    """What stands in the place of a module between two layers."""
    inner, total = (part.inner, part.tau.to("cpu", torch.float64) * tau) if type(part) is Rescaled else (part, tau)
    between = Between(((name, inner),))
    passes = (between.homogeneous and bool((total > 0).all())) or (between.odd and bool((total.abs() == 1).all()))
    if passes or bool((total == 1).all()) or (between.homogeneous and between.odd):
        return inner
    some = next(part.parameters(), next(part.buffers(), None))
    return Rescaled(inner, total if some is None else total.to(some.device), axis)


def _refuse(net: nn.Sequential, factors: Mapping[str, Tensor]) -> None:
    """See that there is one number, not zero, for each unit of hidden layers."""
    if not isinstance(net, nn.Sequential):
        raise UnsupportedError(
            f"cannot change the basis of {type(net).__name__}: its forward pass may do anything with its units; "
            "expected a torch.nn.Sequential"
        )
    refuse_weights(net)
    hidden = dict(list(_widths(net).items())[:-1])
    for name, tau in factors.items():
        if name not in hidden:
            raise InputError(f"factors for {name!r}: expected some of the hidden layers {', '.join(hidden) or 'none'}")
        if not isinstance(tau, Tensor) or tuple(tau.shape) != (hidden[name],):
            given = tuple(tau.shape) if isinstance(tau, Tensor) else type(tau).__name__
            raise InputError(f"factors of {name} are {given}: expected a tensor of {hidden[name]} numbers, one a unit")
        if not bool((tau != 0).all() and tau.isfinite().all()):
            raise InputError(f"factors of {name}: expected finite numbers other than zero, a unit of 0 cannot be read")


def _widths(net: nn.Sequential) -> dict[str, int]:
    """Units of each layer."""
    layers = {name: cast(Affine, part) for name, part in flat(net) if type(part) in LAYERS}
    return {n: p.out_features if isinstance(p, nn.Linear) else p.out_channels for n, p in layers.items()}


def _flattened(name: str, part: nn.Flatten, net: nn.Sequential, tau: Tensor, axis: int) -> Tensor:
    """Factors of the positions of all channels, in the order of Flatten."""
    names = [each for each, _ in flat(net)]
    later = [p for n, p in flat(net)[names.index(name) :] if type(p) is nn.Linear]
    if axis == -1 or (part.start_dim, part.end_dim) != (1, -1):
        raise UnsupportedError(f"{name} (Flatten) mixes units with other axes: expected Flatten() of channels")
    return tau.repeat_interleave(later[0].in_features // len(tau)) if later else tau


def _replace(net: nn.Sequential, name: str, part: nn.Module) -> None:
    path, _, last = name.rpartition(".")
    net.get_submodule(path)._modules[last] = part
