"""What a recorded program must not do: draw noise, change its state, or have shapes that depend on values."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import torch
from torch import Tensor, fx
from torch.export import ExportedProgram
from torch.export.graph_signature import OutputKind
from torch.utils import _pytree as pytree

from gradlaws.errors import UnsupportedError
from gradlaws.exact.execute import RULES, operation, user_line

_TAKEN_OUT = ("aten.item", "aten._local_scalar_dense")
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
        if name in _TAKEN_OUT:
            raise UnsupportedError(
                f"a number is taken out of a tensor ({name} at {line}): keep it a tensor, so that its derivative counts"
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


def refuse_constant(outputs: Sequence[fx.Node], moving: Collection[str], title: str) -> None:
    """See that some output depends on a parameter that moves.

    Args:
        outputs: floating point results.
        moving: placeholders of the parameters that are trained.
        title: what to call the module.

    Raises:
        UnsupportedError: none does.
    """
    seen: set[fx.Node] = set()
    todo = list(outputs)
    while todo:
        node = todo.pop()
        if node.name in moving:
            return
        if node not in seen and operation(node) != "aten.detach":
            todo += node.all_input_nodes
        seen.add(node)
    raise UnsupportedError(
        f"no output of {title} depends on a parameter that moves: return something that a loss can be made of, not "
        "detached"
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
