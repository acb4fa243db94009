"""Rows of Jacobians modulo a prime, in batches, and their rank by one streamed elimination."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from gradlaws.errors import InputError
from gradlaws.exact import linalg
from gradlaws.exact.constants import Residues
from gradlaws.exact.field import PrimeField
from gradlaws.flows.gradient import GradientFlow
from gradlaws.geometry.diffusion import Progress
from gradlaws.models.pool import MOST_ROWS, pool_of

_BATCH = 1024
_NUMBERS = 2**26


def streamed_rank(
    draw: Callable[[int], Tensor],
    rows: int | None,
    columns: int,
    field: PrimeField,
    on_progress: Progress | None,
    footprint: int,
) -> tuple[int, int]:
    """Rank of rows that come in batches, and how many came.

    Args:
        draw: the next so many rows ``[count, columns]``.
        rows: how many there are; None for random ones without end, drawn until a batch is not all new.
        columns: D.
        field: where to compute.
        on_progress: hears the fraction done.
        footprint: numbers that one row takes while it is made.
    """
    chunk, seen = max(1, min(_BATCH, _NUMBERS // footprint)), 0
    empty = linalg.echelon(torch.zeros(0, columns, dtype=torch.float64, device=field.device), field)
    found, end = empty, columns + linalg.LEAF if rows is None else rows
    while seen < end and found.rank < columns:
        count, before = min(_BATCH, end - seen), found.rank
        batch = torch.cat([draw(min(chunk, count - start)) for start in range(0, count, chunk)])
        found, seen = linalg.extend(found, batch, field), seen + count
        if on_progress:
            on_progress("elimination", min(1.0, seen / end))
        if rows is None and found.rank < before + count:
            break
    return found.rank, seen


def rows_on_data(module: nn.Module, inputs: Tensor, field: PrimeField) -> tuple[Callable[[int], Tensor], int]:
    """Rows of the Jacobian of a float64 module at its weights on inputs ``[N, ...]``, one by one, and how many.

    Raises:
        InputError: the output of one example is not one tensor.
        UnsupportedError: an operation has no exact rule.
    """
    from gradlaws.models.module import from_module  # noqa: PLC0415 - takes as long to import as torch itself

    family = from_module(module, inputs[:1])
    if len(family.outputs) != 1:
        raise InputError(f"{family.name} returns {len(family.outputs)} tensors: expected one")
    shape = tuple(family.outputs[0].meta["val"].shape)
    outputs, residues = torch.Size(shape).numel(), Residues(field)
    weights = {name: p.detach() for name, p in module.named_parameters()}
    theta = residues.exact(torch.cat([weights[name].flatten() for name in family.parameters]))
    flow, position = GradientFlow(family.relaxed()), 0
    instances: dict[str, Tensor] = {}

    def prepare(first: int) -> None:
        """Inputs and gates of the next examples."""
        part = inputs[first : first + MOST_ROWS].unsqueeze(1)
        pool = pool_of(family.program, family.drawn_inputs, part, weights)
        instances.clear()
        instances.update({f"choice {name}": residues.of(values) for name, values in pool.choices.items()})
        for name, values in pool.inputs.items():
            whole = name in family.vocabularies
            instances[f"input {name}"] = values.to(torch.float64) if whole else residues.exact(values)

    def draw(count: int) -> Tensor:
        nonlocal position
        if position % (MOST_ROWS * outputs) == 0:
            prepare(position // outputs)
        count_here = min(count, MOST_ROWS * outputs - position % (MOST_ROWS * outputs))
        numbers = torch.arange(position, position + count_here)
        examples, entries = numbers // outputs % MOST_ROWS, numbers % outputs
        chosen = {name: values[examples] for name, values in instances.items()}
        cotangents = torch.nn.functional.one_hot(entries, outputs).double().reshape(count_here, *shape)
        chosen["cotangent 0"] = cotangents.to(field.device)
        position += count_here
        here = flow.velocity(theta.expand(count_here, -1).unsqueeze(0), chosen, field)[0]
        return here if count_here == count else torch.cat([here, draw(count - count_here)])

    return draw, len(inputs) * outputs
