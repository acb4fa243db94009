"""Tier (c): how far every law has gone since the first record, against the sum of what was predicted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from gradlaws.laws.law import Law
from gradlaws.training.drift import Drift, relative
from gradlaws.training.measure import Reading
from gradlaws.training.record import StepRecord

_ROUNDING = 1e3
"""Units of precision up to which a value before a step is the one after the step before."""


@dataclass(frozen=True, eq=False, slots=True)
class _Path:
    """One law so far: its values at first, the predicted way from there, its values now, and at which step."""

    origin: Tensor
    forecast: Tensor
    last: Tensor
    step: int


@dataclass(frozen=True, eq=False, slots=True)
class History:
    """Where each law began, where it is and where it should be; `count` numbers three times for each law.

    Args:
        laws: of the run.
        paths: by number of the law, filled by the first record.
    """

    laws: Sequence[Law]
    paths: dict[int, _Path] = field(default_factory=dict)

    @staticmethod
    def empty(laws: Sequence[Law]) -> History:
        """Before the first record."""
        return History(laws)

    def add(self, reading: Reading) -> tuple[tuple[StepRecord, ...], dict[int, float]]:
        """Enter a step; what is to be kept of it, and how far each law jumped since the step just before.

        A jump is zero where the step before was not recorded.
        """
        records, jumps = [], {}
        for number, law in reading.laws.items():
            drift = law.drift
            start = _Path(drift.value, torch.zeros_like(drift.value), drift.value, reading.step - 1)
            old = self.paths.get(number, start)
            since = reading.step - old.step
            jump = relative(drift.value - old.last, drift.scale) if since == 1 else 0.0
            jumps[number] = jump if jump > _ROUNDING * law.epsilon else 0.0
            forecast = old.forecast + since * drift.predicted
            path = _Path(old.origin, forecast, drift.value + drift.observed, reading.step)
            self.paths[number] = path
            records.append(_record(reading.step, number, law.identity, drift, path))
        return tuple(records), jumps


def _record(step: int, number: int, identity: float, drift: Drift, path: _Path) -> StepRecord:
    gone, scale = path.last - path.origin, drift.scale
    return StepRecord(
        step=step,
        law=number,
        scale=scale,
        value=relative(path.last, scale),
        identity=identity,
        observed=relative(drift.observed, scale),
        decay=relative(drift.decay, scale),
        gradient=relative(drift.gradient, scale),
        momentum=relative(drift.momentum, scale),
        first=relative(drift.first, scale),
        second=relative(drift.second, scale),
        unexplained=drift.residual,
        drift=relative(gone, scale),
        forecast=relative(path.forecast, scale),
        gap=relative(gone - path.forecast, scale),
    )
