"""A function of torch run both ways: over the field by its rules, and in float64 by torch, where integers are exact."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor, nn
from torch.func import grad

from gradlaws.exact import jet
from gradlaws.exact.execute import Context, Data, execute
from gradlaws.exact.field import PrimeField
from gradlaws.exact.jet import Jet, constant
from gradlaws.exact.rules.activation import choice_shape
from gradlaws.models.record import Program, record
from tests.exact.rules.cases import Case
from tests.oracles.along import along
from tests.samplers import GUARDED, generator

Function = Callable[..., Tensor]
BATCH = 2


class Suite(nn.Module):
    """Functions of one parameter each, and of inputs: recorded together, because recording takes long."""

    def __init__(self, cases: tuple[Case, ...]):
        super().__init__()
        self.cases = cases
        self.w = nn.ParameterList([nn.Parameter(torch.ones(case.shape)) for case in cases])

    def forward(self, *groups: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        return tuple(case.function(w, *xs) for case, w, xs in zip(self.cases, self.w, groups, strict=True))


def integers(shape: tuple[int, ...], seed: int, low: int = -3, high: int = 4) -> Tensor:
    """Small whole numbers in float64."""
    return torch.randint(low, high, shape, generator=generator(seed)).double()


@cache
def recorded(cases: tuple[Case, ...]) -> Program:
    """One recorded forward pass of many cases."""
    return record(Suite(cases), tuple(tuple(example(shape) for shape in case.examples) for case in cases), {})


def example(shape: tuple[int, ...]) -> Tensor:
    """Ones, or whole numbers zero where the last number of the shape is negative."""
    return torch.zeros(shape[:-1], dtype=torch.int64) if shape and shape[-1] < 0 else torch.ones(shape)


def inputs(case: Case) -> list[Tensor]:
    """A batch of inputs; examples of shape ``(n, -k)`` hold whole numbers below k."""
    return [
        integers((BATCH, *shape[:-1]), 10 + i, 0, -shape[-1]).long()
        if shape and shape[-1] < 0
        else integers((BATCH, *shape), 10 + i)
        for i, shape in enumerate(case.examples)
    ]


def run(cases: tuple[Case, ...], case: Case, w: Jet, context: Context | None = None) -> Jet:
    """The output of one case over the field."""
    field, program, place = w.field, recorded(cases), cases.index(case)
    context = context or context_of(cases, field)
    bindings = dict(program.constants) | {
        name: w for name, owner in program.parameters.items() if owner == f"w.{place}"
    }
    first = sum(len(other.examples) for other in cases[:place])
    names = list(program.inputs)[first : first + len(case.examples)]
    for name, value in zip(names, inputs(case), strict=True):
        bindings[name] = Data(value) if value.dtype == torch.int64 else constant(field.reduce(value), field)
    (last,) = [node for node in program.graph.nodes if node.op == "output"]
    (out,) = execute(program.graph, bindings, [last.args[0][program.outputs[place]]], context)
    return context.jet(out)


def context_of(cases: tuple[Case, ...], field: PrimeField = GUARDED, eps: str = "generic", seed: int = 3) -> Context:
    """A context with random choices for every step that needs some."""
    random, choices = generator(seed), {}
    for node in recorded(cases).graph.nodes:
        if node.op == "call_function" and (shape := choice_shape(node)) is not None:
            choices[node.name] = constant(field.random((BATCH, *shape), random), field)
    return Context(field, choices, eps)


def at_squares(cases: tuple[Case, ...], case: Case, order: int, eps: str = "generic") -> tuple[Jet, Context]:
    """Jets of the parameter at which every radicand is a square, and a context."""
    context = context_of(cases, GUARDED, eps)
    for seed in range(4000):
        context.squares.clear()
        w = Jet(GUARDED.random((2**order, BATCH, *case.shape), generator(seed)), GUARDED)
        run(cases, case, Jet(w.coefficients[:1], GUARDED), context)
        if all(bool(flags.all()) for flags in context.squares):
            return w, context
    raise AssertionError(f"no square radicands for {case}")


def over_the_field(
    cases: tuple[Case, ...], case: Case, order: int, field: PrimeField = GUARDED
) -> tuple[Tensor, Tensor]:
    """Coefficients of the parameter as whole numbers, and of the output as residues."""
    w = integers((2**order, BATCH, *case.shape), 1)
    out = run(cases, case, Jet(field.reduce(w), field))
    c = out.coefficients
    full = torch.cat([c, c.new_zeros(2**order - len(c), *c.shape[1:])])
    return w, full.expand(-1, BATCH, *out.shape)


def in_torch(case: Case, w: Tensor) -> Tensor:
    """The same coefficients by nested directional derivatives, one example at a time."""
    columns = []
    for b in range(BATCH):
        xs = [value[b] for value in inputs(case)]
        columns.append(torch.stack(coefficients(lambda v, xs=xs: case.function(v, *xs), list(w[:, b]))))
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


def gradients(cases: tuple[Case, ...], case: Case, field: PrimeField = GUARDED) -> tuple[Tensor, Tensor]:
    """Gradient of ``<c, f(w)>`` and its derivative along a direction: over the field, and in torch mod p."""
    w, values = integers((2, BATCH, *case.shape), 1), inputs(case)
    probe = case.function(w[0, 0], *[value[0] for value in values])
    c = integers((BATCH, *probe.shape), 2)

    def potential(theta: Jet) -> Jet:
        (piece,) = jet.split(theta, [case.shape])
        return (constant(field.reduce(c), field) * run(cases, case, piece)).sum()

    exact = jet.gradient(potential, field.reduce(w).flatten(2), field)
    columns = []
    for b in range(BATCH):
        xs = [value[b] for value in values]
        slope = grad(lambda v, xs=xs, b=b: (c[b] * case.function(v, *xs)).sum())
        columns.append(torch.stack(along(slope, w[0, b], w[1, b])))
    return exact, field.reduce(whole(torch.stack(columns, 1).flatten(2)))
