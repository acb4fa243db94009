"""A torch.nn.Sequential taken apart into linear layers and what stands between them, and put together again."""

from __future__ import annotations

import copy
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, cast

import torch
from torch import Tensor, nn

from gradlaws.errors import InputError, UnsupportedError
from gradlaws.symmetry.between import Between, between
from gradlaws.symmetry.faithful import SCALES, random_like

Transposed = nn.ConvTranspose1d | nn.ConvTranspose2d | nn.ConvTranspose3d
Affine = nn.Linear | nn.Conv1d | nn.Conv2d | nn.Conv3d | Transposed
_TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
LAYERS = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d, *_TRANSPOSED)
PROBES = 16
"""Random inputs of one scale."""

_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


@dataclass(frozen=True, eq=False, slots=True)
class Layer:
    """A linear layer or a convolution, and what follows up to the next.

    Args:
        name: in the Sequential.
        kind: the module as it was given.
        weight: ``[units, inputs, *kernel]``, float64; zero between groups.
        bias: ``[units]``, or None.
        after: what follows; empty for the last layer.
        embedding: ``[units at the start, units]``: activations at the start as multiples of those that are left; None
            where they cannot be told from them.
    """

    name: str
    kind: Affine
    weight: Tensor
    bias: Tensor | None
    after: Between
    embedding: Tensor | None

    @property
    def offset(self) -> Tensor:
        """The bias, or zeros."""
        return self.weight.new_zeros(len(self.weight)) if self.bias is None else self.bias

    @property
    def pads(self) -> bool:
        """Whether some positions hear less than the whole kernel: zeros around what comes in, or between entries."""
        if isinstance(self.kind, _TRANSPOSED):
            return True
        if isinstance(self.kind, nn.Linear) or self.kind.padding_mode != "zeros":
            return False
        return self.kind.padding == "same" or any(p != 0 for p in self.kind.padding if not isinstance(p, str))

    @property
    def groups(self) -> int:
        """As many groups as the layer had, or fewer, that are equally large and do not hear each other's inputs."""
        most = 1 if isinstance(self.kind, nn.Linear) else self.kind.groups
        units, inputs = self.weight.shape[:2]
        for count in range(most, 1, -1):
            if units % count == 0 and inputs % count == 0:
                heard = self.weight.reshape(count, units // count, count, inputs // count, -1).abs().sum((1, 3, 4))
                if not bool((heard - heard.diag().diag()).any()):
                    return count
        return 1

    @property
    def size(self) -> int:
        """Entries of the weight and the bias, without those between groups."""
        return self.weight.numel() // self.groups + (0 if self.bias is None else self.bias.numel())

    def columns(self, units: int) -> Tensor:
        """The weight as ``[outputs, units, rest]``, for the units of the layer before."""
        return self.weight.reshape(len(self.weight), units, -1)

    def with_columns(self, columns: Tensor) -> Layer:
        """The layer with other columns in that layout."""
        shape = (len(self.weight), -1, *self.weight.shape[2:])
        return replace(self, weight=columns.reshape(shape))


def read(net: nn.Sequential) -> list[Layer]:
    """The layers of a Sequential; batch normalisation right after a layer is part of it.

    Raises:
        InputError: there is no layer.
        UnsupportedError: something between two layers cannot be seen through.
    """
    parts = flat(net)
    places = [i for i, (_, part) in enumerate(parts) if type(part) in LAYERS]
    if not places:
        raise InputError("a Sequential without linear layers or convolutions: there is nothing to compress")
    layers = []
    for place, following in zip(places, [*places[1:], None], strict=True):
        name, part = parts[place][0], cast(Affine, parts[place][1])
        weight, bias = _dense(part, _double(part.weight)), None if part.bias is None else _double(part.bias)
        rest = [] if following is None else parts[place + 1 : following]
        while rest and type(rest[0][1]) in _NORMS:
            weight, bias = _folded(rest[0][0], cast(nn.BatchNorm1d, rest[0][1]), weight, bias)
            rest = rest[1:]
        spatial = not isinstance(part, nn.Linear)
        after = Between() if following is None else between(rest, spatial, len(weight), parts[following][1])
        eye = torch.eye(len(weight), dtype=torch.float64)
        layers.append(Layer(name, part, weight, bias, after, eye))
    for layer, next_layer in pairwise(layers):
        _refuse_misfit(layer, next_layer)
    return layers


def flat(net: nn.Sequential, prefix: str = "") -> list[tuple[str, nn.Module]]:
    """All modules with their names, those of nested Sequentials too."""
    found: list[tuple[str, nn.Module]] = []
    for name, part in net._modules.items():
        if part is not None:
            path = f"{prefix}{name}"
            found += flat(part, f"{path}.") if isinstance(part, nn.Sequential) else [(path, part)]
    return found


def examples(net: nn.Sequential, example_inputs: Any) -> list[Tensor]:
    """Random inputs of the size that the net accepts, of several scales.

    Raises:
        InputError: none are given, and the net does not start with a linear layer.
    """
    first = flat(net)[0][1]
    if example_inputs is None and type(first) is nn.Linear:
        example_inputs = first.weight.new_empty(PROBES, first.in_features)
    if not isinstance(example_inputs, Tensor):
        raise InputError(
            f"example_inputs is {type(example_inputs).__name__}: expected a tensor that the network accepts; the "
            "outputs are compared on inputs of its shape"
        )
    generator = torch.Generator().manual_seed(0)
    return [random_like(example_inputs, scale, generator) for scale in SCALES]


def blocks(kind: Affine, weight: Tensor) -> Tensor:
    """A weight as ``[groups, units, inputs, positions]``, units and inputs of one group each."""
    if isinstance(kind, nn.Linear):
        return weight.reshape(1, *weight.shape, 1)
    parts = weight.unflatten(0, (kind.groups, -1)).flatten(3)
    return parts.transpose(1, 2) if isinstance(kind, _TRANSPOSED) else parts


def unblocked(kind: Affine, parts: Tensor) -> Tensor:
    """The weight that `blocks` took apart, of as many groups, units and inputs as the parts have."""
    if isinstance(kind, nn.Linear):
        return parts.reshape(parts.shape[1:3])
    parts = parts.transpose(1, 2) if isinstance(kind, _TRANSPOSED) else parts
    return parts.reshape(parts.shape[0] * parts.shape[1], parts.shape[2], *kind.kernel_size)


def _dense(kind: Affine, weight: Tensor) -> Tensor:
    """``[units, inputs, *kernel]``, with zeros between groups."""
    parts = blocks(kind, weight)
    groups, units, inputs, positions = parts.shape
    full = parts.new_zeros(groups, units, groups, inputs, positions)
    for g in range(groups):
        full[g, :, g] = parts[g]
    shape = () if isinstance(kind, nn.Linear) else kind.kernel_size
    return full.reshape(groups * units, groups * inputs, *shape)


def rebuilt(net: nn.Sequential, layers: Sequence[Layer]) -> nn.Sequential:
    """A Sequential with these layers in the places of their names; what stood behind others is gone."""
    parts = flat(net)
    places = [i for i, (_, part) in enumerate(parts) if type(part) in LAYERS]
    kept = dict([*parts[: places[0]], *parts[places[-1] + 1 :]])
    for layer in layers:
        kept |= dict(layer.after.named)
    made = {name: copy.deepcopy(part) for name, part in kept.items()}
    with torch.random.fork_rng():
        made |= {layer.name: _module(layer) for layer in layers}
    return _nested(net, made).train(net.training)


def _refuse_misfit(layer: Layer, following: Layer) -> None:
    """See that a layer takes the units of the one before, each of them or, after Flatten, all its positions."""
    units, inputs = len(layer.weight), following.weight.shape[1]
    flattened = any(isinstance(part, nn.Flatten) for part in layer.after.parts)
    if inputs != units and not (flattened and inputs % units == 0):
        raise InputError(
            f"{following.name} takes {inputs} inputs, {layer.name} has {units} units: expected them to fit"
        )


def _module(layer: Layer) -> nn.Module:
    """A fresh module of the kind of the layer with its weight and bias."""
    kind, (outputs, inputs), groups = layer.kind, layer.weight.shape[:2], layer.groups
    options: dict[str, Any] = {"bias": layer.bias is not None, "device": kind.weight.device, "dtype": kind.weight.dtype}
    if isinstance(kind, nn.Linear):
        made: Affine = nn.Linear(inputs, outputs, **options)
    else:
        options |= {"stride": kind.stride, "padding": kind.padding, "dilation": kind.dilation, "groups": groups}
        options |= {"padding_mode": kind.padding_mode}
        if isinstance(kind, _TRANSPOSED):
            options |= {"output_padding": kind.output_padding}
        made = cast(Any, type(kind))(inputs, outputs, kind.kernel_size, **options)
    parts = layer.weight.reshape(groups, outputs // groups, groups, inputs // groups, -1)
    with torch.no_grad():
        made.weight.copy_(unblocked(made, torch.stack([parts[g, :, g] for g in range(groups)])))
        if layer.bias is not None:
            made.get_parameter("bias").copy_(layer.bias)
    for name, p in made.named_parameters():
        was = getattr(kind, name)
        p.requires_grad_((kind.weight if was is None else was).requires_grad)
    return made


def _nested(net: nn.Sequential, made: Mapping[str, nn.Module], prefix: str = "") -> nn.Sequential:
    found: OrderedDict[str, nn.Module] = OrderedDict()
    for name, part in net._modules.items():
        if isinstance(part, nn.Sequential):
            if len(inner := _nested(part, made, f"{prefix}{name}.")):
                found[name] = inner
        elif f"{prefix}{name}" in made:
            found[name] = made[f"{prefix}{name}"]
    return nn.Sequential(found)


def _folded(name: str, norm: nn.BatchNorm1d, weight: Tensor, bias: Tensor | None) -> tuple[Tensor, Tensor]:
    """Weight and bias of a layer and the batch normalisation after it, with its running statistics."""
    if norm.training or norm.running_mean is None or norm.running_var is None:
        raise UnsupportedError(f"{name} (BatchNorm) uses the statistics of each batch: call model.eval() first")
    if norm.num_features != len(weight):
        raise InputError(f"{name} (BatchNorm) has {norm.num_features} features: expected {len(weight)}")
    gain = (_double(norm.running_var) + norm.eps).rsqrt()
    gain = gain if norm.weight is None else gain * _double(norm.weight)
    shift = -_double(norm.running_mean) if bias is None else bias - _double(norm.running_mean)
    shift = gain * shift if norm.bias is None else gain * shift + _double(norm.bias)
    return weight * gain.reshape(-1, *[1] * (weight.dim() - 1)), shift


def _double(tensor: Tensor) -> Tensor:
    return tensor.detach().to("cpu", torch.float64)
