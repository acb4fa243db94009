"""A function of torch run both ways: over the field by its rules, and in float64 by torch, where integers are exact."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor, nn
from torch.func import grad

import gradlaws.exact.rules  # noqa: F401 - registers the rules
from gradlaws.exact import jet
from gradlaws.exact.execute import Context, Data, execute
from gradlaws.exact.field import PrimeField
from gradlaws.exact.jet import Jet, constant
from gradlaws.models.record import Program, record
from tests.oracles.along import along
from tests.samplers import GUARDED, generator

Function = Callable[..., Tensor]
BATCH = 2


class Holder(nn.Module):
    """A function of one parameter and of inputs."""

    def __init__(self, function: Function, shape: tuple[int, ...]):
        super().__init__()
        self.w = nn.Parameter(torch.ones(shape))
        self.function = function

    def forward(self, *inputs: Tensor) -> Tensor:
        return self.function(self.w, *inputs)


def integers(shape: tuple[int, ...], seed: int, low: int = -3, high: int = 4) -> Tensor:
    """Small whole numbers in float64."""
    return torch.randint(low, high, shape, generator=generator(seed)).double()


@cache
def recorded(function: Function, shape: tuple[int, ...], examples: tuple[tuple[int, ...], ...]) -> Program:
    """The recorded forward pass; examples of shape ``(n, -k)`` hold whole numbers below k."""
    inputs = tuple(example(shape) for shape in examples)
    return record(Holder(function, shape).eval(), inputs, {})


def example(shape: tuple[int, ...]) -> Tensor:
    """Ones, or whole numbers zero where the last number of the shape is negative."""
    return torch.zeros(shape[:-1], dtype=torch.int64) if shape and shape[-1] < 0 else torch.ones(shape)


def inputs(examples: tuple[tuple[int, ...], ...]) -> list[Tensor]:
    """A batch of inputs."""
    return [
        integers((BATCH, *shape[:-1]), 10 + i, 0, -shape[-1]).long()
        if shape and shape[-1] < 0
        else integers((BATCH, *shape), 10 + i)
        for i, shape in enumerate(examples)
    ]


def run(program: Program, w: Jet, values: list[Tensor], context: Context | None = None) -> Jet:
    """The first output over the field."""
    field = w.field
    bindings = dict(program.constants) | dict.fromkeys(program.parameters, w)
    for name, value in zip(program.inputs, values, strict=True):
        bindings[name] = Data(value) if value.dtype == torch.int64 else constant(field.reduce(value), field)
    (last,) = [node for node in program.graph.nodes if node.op == "output"]
    context = context or Context(field, {})
    (out,) = execute(program.graph, bindings, [last.args[0][program.outputs[0]]], context)
    return context.jet(out)


def over_the_field(function, shape, examples, order: int, field: PrimeField = GUARDED) -> tuple[Tensor, Tensor]:
    """Coefficients of the parameter as whole numbers, and of the output as residues."""
    w = integers((2**order, BATCH, *shape), 1)
    out = run(recorded(function, shape, examples), Jet(field.reduce(w), field), inputs(examples))
    c = out.coefficients
    full = torch.cat([c, c.new_zeros(2**order - len(c), *c.shape[1:])])
    return w, full.expand(-1, BATCH, *out.shape)


def in_torch(function, w: Tensor, examples) -> Tensor:
    """The same coefficients by nested directional derivatives, one example at a time."""
    columns = []
    for b in range(BATCH):
        xs = [value[b] for value in inputs(examples)]
        columns.append(torch.stack(coefficients(lambda v, xs=xs: function(v, *xs), list(w[:, b]))))
    return whole(torch.stack(columns, 1))


def whole(x: Tensor) -> Tensor:
    """The whole numbers that floats stand for; divisions in between round."""
    assert bool((x - x.round()).abs().max() < 1e-9), "the case itself is not whole"
    return x.round()


def coefficients(function: Function, parts: list[Tensor]) -> list[Tensor]:
    """Coefficients of ``f(w0 + e1 w1 + e2 w2 + e1 e2 w12)``."""
    if len(parts) == 1:
        return [function(parts[0])]
    if len(parts) == 2:
        return list(along(function, *parts))
    start, first, second, both = parts
    _, moved = along(function, start, second)
    value, slope = along(function, start, first)
    _, twice = along(lambda v: along(function, v, first)[1], start, second)
    return [value, slope, moved, twice + along(function, start, both)[1]]


def gradients(function, shape, examples, field: PrimeField = GUARDED) -> tuple[Tensor, Tensor]:
    """Gradient of ``<c, f(w)>`` and its derivative along a direction: over the field, and in torch mod p."""
    program = recorded(function, shape, examples)
    w, values = integers((2, BATCH, *shape), 1), inputs(examples)
    probe = function(w[0, 0], *[value[0] for value in values])
    c = integers((BATCH, *probe.shape), 2)

    def potential(theta: Jet) -> Jet:
        (piece,) = jet.split(theta, [shape])
        return (constant(field.reduce(c), field) * run(program, piece, values)).sum()

    exact = jet.gradient(potential, field.reduce(w).flatten(2), field)
    columns = []
    for b in range(BATCH):
        xs = [value[b] for value in values]
        slope = grad(lambda v, xs=xs, b=b: (c[b] * function(v, *xs)).sum())
        columns.append(torch.stack(along(slope, w[0, b], w[1, b])))
    return exact, field.reduce(whole(torch.stack(columns, 1).flatten(2)))
