"""Every algebraic rule gives the value and the derivative that torch gives, at numbers put in for the variables."""

from math import prod

import pytest
import torch
from torch import nn
from torch.nn import functional

import gradlaws.exact.dual  # noqa: F401 - registers the rules
from gradlaws.exact.dual.cells import Cells
from gradlaws.exact.dual.run import Entries, run_on_cells
from gradlaws.exact.polynomial import constant
from gradlaws.models.record import record
from tests.samplers import generator

INDEX = torch.tensor([[1, 0, 1]])
MASK = torch.tensor([[True, False, True], [False, True, True]])
POOL = nn.AvgPool2d(2)

# shape of the parameter w, shape of the input x, and a function of both
CASES = {
    "linear": ((3, 2), (4, 2), lambda w, x: functional.linear(x, w, w[:, 0])),
    "matmul of a vector": ((2, 3, 2), (2,), lambda w, x: w @ x),
    "batched matmul": ((2, 3, 2), (2, 2, 4), lambda w, x: torch.baddbmm(w.sum(-1, keepdim=True), w, x, beta=2)),
    "addmm": ((3, 2), (2, 4), lambda w, x: torch.addmm(w[:, :1], w, x, beta=0.5, alpha=3)),
    "einsum": ((2, 3), (3, 4, 2), lambda w, x: torch.einsum("ab,bca->ca", w, x)),
    "einsum with a sum": ((2, 3), (4,), lambda w, x: torch.einsum("ab,c->ac", w, x)),
    "conv1d": ((2, 3, 2), (1, 3, 6), lambda w, x: functional.conv1d(x, w, w[:, 0, 0], stride=2, padding=1)),
    "conv2d": ((4, 1, 2, 3), (2, 2, 5, 6), lambda w, x: functional.conv2d(x, w, None, (1, 2), (1, 0), groups=2)),
    "dilated conv2d": ((2, 2, 2, 2), (1, 2, 5, 6), lambda w, x: functional.conv2d(x, w, dilation=(2, 3))),
    "conv3d": ((1, 2, 1, 2, 2), (1, 2, 2, 3, 3), lambda w, x: functional.conv3d(x, w, padding=1)),
    "sums": ((2, 3), (2, 3), lambda w, x: (w * x).sum(0) + w.mean() - (w * x).cumsum(1).sum(0)[None]),
    "variance": ((2, 3), (2, 3), lambda w, x: (w * x).var(1, correction=1, keepdim=True) * x),
    "powers": ((2, 3), (2, 3), lambda w, x: w**3 / (w * x) + (x * w).square() + w.sqrt() / 3 - (x + w * w) ** -1.5),
    "norms": ((2, 3), (2, 3), lambda w, x: w / w.norm(dim=-1, keepdim=True) - x * torch.linalg.vector_norm(w)),
    "layer norm": ((2, 3), (2, 3), lambda w, x: functional.layer_norm(w + x, (3,), w[0], w[1], 0.25)),
    "rms norm": ((2, 3), (2, 3), lambda w, x: functional.rms_norm(w + x, (3,), w[0], 0.25)),
    "group norm": ((1, 4, 2), (1, 4, 2), lambda w, x: functional.group_norm(w * x, 2, w[0, :, 0], w[0, :, 1], 0.25)),
    "instance norm": ((1, 2, 3), (1, 2, 3), lambda w, x: functional.instance_norm(w * x, eps=0.25)),
    "batch norm": ((3, 2), (3, 2), lambda w, x: functional.batch_norm(w * x, None, None, w[0], w[1], True, 0.1, 0.25)),
    "moves": ((2, 4), (4, 2), lambda w, x: torch.cat([w.T[1:], x.flip(0)[:2]]).view(2, -1).roll(1, 1).unfold(1, 2, 2)),
    "stack and repeat": ((2, 2), (2, 2), lambda w, x: torch.stack([w, x], 1).repeat_interleave(2, 0).repeat(1, 2, 1)),
    "padding": ((2, 2), (2, 2), lambda w, x: functional.pad(w * x, (1, 2, 0, 1)) + functional.pad(w, (0, 3, 1, 0))),
    "triangles": ((3, 3), (3, 3), lambda w, x: w.tril() @ x.triu() + torch.diag_embed(w[0])),
    "known places": ((3, 2), (2, 3), lambda w, x: w[INDEX[0]].gather(1, INDEX.T) + w[:, INDEX[0]][:, :1]),
    "masks": ((2, 3), (2, 3), lambda w, x: torch.where(MASK, w, x).masked_fill(~MASK & MASK.flip(0), 2.0)),
    "pooling": ((1, 1, 4, 4), (1, 1, 4, 4), lambda w, x: functional.adaptive_avg_pool2d(w * x, 2) + POOL(w)),
    "subtractions": ((2, 2), (2, 2), lambda w, x: torch.sub(x, w, alpha=2) - torch.add(x, w, alpha=3) + (2 - w) * x),
}  # fmt: skip


class Program(nn.Module):
    def __init__(self, shape, function):
        super().__init__()
        self.w, self.function = nn.Parameter(torch.zeros(shape)), function

    def forward(self, x):
        return self.function(self.w, x)


def evaluated(p, known, cells):
    """A polynomial at numbers; inverses are computed from their arguments."""
    total = 0.0
    for monomial, c in p.terms.items():
        for v in monomial:
            if v not in known:
                power, argument = cells.relations.inverses[v]
                known[v] = evaluated(argument, known, cells) ** (-1 / power)
        total += float(c) * prod(known[v] for v in monomial)
    return total


@pytest.mark.parametrize("name", CASES)
def test_a_rule_differentiates_as_torch_does(name):
    shape, inputs, function = CASES[name]
    w = torch.rand(shape, generator=generator(1), dtype=torch.float64) + 0.5
    x = torch.rand(inputs, generator=generator(2), dtype=torch.float64) + 0.5
    v = torch.randint(1, 999, shape, generator=generator(3))
    cells = Cells({i + 1: constant(c) for i, c in enumerate(v.flatten().tolist())}, 1 + w.numel(), 10**7, names=False)
    weights, data = torch.arange(1, 1 + w.numel()).reshape(shape), cells.fresh(inputs)
    known = dict(
        zip(
            weights.flatten().tolist() + data.flatten().tolist(),
            [*w.flatten().tolist(), *x.flatten().tolist()],
            strict=True,
        )
    )
    program = record(Program(shape, function), (torch.ones(inputs),), {})
    bindings = dict(program.constants) | {next(iter(program.parameters)): Entries(weights)}
    bindings[next(iter(program.inputs))] = Entries(data)
    (last,) = [node for node in program.graph.nodes if node.op == "output"]
    wanted = [last.args[0][i] for i in program.outputs]
    (out,) = run_on_cells(program.graph, bindings, wanted, cells, "generic")
    slope = torch.autograd.functional.jacobian(lambda w: function(w, x), w).flatten(-len(shape)) @ v.flatten().double()
    value = function(w, x)
    assert out.cells.shape == value.shape
    moving = cells.moving(out.cells).flatten().tolist()
    assert any(moving)
    for cell, number, rate, moves in zip(
        out.cells.flatten().tolist(), value.flatten(), slope.flatten(), moving, strict=True
    ):
        dual = cells.dual(cell)
        assert evaluated(dual.tangent, known, cells) == pytest.approx(float(rate))
        if moves:  # what does not move is a variable of its own
            assert evaluated(dual.value, known, cells) == pytest.approx(float(number))
