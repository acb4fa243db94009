"""Watch the laws of a model while an unchanged training loop trains it."""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, final

import torch
from torch import nn
from torch.utils.hooks import RemovableHandle

from gradlaws.errors import GradlawsError, InputError
from gradlaws.laws.law import Law
from gradlaws.training.dashboard import dashboard_of, numbers_of
from gradlaws.training.diagnose import Evidence, between_steps, diagnose
from gradlaws.training.find import TrackingWarning, laws_to_track
from gradlaws.training.formula import formula_of
from gradlaws.training.history import History
from gradlaws.training.measure import Probe, Reading
from gradlaws.training.names import Live, entering, home, live_parameters, touched
from gradlaws.training.outside import Outside, Samples, changed, same, sample, sample_gradients
from gradlaws.training.record import Finding, LawRecord, RunRecord, StepRecord
from gradlaws.training.shards import is_first, is_sharded, together
from gradlaws.training.store import Store
from gradlaws.training.summary import summary

REPEATS = 2
"""Outside changes of one tensor that are kept between two records."""


@final
class LawTracker:
    """Records laws around the steps of an optimizer; a context manager, made by `track`.

    Attributes:
        laws: what is tracked; empty if tracking has failed.
        findings: what was not as it should be, each once.
        latest: the last record of each law.
        steps: how many steps the optimizer has taken.
        recorded: how many of them were recorded.
    """

    def __init__(
        self,
        model: nn.Module,
        optimizers: Sequence[torch.optim.Optimizer],
        laws: Sequence[Law],
        every: int,
        store: str | Path | None,
        name: str | None,
        turns: int = 1,
        log_to: Sequence[Any] = (),
    ) -> None:
        self.laws = tuple(laws)
        self.findings: list[Finding] = []
        self.latest: tuple[StepRecord, ...] = ()
        self.steps = self.recorded = 0
        self._model, self._every, self._turns = model, every, turns
        self._path, self._name = store, name or type(model).__name__
        self._owners = [(optimizer, formula_of(optimizer)) for optimizer in optimizers]
        self._stepped: list[torch.optim.Optimizer] = []
        self._hooks: list[RemovableHandle] = []
        self._live: dict[str, Live] = {}
        self._store: Store | None = None
        self._history = History.empty(())
        self._frame: FrameType | None = None
        self._last: Reading | None = None
        self._probe: Probe | None = None
        self._samples: dict[str, Samples] = {}
        self._outside: list[tuple[int, Outside]] = []
        self._repeated: int | None = None
        self._sharded = False
        self._modules: list[str] = []
        self._dashboards = [dashboard_of(target) for target in log_to]

    def __enter__(self) -> LawTracker:
        """Begin: from now on every step of the optimizer is seen."""
        with self._unharmed():
            every = live_parameters(self._model, [optimizer for optimizer, _ in self._owners])
            self._sharded = any(is_sharded(one.parameter) for one in every.values())
            if not (is_first() or self._sharded):
                return self
            self.laws = self._fitting(every)
            names = dict.fromkeys(name for law in self.laws for name in touched(law))
            self._live = {name: every[name] for name in names}
            self._history = History.empty(self.laws)
            if self.laws:
                self._samples["origin"] = sample(self._live)
                self._modules = [home(entering(law)) for law in self.laws]
                for optimizer, _ in self._owners:
                    self._hooks.append(optimizer.register_step_pre_hook(self._before))
                    self._hooks.append(optimizer.register_step_post_hook(self._after))
        if self._path is not None and self.laws and is_first():
            with self._unharmed(stop=False):
                self._store = Store.begin(self._path, self._run(), self._records())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End: the optimizer is as it was, the store closed."""
        self._detach()
        if self._last is not None:
            with self._unharmed():
                if kind is None:
                    self._agree()
                last = replace(self._last, step=self.steps)
                self._keep((), list(between_steps(Evidence(self.laws, last, self._outside, self._repeated))))
        for dashboard in self._dashboards:
            with self._unharmed(stop=False, of="the dashboard"):
                dashboard.close()
        if self._store is not None:
            with self._unharmed():
                store, self._store = self._store, None
                store.finish()

    def summary(self) -> str:
        """A few lines: what was tracked, how far the laws went and why, and what was found."""
        return summary(self.laws, self.latest, self.findings, self.steps, self.recorded)

    def _before(self, optimizer: torch.optim.Optimizer, args: Any, kwargs: Any) -> Any:
        """Before a step; one that calls the step of its base class is entered twice, and only the outer one counts."""
        if self._frame is not None and _running(self._frame):
            return None
        self._frame = sys._getframe(1)
        if self._stepped and optimizer not in self._stepped:
            return None  # the rest of a step of several optimizers
        closure = kwargs.get("closure", args[1] if len(args) > 1 else None)
        if not callable(closure):
            self._look()
            return None
        # the gradient does not exist yet: look when the optimizer has asked for it, the first time only
        watched = _then_once(closure, self._look)
        if "closure" in kwargs:
            return args, {**kwargs, "closure": watched}
        return (args[0], watched, *args[2:]), kwargs

    def _look(self) -> None:
        """Right before the weights move."""
        self.steps += 1
        self._stepped, self._probe = [], None
        with self._unharmed(), torch.no_grad():
            found, grads = sample(self._live), sample_gradients(self._live)
            if "left" in self._samples:
                self._compare(found, grads)
                del self._samples["left"]
            self._samples |= {"earlier": found, "grads": grads}
            if (self.steps - 1) % self._every == 0:
                self._probe = Probe.take(self.steps, self._turn(), self._owners, self._live)

    def _turn(self) -> dict[int, Law]:
        """The laws of this record; those of one module, which share tensors, have their turn together."""
        order = sorted(range(len(self.laws)), key=lambda number: home(entering(self.laws[number])))
        now = self.recorded % self._turns
        return {n: self.laws[n] for place, n in enumerate(order) if place * self._turns // len(order) == now}

    def _compare(self, found: Samples, grads: Samples) -> None:
        """What happened since the last step."""
        old = self._samples
        events = changed(old["origin"], old["earlier"], old["grads"], old["left"], found)
        for event in events:
            if sum(event.name == other.name for _, other in self._outside) < REPEATS:
                self._outside.append((self.steps - 1, event))
        moved = any(not torch.equal(old["earlier"][name], x) for name, x in old["left"].items())
        if self._repeated is None and moved and same(old["grads"], grads):
            self._repeated = self.steps

    def _after(self, optimizer: torch.optim.Optimizer, args: Any, kwargs: Any) -> None:
        """After a step."""
        if sys._getframe(1) is not self._frame:
            return
        self._frame = None
        self._stepped.append(optimizer)
        if len(self._stepped) < len(self._owners):
            return
        with self._unharmed(), torch.no_grad():
            self._samples["left"] = sample(self._live)
            if self._probe is not None:
                probe, self._probe = self._probe, None
                self._record(probe)

    def _agree(self) -> None:
        """What processes have seen, each in its shards, is what all of them have seen."""
        if self._sharded:
            every = together((self._outside, self._repeated))
            self._outside = [event for outside, _ in every for event in outside]
            self._repeated = min((step for _, step in every if step is not None), default=None)

    def _record(self, probe: Probe) -> None:
        self._agree()
        reading = probe.read()
        records, jumps = self._history.add(reading)
        newest = {record.law: record for record in (*self.latest, *records)}
        self.latest = tuple(newest[law] for law in sorted(newest))
        self.recorded += 1
        self._last = reading
        self._keep(records, diagnose(Evidence(self.laws, reading, self._outside, self._repeated, jumps)))

    def _keep(self, records: Sequence[StepRecord], found: Sequence[Finding]) -> None:
        """Add what is new to the findings, and all of it to the store."""
        new: dict[tuple[str, str], Finding] = {}
        for finding in found:
            new.setdefault((finding.cause, finding.tensors), finding)
        for old in self.findings:
            new.pop((old.cause, old.tensors), None)
        self.findings += new.values()
        self._outside, self._repeated = [], None
        if self._dashboards and is_first() and records:
            with self._unharmed(stop=False, of="the dashboard"):
                numbers = numbers_of(self._modules, records)
                for dashboard in self._dashboards:
                    dashboard.add(records[0].step, numbers, list(new.values()))
        if self._store is not None:
            try:
                self._store.append(records, list(new.values()))
            except InputError as error:
                self._store.connection.close()
                self._store = None
                warnings.warn(f"{error}. Training and tracking go on without it.", TrackingWarning, stacklevel=2)

    def _fitting(self, live: dict[str, Live]) -> tuple[Law, ...]:
        """Laws that can be evaluated on this model; a warning names the first that cannot."""
        fitting = [law for law in self.laws if _fits(law, live)]
        wrong = [law for law in self.laws if law not in fitting]
        if wrong:
            warnings.warn(
                f"{len(wrong)} of {len(self.laws)} laws are not of this model, such as {wrong[0].text}: they need "
                f"{', '.join(touched(wrong[0])[:4])} in matching shapes. They are left out; training goes on.",
                TrackingWarning,
                stacklevel=4,
            )
        return tuple(fitting)

    def _run(self) -> RunRecord:
        size = sum(p.numel() for p in self._model.parameters() if p.requires_grad)
        optimizer = " and ".join(type(optimizer).__name__ for optimizer, _ in self._owners)
        return RunRecord(self._name, type(self._model).__name__, optimizer, self._every, size, time.time())

    def _records(self) -> list[LawRecord]:
        return [self._law_record(number, law) for number, law in enumerate(self.laws)]

    def _law_record(self, number: int, law: Law) -> LawRecord:
        names = touched(law)
        epsilon = max(torch.finfo(self._live[name].parameter.dtype).eps for name in names)
        where, written = home(entering(law)), ",".join(names)
        return LawRecord(number, law.text, law.latex, where, law.kind, law.degree, law.count, written, epsilon)

    @contextmanager
    def _unharmed(self, stop: bool = True, of: str = "it") -> Iterator[None]:
        """Whatever fails in here, training goes on: one sentence, and tracking stops or goes on without something."""
        try:
            yield
        except Exception as error:  # a watcher must never end what it watches
            reason = (
                str(error) if isinstance(error, GradlawsError | TrackingWarning) else f"{type(error).__name__}: {error}"
            )
            if stop:
                self._detach()
            if of == "the dashboard":
                self._dashboards = []
            rest = "Tracking stops, training goes on." if stop else f"Training and tracking go on without {of}."
            warnings.warn(f"{reason.rstrip('.')}. {rest}", TrackingWarning, stacklevel=4)

    def _detach(self) -> None:
        for hook in self._hooks:
            hook.remove()
        self._hooks, self._probe, self._frame = [], None, None


def track(
    model: nn.Module,
    optimizer: torch.optim.Optimizer | Sequence[torch.optim.Optimizer],
    example_inputs: Any = None,
    *,
    every: int = 50,
    store: str | Path | None = None,
    laws: Sequence[Law] | None = None,
    name: str | None = None,
    turns: int = 1,
    log_to: Any = None,
    **module_options: Any,
) -> LawTracker:
    """Watch the conservation laws of a model around an unchanged training loop.

        with gl.track(model, optimizer, example_inputs, every=50, store="run.db") as tracker:
            ...  # train as ever
        print(tracker.summary())

    Training is the same to the last bit with and without it: weights, gradients and random numbers. Whatever fails in
    here is a `TrackingWarning` of one sentence, and training goes on.

    In training over several processes all of them enter the block. Where each holds the whole model (DDP), the first
    one watches and the others do nothing; of a sharded model (FSDP2: parameters are DTensors) each measures the same,
    with no more than the tensors of one law gathered at a time, and the first one writes. Its laws are found before it
    is sharded, with `laws_to_track`. Master copies in higher precision are read in place of the parameters, where the
    optimizer holds them.

    Args:
        model: what is trained.
        optimizer: what trains it; or several that share the parameters and step one after the other, each once a step.
        example_inputs: see `gradlaws.laws`; not needed if laws are given. Two tokens stand for any number: laws of the
            rows of a table that the example does not use are left out.
        every: steps between two records, from the first step on. Changes between steps are looked for at every step.
        store: SQLite file to append to; None keeps the last record only.
        laws: what to track, such as ``gl.laws(model, example_inputs).laws``; None finds the structured laws.
        name: of the run in the store; the class of the model if None.
        turns: a record takes one law in so many, all of them in turn, and costs as much less; a large model can then
            be recorded at every step.
        log_to: a `SummaryWriter` of TensorBoard, a run of W&B, or a list of those: what is recorded goes there too, the
            largest of each kind for each module.
        **module_options: of `gradlaws.laws`, such as ``loss="cross_entropy"``.

    Raises:
        InputError: `log_to` is neither; `every` or `turns` is not a positive whole number, or there are neither
            laws nor example inputs.
    """
    if isinstance(every, bool) or not isinstance(every, int) or every < 1:
        raise InputError(f"every={every!r}: expected the number of steps between two records, at least 1")
    if isinstance(turns, bool) or not isinstance(turns, int) or turns < 1:
        raise InputError(f"turns={turns!r}: expected in how many records all laws have had their turn, at least 1")
    if laws is None and example_inputs is None:
        raise InputError(
            "track needs example inputs to find the laws, or laws: track(model, optimizer, example_inputs)"
        )
    if laws is None:
        laws = laws_to_track(model, example_inputs, **module_options) if is_first() else ()
    targets = log_to if isinstance(log_to, list | tuple) else [] if log_to is None else [log_to]
    optimizers = [optimizer] if isinstance(optimizer, torch.optim.Optimizer) else list(optimizer)
    return LawTracker(model, optimizers, laws, every, store, name, turns, targets)


def _fits(law: Law, live: dict[str, Live]) -> bool:
    """Whether a law can be evaluated on the parameters and gives as many numbers as it says."""
    try:
        theta = {name: torch.zeros(tuple(live[name].parameter.shape), dtype=torch.float64) for name in touched(law)}
        return law.value(theta).shape == (law.count,)
    except (KeyError, RuntimeError, IndexError):
        return False


def _running(frame: FrameType) -> bool:
    """Whether a call goes on: a step that raised an error does not come back to say so."""
    at: FrameType | None = sys._getframe(1)
    while at is not None and at is not frame:
        at = at.f_back
    return at is not None


def _then_once(closure: Callable[[], Any], look: Callable[[], None]) -> Callable[[], Any]:
    """A closure after whose first call something else happens."""
    waiting = [look]

    def watched() -> Any:
        result = closure()
        if waiting:
            waiting.pop()()
        return result

    return watched
