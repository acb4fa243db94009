"""Smaller networks that compute the same function."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from gradlaws.errors import InputError, UnsupportedError
from gradlaws.models.quiver import QuiverNetwork
from gradlaws.models.radial import Radial, RadialMLP, RadialNetwork
from gradlaws.symmetry.compression import Compression
from gradlaws.symmetry.faithful import SCALES, measured, random_like, refuse_weights
from gradlaws.symmetry.hidden import without_idle_hidden
from gradlaws.symmetry.products import without_chains
from gradlaws.symmetry.recursion import reduction
from gradlaws.symmetry.sequential import PROBES, Layer, examples, read, rebuilt
from gradlaws.symmetry.units import without_idle_units


def compress(net: nn.Module, example_inputs: Any = None, *, reveal_rank: bool = False) -> Compression:
    """A smaller network with the same outputs; the one that is given is left as it is.

    * `RadialMLP`, `QuiverNetwork`: the QR recursion. Hidden dimensions become ``min(n, 1 + those before)``, without
      biases ``min(n, those before)``.
    * ``torch.nn.Sequential`` of linear or convolution layers and activations: dead, constant and duplicate units go,
      chains of linear layers are multiplied out where that is smaller.
    * any other module, if `example_inputs` are given: hidden units of linear layers and convolutions that a single
      layer reads, such as those of the MLPs of a transformer, go where they are zero, unseen or copies.

    Nothing is approximated: what is left out is zero, unseen or a copy, to rounding. The outputs are compared on seeded
    random inputs.

    Args:
        net: the network.
        example_inputs: for a Sequential, a tensor that it accepts; needed unless it starts with a linear layer. For any
            other module, a tensor, a tuple of positional or a dict of keyword arguments.
        reveal_rank: of a radial network, keep the numerical rank of what reaches a vertex, which is smaller than the
            formula for weights that are not generic, such as zero biases.

    Raises:
        InputError: weights that are not finite, of the wrong shape or shared; inputs that do not fit.
        UnsupportedError: a network of another kind, a fixed identity arrow, an operation that mixes or hides units; the
            message names it.
        UnclearError: rounding decides a jump of an activation, so the outputs differ.
    """
    if type(net) in (RadialMLP, QuiverNetwork):
        assert isinstance(net, RadialNetwork)
        refuse_weights(net)
        _refuse_radial(net)
        return _compressed(net, reveal_rank)
    if type(net) is nn.Sequential:
        refuse_weights(net)
        return _compressed_units(net, example_inputs)
    if example_inputs is not None and not isinstance(net, RadialNetwork):
        return without_idle_hidden(net, example_inputs)
    raise UnsupportedError(
        f"cannot compress {type(net).__name__}: its forward pass may do anything with its units; expected a RadialMLP, "
        "a QuiverNetwork or a torch.nn.Sequential: give example_inputs, compress its parts, or write it as one of these"
    )


def _compressed(net: RadialNetwork, reveal_rank: bool) -> Compression:
    found = reduction(net, reveal_rank)
    with torch.random.fork_rng():
        module = net.resized(found.dimensions)
    module.load_state_dict(dict(found.weights))
    moving = {name: p.requires_grad for name, p in net.named_parameters()}
    for name, p in module.named_parameters():
        p.requires_grad_(moving[name])
    error, scale = measured(_run, net, module, _probes(net))
    sizes = (_size(net), _size(module))
    return Compression(module, net.dimensions, found.dimensions, found.bases, sizes, error, scale)


def _compressed_units(net: nn.Sequential, example_inputs: Any) -> Compression:
    start = read(net)
    layers, notes = without_chains(start)
    rounding = max(torch.finfo(layer.kind.weight.dtype).eps for layer in layers)
    layers, removed = without_idle_units(layers, rounding)
    layers, more = without_chains(layers)
    module = rebuilt(net, layers)
    both = [copy.deepcopy(each).eval() if net.training else each for each in (net, module)]
    error, scale = measured(lambda m, x: m(x), both[0], both[1], examples(net, example_inputs))
    hidden = {layer.name: layer.embedding for layer in layers[:-1]}
    return Compression(
        module,
        _unit_widths(start),
        _unit_widths(layers),
        {name: matrix for name, matrix in hidden.items() if matrix is not None},
        (_size(net), _size(module)),
        error,
        scale,
        tuple(filter(None, [*notes, *map(str, removed), *more])),
    )


def _unit_widths(layers: Sequence[Layer]) -> dict[str, int]:
    return {"in": layers[0].weight.shape[1]} | {layer.name: len(layer.weight) for layer in layers}


def _run(net: Any, inputs: Any) -> Any:
    return net.run(inputs)


def _probes(net: RadialNetwork) -> list[Mapping[str, Tensor]]:
    generator, some = torch.Generator().manual_seed(0), next(net.parameters())
    examples = {v: some.new_empty(PROBES, net.dimensions[v]) for v in net.inputs}
    return [{v: random_like(example, scale, generator) for v, example in examples.items()} for scale in SCALES]


def _size(net: nn.Module) -> int:
    return sum(p.numel() for p in net.parameters())


def _refuse_radial(net: RadialNetwork) -> None:
    """See that the parameters are those that the network was made with, and that every arrow can turn."""
    for source, target in net.identities:
        if source in net.hidden or target in net.hidden:
            raise UnsupportedError(
                f"the arrow {source} -> {target} is a fixed identity, which does not survive different rotations at "
                "its ends: make it trainable, an arrow with the identity as its weight"
            )
    own = [part for part in net.modules() if not isinstance(part, nn.ModuleList | nn.ParameterDict)]
    for part in own[1:]:
        if type(part) not in (nn.Linear, Radial):
            raise UnsupportedError(
                f"the network was given a {type(part).__name__} after it was made: expected linear layers and radial "
                "activations only"
            )
    shapes = {name: (net.dimensions[t], net.dimensions[s]) for (s, t), name in net.arrows.items()}
    expected: dict[str, tuple[int, ...]] = shapes | {name: (net.dimensions[v],) for v, name in net.offsets.items()}
    found = {name: tuple(p.shape) for name, p in net.named_parameters()}
    for name in {**expected, **found}:
        if found.get(name) != expected.get(name):
            raise InputError(
                f"the parameter {name} has shape {found.get(name)}: expected {expected.get(name)} as the network "
                "was made"
            )
