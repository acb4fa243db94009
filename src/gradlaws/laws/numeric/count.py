"""How many laws a module has at one real point, by the rank of nested brackets in float64. Nothing here is proved.

The independent shadow of the exact engine: no arithmetic is shared, not even the recorded program. The count is the
dimension minus the rank of the Lie algebra of the gradient fields (Marcotte, Gribonval, Peyre 2023, theorem 3.3), built
level by level as in `gradlaws.laws.closure`, with singular values in place of elimination.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from gradlaws.errors import InputError, UnclearError
from gradlaws.laws.count import Count, Evidence, Level, Status
from gradlaws.laws.numeric.draw import make_sampler
from gradlaws.laws.numeric.elementary import quiet_float64
from gradlaws.laws.numeric.real import real_module
from gradlaws.laws.numeric.seen import Frozen, frozen_entries, frozen_parameters, sums_and_squares
from gradlaws.laws.numeric.span import Site
from gradlaws.laws.numeric.spectrum import Gap, find_gap
from gradlaws.laws.numeric.units import Units, watch_units
from gradlaws.progress import Progress

LOSSES = ("any", "mse", "bce", "cross_entropy")
POINTS = ("generic", "weights")

MAX_LEVEL = 5
"""Bracket length at which the engine gives up: each level costs several times as much as the one before."""

SPARE = 20
"""Random brackets beyond the number needed."""

_LARGEST_ANSATZ = 400
"""Parameters up to which sums and squares are looked for."""


@dataclass(frozen=True, slots=True)
class NumericCount:
    """How many independent laws there are near one real point, in floating point: NUMERIC, nothing is proved.

    Args:
        model: class of the module.
        count: parameters minus rank.
        parameters: dimension D, frozen parameters not included.
        gap: the rank and the two singular values that it rests on.
        levels: one record per bracket length; the last one added nothing unless the rank is full.
        at: ``generic`` for a random point, ``weights`` for the current weights.
        narrowed: the inputs were restricted to given ones, which can only add laws.
        units: at the weights, which units were never open or always; at a generic point gates are random.
        pieces: functions in pieces that had no random gates: they may have shown more laws than the architecture has.
        frozen: parameters that never move.
        laws: sums and sums of squares that were seen to be conserved, as text.
        seed: of every random choice.
        seconds: wall time.
    """

    model: str
    count: int
    parameters: int
    gap: Gap
    levels: tuple[Level, ...]
    at: str
    narrowed: bool
    units: Units
    pieces: tuple[str, ...]
    frozen: tuple[Frozen, ...]
    laws: tuple[str, ...]
    seed: int
    seconds: float

    @property
    def status(self) -> Status:
        """Always NUMERIC."""
        return Status.NUMERIC

    @property
    def of_the_architecture(self) -> bool:
        """Whether the question was the one that the exact engine answers: any input, any weights, any gates."""
        return self.at == "generic" and not self.narrowed and not self.pieces

    @property
    def as_count(self) -> Count:
        """The same as a Count, for whoever expects one; both bounds are this number."""
        evidence = Evidence((), self.seed, self.levels, seconds=self.seconds, notes=self._notes)
        return Count(self.count, self.count, Status.NUMERIC, evidence, self.parameters)

    @property
    def _notes(self) -> tuple[str, ...]:
        gap = f"singular values {self.gap.last:.1e} | {self.gap.next:.1e}, a ratio of {self.gap.ratio:.1e}"
        where = {"generic": "a random point", "weights": "the current weights"}[self.at]
        given = " and the given inputs" if self.narrowed else ""
        seen = [str(self.units)] if self.units.total else []
        pieces = [f"only those pieces of {', '.join(self.pieces)} that occur at this point"] if self.pieces else []
        return (f"in float64 at {where}{given}: rank {self.gap.rank}, {gap}", *seen, *pieces)

    def __str__(self) -> str:
        added = " + ".join(str(level.rank) for level in self.levels)
        lines = [
            f"{self.model}: {self.count} NUMERIC independent laws, {self.parameters} parameters",
            f"  rank by bracket length: {added}, seed {self.seed}",
            *(f"  {note}" for note in self._notes),
            *(f"  {frozen}" for frozen in self.frozen),
            *(f"  {law}" for law in self.laws),
        ]
        return "\n".join(lines)


def numeric_count(
    module: nn.Module,
    example_inputs: Any,
    *,
    loss: str = "any",
    parameters: str | None = None,
    at: str = "generic",
    data: Tensor | tuple[Tensor, ...] | None = None,
    seed: int = 0,
    ratio: float = 1e3,
    on_progress: Progress | None = None,
) -> NumericCount:
    """Count the conservation laws of gradient flow near one real point.

    The module is copied; the original and torch's random state are left as they are.

    Args:
        module: any torch module, in the mode that is meant.
        example_inputs: a tensor, a tuple of positional or a dict of keyword arguments. At a generic point tensors of
            floats and of tokens are replaced by random ones; at the weights they are the inputs, all of them.
        loss: ``cross_entropy`` gradients sum to zero over the last axis of each output; the others are arbitrary.
        parameters: only those under this prefix move; the others are fixed, at random values if `at` is generic.
        at: ``generic``, a random point, random gates of piecewise linear units, and small constants made larger;
            ``weights``, the current weights and the activations that occur, where dead units and units that are always
            active show as additional laws.
        data: train on these inputs only: a tensor ``[n, *shape]``, or a tuple of one for each input tensor, where shape
            is that of an example input, with or without its batch axis.
        seed: of every random choice.
        ratio: how far the singular values must fall.
        on_progress: hears the name of a stage and the fraction done.

    Raises:
        InputError: an option makes no sense, no parameter moves, or the module fails on the inputs.
        UnsupportedError: the module cannot be copied or returns nothing that can be trained.
        UnclearError: no clear gap, or derivatives that contradict finite differences.
    """
    _check_options(loss, at, seed, ratio)
    generator = torch.Generator().manual_seed(seed)
    with quiet_float64():
        real = real_module(module, example_inputs, parameters, generator if at == "generic" else None)
        sampler = make_sampler(real, real.weights(), loss=loss, keep=at == "weights", data=data)
        theta = real.random_point(generator) if at == "generic" else real.weights()
        return _answer(Site(real, sampler, generator, theta, on_progress), at, ratio)


def _answer(site: Site, at: str, ratio: float) -> NumericCount:
    """Count, then look at what the gradients show."""
    started = time.perf_counter()
    real, sampler = site.real, site.sampler
    rows, levels, gap = _close(site, ratio)
    look = levels[-1].remaining and real.dimension <= _LARGEST_ANSATZ
    weights = at == "weights"
    return NumericCount(
        model=real.name,
        count=levels[-1].remaining,
        parameters=real.dimension,
        gap=gap,
        levels=levels,
        at=at,
        narrowed=weights or sampler.data is not None,
        units=watch_units(real, sampler, site.theta, site.generator) if weights else Units(0, 0, 0),
        pieces=() if weights else sampler.pieces,
        frozen=frozen_parameters(frozen_entries(rows[: levels[0].brackets]), real.shapes),
        laws=_laws(site, levels[0].rank + SPARE) if look else (),
        seed=site.generator.initial_seed(),
        seconds=time.perf_counter() - started,
    )


def _close(site: Site, ratio: float) -> tuple[Tensor, tuple[Level, ...], Gap]:
    """Rows of all levels ``[N, D]``, until one adds no rank, and the gap of them all."""
    dimension = len(site.theta)
    rows, levels, rank, gained = site.theta.new_empty(0, dimension), list[Level](), 0, 1
    while gained > 0 and rank < dimension:
        length = len(levels) + 1
        if length > MAX_LEVEL:
            raise UnclearError(
                f"the rank still grows with brackets of length {MAX_LEVEL} (now {rank} of {dimension}), and longer "
                "ones are too expensive in floating point: use the exact engine, or a narrower module of the same shape"
            )
        wanted = 2 * dimension + SPARE if length == 1 else dimension - rank + SPARE
        rows = torch.cat([rows, site.brackets(length, wanted)])
        site.check_derivative(length, rows[: 2 * dimension + SPARE].any(0))
        gap = find_gap(rows)
        gap.require(ratio, f"brackets of {site.real.name} up to length {length} (seed {site.generator.initial_seed()})")
        gained, rank = gap.rank - rank, gap.rank
        levels.append(Level(length, wanted, gained, dimension - rank))
    return rows, tuple(levels), gap


def _laws(site: Site, enough: int) -> tuple[str, ...]:
    """With so many gradients at each point."""
    return sums_and_squares(lambda theta: site.gradients(theta, enough), site.theta, site.real.shapes, site.generator)


def _check_options(loss: str, at: str, seed: int, ratio: float) -> None:
    if loss not in LOSSES:
        raise InputError(f"unknown loss {loss!r}: expected one of {', '.join(LOSSES)}")
    if at not in POINTS:
        raise InputError(f"unknown point {at!r}: expected one of {', '.join(POINTS)}")
    if not 0 <= seed < 2**63:
        raise InputError(f"seed {seed} is out of range: expected a whole number from 0 to 2**63 - 1")
    if not ratio > 1:
        raise InputError(f"a ratio of {ratio} is no gap: expected a number above 1, such as 1e3")
