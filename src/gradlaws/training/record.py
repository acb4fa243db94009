"""What is kept of a run: plain numbers about laws, steps and findings."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RunRecord:
    """One training run.

    Args:
        name: chosen by the user, or the class of the model.
        model: class of the model.
        optimizer: class of the optimizer.
        every: how many steps lie between two records.
        parameters: number of trained parameters.
        started: seconds since 1970.
        finished: the same, None while the run goes on or if it was killed.
        number: in its store, from 1; 0 before it is there.
    """

    name: str
    model: str
    optimizer: str
    every: int
    parameters: int
    started: float
    finished: float | None = None
    number: int = 0


@dataclass(frozen=True, slots=True)
class LawRecord:
    """One law of a run, or a bundle of them that is one formula.

    Args:
        law: number in the run, from 0.
        text: the formula.
        latex: the same in LaTeX.
        module: the innermost module that owns its tensors, empty for the model itself.
        kind: see `Law.kind`.
        degree: of the polynomial.
        count: how many scalar laws.
        tensors: names, separated by commas.
        epsilon: of the coarsest precision among the tensors: what a change is rounded to, relative to them.
    """

    law: int
    text: str
    latex: str
    module: str
    kind: str
    degree: int
    count: int
    tensors: str
    epsilon: float


@dataclass(frozen=True, slots=True)
class StepRecord:
    """One law at one recorded step: Euclidean sizes over the bundle, divided by `scale` unless said otherwise.

    Args:
        step: of the optimizer, from 1.
        law: number in the run.
        scale: size of the law's tensors to the power of its degree; not divided by anything.
        value: of the law after the step.
        identity: |<grad h, g>| relative to the sizes of the tensors and of their gradient: zero for a law.
        observed: change over this step.
        decay: part of it that weight decay made.
        gradient: part that the size of the step made.
        momentum: part that momentum made.
        first: part of first order in an adaptive direction.
        second: the rest of that direction's part.
        unexplained: what is left, None where the optimizer's formula is not known.
        drift: change since the first record.
        forecast: the same as predicted: the explained change of each recorded step, times the steps since the last
            record. Exact for every=1, an estimate otherwise.
        gap: size of the difference of the two.
    """

    step: int
    law: int
    scale: float
    value: float
    identity: float
    observed: float
    decay: float
    gradient: float
    momentum: float
    first: float
    second: float
    unexplained: float | None
    drift: float
    forecast: float
    gap: float


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is not as it should be, in words.

    Args:
        step: at which it was seen first.
        cause: one of the causes of `gradlaws.training.diagnose`.
        law: number of the law in the run, None where no single law tells.
        module: where.
        tensors: names, separated by commas.
        size: how large; the text says of what.
        text: one or two sentences.
    """

    step: int
    cause: str
    law: int | None
    module: str
    tensors: str
    size: float
    text: str

    def __str__(self) -> str:
        return f"step {self.step}: {self.cause}: {self.text}"
