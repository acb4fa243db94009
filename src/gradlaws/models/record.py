"""Records what a torch module computes, as a graph of operations, without touching the module."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.export import ExportedProgram, default_decompositions, export
from torch.export.graph_signature import InputKind, OutputKind
from torch.utils import _pytree as pytree

import gradlaws.exact.rules  # noqa: F401 - registers the rules
from gradlaws.errors import InputError, UnsupportedError
from gradlaws.exact.execute import RULES, operation
from gradlaws.models.refusal import refuse
from gradlaws.models.stopped import detach_regions

_ROUNDS = 3
_REAL = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


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
    with torch.random.fork_rng(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        _refuse_types(module)
        args, kwargs = pytree.tree_map_only(Tensor, lambda t: t.detach().clone(), (args, kwargs))
        _probe(_copy(module), args, kwargs)
        return _program(_copy(module), args, kwargs)


def _program(duplicate: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Program:
    exported = _export(duplicate, args, kwargs)
    refuse(exported, type(duplicate).__name__)
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
        else:  # tokens that order side effects have no target
            constants[name] = exported.constants.get(str(spec.target))
    outputs = tuple(
        i for i, spec in enumerate(exported.graph_signature.output_specs) if spec.kind is OutputKind.USER_OUTPUT
    )
    return Program(exported.graph, parameters, constants, inputs, outputs)


def _export(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> ExportedProgram:
    """The graph of operations; those without a rule are taken apart as far as torch knows how to."""
    try:
        exported = export(module, args, kwargs, strict=False)
        detach_regions(exported)
        exported = exported.run_decompositions({})
        for _ in range(_ROUNDS):
            missing = {node.target for node in exported.graph.nodes if _has_no_rule(node)}
            known = default_decompositions() if missing else {}
            table = {target: known[target] for target in missing if target in known}
            if not table:
                break
            exported = exported.run_decompositions(table)
    except Exception as error:
        raise UnsupportedError(
            f"cannot record {type(module).__name__}: {_first_sentence(error)}; a forward pass must not branch on "
            "values or depend on anything but its inputs"
        ) from None
    return exported


def _has_no_rule(node: fx.Node) -> bool:
    """Whether a step that sees other values, not only constants of the program, has no rule."""
    return node.op == "call_function" and bool(node.all_input_nodes) and operation(node) not in RULES


def _refuse_types(module: nn.Module) -> None:
    for name, parameter in module.named_parameters():
        if parameter.dtype not in _REAL:
            raise UnsupportedError(
                f"the parameter {name} holds {str(parameter.dtype).removeprefix('torch.')}: expected real floating "
                "point numbers; for complex ones, train their real and imaginary parts"
            )


def _copy(module: nn.Module) -> nn.Module:
    try:
        return copy.deepcopy(module)
    except Exception as error:
        raise UnsupportedError(f"cannot copy {type(module).__name__}: {_first_sentence(error)}") from None


def _probe(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """Run a copy twice: it must accept the inputs, repeat itself, and leave its parameters and buffers alone.

    In training mode dropout is random and batch statistics have a state, on purpose: there the recorded program is
    looked at instead.
    """
    before = [t.clone() for t in (*module.parameters(), *module.buffers())]
    try:
        first, second = (_tensors(module(*args, **kwargs)) for _ in range(2))
    except Exception as error:
        raise InputError(
            f"{type(module).__name__} fails on the example inputs: {_first_sentence(error)}; pass inputs that its "
            "forward accepts"
        ) from None
    if module.training:
        return
    after = [*module.parameters(), *module.buffers()]
    if any(not _same(a, b) for a, b in zip(before, after, strict=True)):
        raise UnsupportedError(
            f"{type(module).__name__} changes its own parameters or buffers when it runs: compute new tensors instead"
        )
    if any(not _same(a, b) for a, b in zip(first, second, strict=True)):
        raise UnsupportedError(
            f"{type(module).__name__} draws random numbers: two runs on the same inputs differ; call model.eval() or "
            "remove the noise"
        )


def _same(a: Tensor, b: Tensor) -> bool:
    return a.shape == b.shape and torch.equal(a.nan_to_num(), b.nan_to_num())


def _tensors(output: Any) -> list[Tensor]:
    return [leaf for leaf in pytree.tree_leaves(output) if isinstance(leaf, Tensor)]


def _first_sentence(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[0] if lines else type(error).__name__).rstrip(".")
