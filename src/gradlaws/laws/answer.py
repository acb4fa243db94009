"""The two questions: how many laws are there, and which. Laws first, then the closure that says whether that is all."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from gradlaws.errors import InputError
from gradlaws.exact.field import DEFAULT_PRIMES
from gradlaws.laws.closure import Closure, Progress, refuse_if_too_large
from gradlaws.laws.count import Count, Evidence, Status
from gradlaws.laws.law import Law
from gradlaws.laws.reason import why_open
from gradlaws.laws.run import Run
from gradlaws.models.family import Family
from gradlaws.models.network import Network
from gradlaws.models.spec import read_spec

_SMALLER = 1_000
"""Parameters at which a network too large for the closure is looked at instead."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The laws of a model, how many there are, and whether these are all.

    Args:
        model: what was asked about.
        laws: bundles of laws with independent gradients.
        count: bounds, status and evidence.
    """

    model: str
    laws: tuple[Law, ...]
    count: Count

    @property
    def status(self) -> Status:
        """The status of the count."""
        return self.count.status

    @property
    def evidence(self) -> Evidence:
        """The evidence of the count."""
        return self.count.evidence

    @property
    def complete(self) -> bool:
        """Whether every other law is a function of these."""
        return self.count.lower == self.count.upper

    def __str__(self) -> str:
        lines = [f"{self.model}: {self.count} independent laws, {self.count.parameters} parameters"]
        lines += [f"  {law.text}  ({law.kind}, {law.count})" for law in self.laws]
        lines += [f"  note: {note}" for note in self.evidence.notes]
        return "\n".join(lines)


def count(
    model: str | Family | nn.Module,
    example_inputs: Any = None,
    *,
    seed: int = 0,
    primes: Sequence[int] = DEFAULT_PRIMES[:2],
    device: str = "cpu",
    on_progress: Progress | None = None,
    **module_options: Any,
) -> Count:
    """How many independent conservation laws gradient flow on a model has.

    Args:
        model: a spec such as ``'relu 2-5-3 bias'``, a torch module, or a Family.
        example_inputs: for a module: a tensor, a tuple of positional or a dict of keyword arguments.
        seed: of every random choice; the same seed gives the same answer on any machine.
        primes: moduli; the first decides, the others confirm laws and are tried when the bounds do not meet.
        device: torch device of the arithmetic.
        on_progress: hears the name of a stage and the fraction done.
        **module_options: for a module: loss, eps and parameters, see `gradlaws.models.module.from_module`.

    Returns:
        Bounds, status and evidence. The upper bound is proved; the lower one counts explicit laws.

    Raises:
        InputError: the model or an option makes no sense.
        TooLargeError: the closure does not fit in memory.
    """
    with torch.inference_mode(False), torch.enable_grad():
        family = _family(model, example_inputs, module_options)
    refuse_if_too_large(family.dimension)
    return laws(family, seed=seed, primes=primes, device=device, on_progress=on_progress).count


def laws(
    model: str | Family | nn.Module,
    example_inputs: Any = None,
    *,
    degree: int | None = None,
    seed: int = 0,
    primes: Sequence[int] = DEFAULT_PRIMES[:2],
    device: str = "cpu",
    on_progress: Progress | None = None,
    **module_options: Any,
) -> Answer:
    """The conservation laws of gradient flow on a model, and whether there are others.

    Args:
        model: a spec such as ``'relu 2-5-3 bias'``, a torch module, or a Family.
        example_inputs: for a module: a tensor, a tuple of positional or a dict of keyword arguments.
        degree: search all polynomials up to this degree, written out term by term, instead of the structured laws.
        seed: of every random choice; the same seed gives the same answer on any machine.
        primes: moduli; the first decides, the others confirm laws and are tried when the bounds do not meet.
        device: torch device of the arithmetic.
        on_progress: hears the name of a stage and the fraction done.
        **module_options: for a module: loss, eps and parameters, see `gradlaws.models.module.from_module`.

    Returns:
        An Answer. Where the closure does not fit in memory the upper bound is D, and a note says so.

    Raises:
        InputError: the model or an option makes no sense.
        TooLargeError: not even the laws can be searched in memory.
    """
    with torch.inference_mode(False), torch.enable_grad():  # the caller may be in another mode
        family = _family(model, example_inputs, module_options)
        run = Run.start(family, seed, primes, device, on_progress)
        return _answer(family, run, degree)


def _answer(family: Family, run: Run, degree: int | None) -> Answer:
    started = time.perf_counter()
    found = run.polynomial(degree) if degree is not None else run.structured()
    closure = run.close(found.rank)
    if closure and closure.upper > found.rank and degree is None:
        found = run.search_further(found)
    upper = closure.upper if closure else family.dimension
    if found.rank < upper:
        status = Status.BOUNDED
    else:
        status = Status.CERTAIN if found.failure_probability else Status.PROVED
    evidence = Evidence(
        primes=tuple(field.prime for field in run.fields),
        seed=run.seed,
        levels=closure.levels if closure else (),
        assumptions=family.assumptions,
        failure_probability=found.failure_probability,
        seconds=time.perf_counter() - started,
        notes=(*found.notes, *why_open(family, found.rank, closure), *_at_smaller_size(family, closure, run.seed)),
    )
    return Answer(family.name, found.laws, Count(found.rank, upper, status, evidence, family.dimension))


def _at_smaller_size(family: Family, closure: Closure | None, seed: int) -> tuple[str, ...]:
    """Where the closure is not affordable: what it proves for the same shape with fewer units."""
    if closure is not None or not isinstance(family, Network):
        return ()
    small = laws(family.shrunk(_SMALLER), seed=seed)
    return (
        f"the same shape at a smaller size, '{small.model}', has {small.count} laws, all of them of the forms above: "
        "evidence, not proof, that nothing is missing here",
    )


def _family(model: str | Family | nn.Module, example_inputs: Any, options: dict[str, Any]) -> Family:
    if isinstance(model, nn.Module):
        if example_inputs is None:
            raise InputError(
                f"{type(model).__name__} needs example inputs: pass laws(module, example_inputs), a tensor, a tuple "
                "or a dict of what its forward takes"
            )
        return _from_module(model, example_inputs, options)
    if example_inputs is not None or options:
        raise InputError(f"example inputs and {', '.join(options) or 'options'} go with a torch module only")
    if isinstance(model, str):
        return read_spec(model)
    if not isinstance(model, Family):
        raise InputError(
            f"cannot find laws of {type(model).__name__}: expected a spec string, a torch module or a Family"
        )
    return model


def _from_module(module: nn.Module, example_inputs: Any, options: dict[str, Any]) -> Family:
    """Imports what records modules on first use: it takes as long as torch itself."""
    from gradlaws.models.module import from_module  # noqa: PLC0415

    return from_module(module, example_inputs, **options)
