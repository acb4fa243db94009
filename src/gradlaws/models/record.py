"""Records what a torch module computes, as a graph of operations, without touching the module."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.export import export
from torch.export.graph_signature import InputKind, OutputKind
from torch.utils import _pytree as pytree

from gradlaws.errors import InputError, UnsupportedError


@dataclass(frozen=True, eq=False, slots=True)
class Program:
    """A recorded forward pass.

    Args:
        graph: functional operations on placeholders.
        parameters: the parameter that each of some placeholders stands for; tied ones share a name.
        constants: buffers and literal tensors.
        inputs: example values of the inputs of the user.
        outputs: positions of what the user's forward returns among the outputs of the graph.
    """

    graph: fx.Graph
    parameters: Mapping[str, str]
    constants: Mapping[str, Any]
    inputs: Mapping[str, Any]
    outputs: tuple[int, ...]


def record(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Program:
    """Record a copy of the module on example inputs.

    Raises:
        InputError: the module fails on the inputs.
        UnsupportedError: it branches on values, changes its parameters, or cannot be copied.
    """
    state = torch.random.get_rng_state()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            program = _export(module, args, kwargs)
    finally:
        torch.random.set_rng_state(state)
    return program


def _export(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Program:
    duplicate = _copy(module)
    _probe(duplicate, args, kwargs)
    try:
        exported = export(duplicate, args, kwargs, strict=False).run_decompositions({})
    except Exception as error:
        raise UnsupportedError(
            f"cannot record {type(module).__name__}: {_first_sentence(error)}; a forward pass must not branch on "
            "values or depend on anything but its inputs"
        ) from None
    names = {id(p): name for name, p in duplicate.named_parameters()}
    owned = dict(duplicate.named_parameters(remove_duplicate=False))
    parameters, constants, inputs = {}, {}, {}
    leaves = iter(pytree.tree_leaves((args, kwargs)))
    for spec in exported.graph_signature.input_specs:
        name = spec.arg.name
        if spec.kind is InputKind.PARAMETER:
            parameters[name] = names[id(owned[str(spec.target)])]
        elif spec.kind is InputKind.USER_INPUT:
            inputs[name] = next(leaves)
        elif spec.kind is InputKind.BUFFER and str(spec.target) in exported.state_dict:
            constants[name] = exported.state_dict[str(spec.target)]
        else:
            constants[name] = exported.constants[str(spec.target)]
    outputs = tuple(
        i for i, spec in enumerate(exported.graph_signature.output_specs) if spec.kind is OutputKind.USER_OUTPUT
    )
    return Program(exported.graph, parameters, constants, inputs, outputs)


def _copy(module: nn.Module) -> nn.Module:
    try:
        return copy.deepcopy(module)
    except Exception as error:
        raise UnsupportedError(f"cannot copy {type(module).__name__}: {_first_sentence(error)}") from None


def _probe(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """Run the copy twice: it must accept the inputs, repeat itself, and leave its parameters and buffers alone."""
    if module.training:
        return  # dropout and batch statistics are random or stateful on purpose; their rules know
    before = [t.clone() for t in (*module.parameters(), *module.buffers())]
    try:
        first, second = (_tensors(module(*args, **kwargs)) for _ in range(2))
    except Exception as error:
        raise InputError(
            f"{type(module).__name__} fails on the example inputs: {_first_sentence(error)}; pass inputs that its "
            "forward accepts"
        ) from None
    after = [*module.parameters(), *module.buffers()]
    if any(not torch.equal(a, b) for a, b in zip(before, after, strict=True)):
        raise UnsupportedError(f"{type(module).__name__} changes its own parameters or buffers when it runs")
    if any(not torch.equal(a, b) for a, b in zip(first, second, strict=True)):
        raise UnsupportedError(
            f"{type(module).__name__} draws random numbers: two runs on the same inputs differ; call model.eval() or "
            "remove the noise"
        )


def _tensors(output: Any) -> list[Tensor]:
    return [leaf for leaf in pytree.tree_leaves(output) if isinstance(leaf, Tensor)]


def _first_sentence(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[0] if lines else type(error).__name__).rstrip(".")
