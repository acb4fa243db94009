"""What is recorded, also to the dashboard that a run already has: TensorBoard or W&B, through the user's own object.

One number for each module and kind, the largest over its laws, for a dashboard is flooded by one for each law.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gradlaws.errors import InputError
from gradlaws.training.record import Finding, StepRecord

PREFIX = "gradlaws"
KINDS = ("drift", "forecast", "identity", "unexplained")


class Dashboard(ABC):
    """Takes numbers by name."""

    @abstractmethod
    def add(self, step: int, numbers: Mapping[str, float], findings: Sequence[Finding]) -> None:
        """One recorded step of the optimizer."""

    @abstractmethod
    def close(self) -> None:
        """The run is over; the user's object stays open."""


@dataclass(frozen=True, eq=False, slots=True)
class TensorBoard(Dashboard):
    """A `SummaryWriter`, or whatever has its `add_scalar`.

    Args:
        writer: of the user.
    """

    writer: Any

    def add(self, step: int, numbers: Mapping[str, float], findings: Sequence[Finding]) -> None:
        for name, value in numbers.items():
            self.writer.add_scalar(name, value, step)
        if findings and hasattr(self.writer, "add_text"):
            self.writer.add_text(f"{PREFIX}/findings", "\n\n".join(map(str, findings)), step)

    def close(self) -> None:
        if hasattr(self.writer, "flush"):
            self.writer.flush()


@dataclass(eq=False, slots=True)
class WandB(Dashboard):
    """A W&B run, or whatever has its `log`.

    The numbers join the row that the user's next `log` completes, with the optimizer's step as an axis of their own: to
    complete rows by ourselves would move the user's count of steps, and W&B drops what comes with a step gone by. Only
    where the user has not logged between two records, the older row is completed to keep it.

    Args:
        run: of the user.
        waiting: the row in which our last numbers are, None if there are none.
    """

    run: Any
    waiting: int | None = field(default=None)

    def __post_init__(self) -> None:
        if hasattr(self.run, "define_metric"):
            self.run.define_metric(f"{PREFIX}/*", step_metric=f"{PREFIX}/step")

    def add(self, step: int, numbers: Mapping[str, float], findings: Sequence[Finding]) -> None:
        row = getattr(self.run, "step", None)
        if row is not None and row == self.waiting:
            self.run.log({}, commit=True)
        self.run.log({f"{PREFIX}/step": step, f"{PREFIX}/findings": len(findings), **numbers}, commit=False)
        self.waiting = getattr(self.run, "step", None)

    def close(self) -> None:
        """The row that waits is completed when the run is finished."""


def dashboard_of(target: Any) -> Dashboard:
    """The dashboard that an object belongs to.

    Raises:
        InputError: it is neither.
    """
    if callable(getattr(target, "add_scalar", None)):
        return TensorBoard(target)
    if callable(getattr(target, "log", None)):
        return WandB(target)
    raise InputError(
        f"log_to={type(target).__name__}: expected a SummaryWriter of TensorBoard (with add_scalar) or a run of W&B "
        "(with log), or a list of those"
    )


def numbers_of(modules: Sequence[str], records: Sequence[StepRecord]) -> dict[str, float]:
    """The largest of each kind over the laws of each module, and over all: ``gradlaws/drift/encoder.0``."""
    found: dict[str, float] = defaultdict(float)
    for record in records:
        module = modules[record.law] or "across modules"
        for kind in KINDS:
            value = getattr(record, kind)
            for name in (f"{PREFIX}/{kind}/{module}", f"{PREFIX}/{kind}") if value is not None else ():
                found[name] = max(found[name], value)
    return dict(found)
