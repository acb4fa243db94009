"""What a recorded program must not do: draw noise, change its state, or have shapes that depend on values."""

from __future__ import annotations

import torch
from torch import Tensor, fx
from torch.export import ExportedProgram
from torch.export.graph_signature import OutputKind
from torch.utils import _pytree as pytree

from gradlaws.errors import UnsupportedError
from gradlaws.exact.execute import RULES, operation, user_line

_STATISTICS = "aten._native_batch_norm_legit_functional"


def refuse(program: ExportedProgram, title: str) -> None:
    """Look at every step of a recorded program.

    Raises:
        UnsupportedError: with the operation and the line of the user's code.
    """
    for node in program.graph.nodes:
        if node.op != "call_function":
            continue
        name, line = operation(node), user_line(node)
        if torch.Tag.nondeterministic_seeded in getattr(node.target, "tags", ()) and name not in RULES:
            raise UnsupportedError(
                f"{title} draws random numbers ({name} at {line}): pass the noise as an input, or remove it"
            )
        if any(not _static(value) for value in pytree.tree_leaves(node.meta.get("val"))):
            raise UnsupportedError(
                f"the shape of a tensor depends on values ({name} at {line}): index with whole numbers or multiply by "
                "a mask instead"
            )
    steps = {node.name: node for node in program.graph.nodes}
    for spec in program.graph_signature.output_specs:
        if spec.kind is OutputKind.BUFFER_MUTATION and not _harmless(steps[spec.arg.name]):
            raise UnsupportedError(
                f"{title} changes its buffer {spec.target} when it runs: only the running statistics of batch "
                "normalisation and whole-number counters may change; call model.eval() or remove the buffer"
            )


def _static(value: object) -> bool:
    if isinstance(value, Tensor):
        return all(isinstance(length, int) for length in value.shape)
    return not isinstance(value, torch.SymInt | torch.SymFloat | torch.SymBool)


def _harmless(node: fx.Node) -> bool:
    """Whether a new state is a running statistic or a counter."""
    value = node.meta["val"]
    if isinstance(value, Tensor) and not value.is_floating_point():
        return True
    source = node.args[0] if operation(node) == "getitem" else node
    return isinstance(source, fx.Node) and operation(source) == _STATISTICS
