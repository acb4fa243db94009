"""Makes regions without gradients visible: what leaves a ``torch.no_grad()`` block is detached."""

from __future__ import annotations

import torch
from torch import Tensor, fx
from torch.export import ExportedProgram

_REGION = "wrap_with_set_grad_enabled"


def detach_regions(program: ExportedProgram) -> None:
    """Write the detaching into the recorded graph, in place: torch forgets the regions when it takes graphs apart."""
    for node in program.graph.nodes:
        if node.op == "call_function" and str(node.target) == _REGION and node.args[0] is False:
            inner = getattr(program.graph_module, str(node.args[1].target))
            _detach_outputs(inner.graph)
            inner.recompile()


def _detach_outputs(graph: fx.Graph) -> None:
    (last,) = [node for node in graph.nodes if node.op == "output"]

    def detached(value: fx.Node) -> fx.Node:
        example = value.meta.get("val")
        if not (isinstance(example, Tensor) and example.is_floating_point()):
            return value
        with graph.inserting_before(last):
            cut = graph.call_function(torch.ops.aten.detach.default, (value,))
        cut.meta = dict(value.meta)
        return cut

    last.args = fx.node.map_arg(last.args, detached)
