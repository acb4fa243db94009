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
from gradlaws.models.pool import MOST_ROWS, pool_of
from gradlaws.progress import Progress

_BATCH = 1024
_NUMBERS = 2**26
_WIDTHS, _COPIES, _FULL = (2048, 6144), 2, 0.9


def streamed_rank(
    draw: Callable[[int], Tensor],
    rows: int | None,
    columns: int,
    field: PrimeField,
    on_progress: Progress | None,
    footprint: int,
    enough: int | None = None,
) -> tuple[int, int]:
    """Rank of rows that come in batches, and how many came.

    Args:
        draw: the next so many rows ``[count, columns]``.
        rows: how many there are; None for random ones without end, drawn until a batch is not all new.
        columns: D.
        field: where to compute.
        on_progress: hears the fraction done.
        footprint: numbers that one row takes while it is made.
        enough: a rank at which to stop; D if not given.
    """
    chunk, seen = max(1, min(_BATCH, _NUMBERS // footprint)), 0
    empty = linalg.echelon(torch.zeros(0, columns, dtype=torch.float64, device=field.device), field)
    found, end = empty, columns + linalg.LEAF if rows is None else rows
    while seen < end and found.rank < (enough or columns):
        count, before = min(_BATCH, end - seen), found.rank
        batch = torch.cat([draw(min(chunk, count - start)) for start in range(0, count, chunk)])
        found, seen = linalg.extend(found, batch, field), seen + count
        if on_progress:
            on_progress("elimination", min(1.0, seen / end))
        if rows is None and found.rank < before + count:
            break
    return found.rank, seen


def sketched_rank(
    restart: Callable[[], Callable[[int], Tensor]],
    rows: int,
    columns: int,
    field: PrimeField,
    generator: torch.Generator,
    on_progress: Progress | None,
) -> int:
    """Rank of rows of which there may be far fewer independent ones than columns.

    The columns are first added up into fewer, each with random factors into two random places; that never raises the
    rank, and keeps it but for bad luck while it is clearly below their number. Otherwise more of them are taken.

    Args:
        restart: gives what draws the rows from the first one on.
        rows: how many there are.
        columns: D.
        field: where to compute.
        generator: of the sketch.
        on_progress: hears the fraction done.
    """
    for width in _WIDTHS:
        if 2 * width < min(rows, columns):
            sketch = _Sketch(restart(), columns, width, field, generator)
            enough = int(_FULL * width)
            rank, _ = streamed_rank(sketch.draw, rows, width, field, on_progress, columns, enough)
            if rank < enough:
                return rank
    return streamed_rank(restart(), rows, columns, field, on_progress, columns)[0]


class _Sketch:
    """Rows with their columns added up."""

    def __init__(
        self,
        draw: Callable[[int], Tensor],
        columns: int,
        width: int,
        field: PrimeField,
        generator: torch.Generator,
    ) -> None:
        self._draw, self._width, self._field = draw, width, field
        self._places = torch.randint(0, width, (_COPIES, columns), generator=generator).to(field.device)
        self._factors = field.random((_COPIES, columns), generator)

    def draw(self, count: int) -> Tensor:
        """The next rows ``[count, width]``."""
        rows = self._draw(count)
        total = rows.new_zeros(count, self._width)
        for places, factors in zip(self._places, self._factors, strict=True):
            total.index_add_(1, places, self._field.reduce(rows * factors))
        return self._field.reduce(total)


def rows_on_data(
    module: nn.Module, inputs: Tensor, field: PrimeField
) -> tuple[Callable[[], Callable[[int], Tensor]], int]:
    """Rows of the Jacobian of a float64 module at its weights on inputs ``[N, ...]``, and how many.

    What is returned starts from the first one each time it is called.

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
    flow = GradientFlow(family.relaxed())

    def gates(first: int) -> dict[str, Tensor]:
        """Inputs and gates of the next examples."""
        part = inputs[first : first + MOST_ROWS].unsqueeze(1)
        pool = pool_of(family.program, family.drawn_inputs, part, weights)
        found = {f"choice {name}": residues.of(values) for name, values in pool.choices.items()}
        for name, values in pool.inputs.items():
            whole = name in family.vocabularies
            found[f"input {name}"] = values.to(torch.float64) if whole else residues.exact(values)
        return found

    def restart() -> Callable[[int], Tensor]:
        position, instances = 0, dict[str, Tensor]()

        def draw(count: int) -> Tensor:
            nonlocal position, instances
            start = position % (MOST_ROWS * outputs)
            if start == 0:
                instances = gates(position // outputs)
            now = min(count, MOST_ROWS * outputs - start)
            examples, entries = _divmod(torch.arange(start, start + now), outputs)
            chosen = {name: values[examples] for name, values in instances.items()}
            one_hot = torch.nn.functional.one_hot(entries, outputs).double().reshape(now, *shape)
            chosen["cotangent 0"] = one_hot.to(field.device)
            position += now
            here = flow.velocity(theta.expand(now, -1).unsqueeze(0), chosen, field)[0]
            return here if now == count else torch.cat([here, draw(count - now)])

        return draw

    return restart, len(inputs) * outputs


def _divmod(numbers: Tensor, divisor: int) -> tuple[Tensor, Tensor]:
    return numbers // divisor, numbers % divisor
