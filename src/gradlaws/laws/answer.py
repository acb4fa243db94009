"""The two questions: how many laws are there, and which. Laws first, then the closure that says whether that is all."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from gradlaws.errors import InputError
from gradlaws.exact.field import DEFAULT_PRIMES
from gradlaws.flows.decay import DecayFlow
from gradlaws.flows.flow import Flow
from gradlaws.flows.gradient import GradientFlow
from gradlaws.flows.momentum import Descent
from gradlaws.flows.read import Training, read_flow
from gradlaws.laws.closure import Closure, refuse_if_too_large
from gradlaws.laws.count import Count
from gradlaws.laws.decayed import with_decay
from gradlaws.laws.of_flow import laws_of_flow, refuse_what_flows_lack
from gradlaws.laws.reason import UNASKED, why_open
from gradlaws.laws.request import Request
from gradlaws.laws.result import Answer
from gradlaws.laws.run import Run
from gradlaws.models.family import Family
from gradlaws.models.network import Network
from gradlaws.models.spec import read_spec
from gradlaws.progress import Progress

ENGINES = ("exact", "numeric", "both")

_SMALLER = 1_000
"""Parameters at which a network too large for the closure is looked at instead."""

_ASK_TWICE = 500
"""Parameters up to which normalisations are looked at without their small constants too."""

_NUMERIC_OPTIONS = frozenset({"loss", "parameters", "at", "data"})


def count(
    model: str | Family | Flow | nn.Module,
    example_inputs: Any = None,
    *,
    engine: str = "exact",
    flow: str | Training = "gradient",
    seed: int = 0,
    primes: Sequence[int] = DEFAULT_PRIMES[:2],
    device: str = "cpu",
    on_progress: Progress | None = None,
    **module_options: Any,
) -> Count:
    """How many independent conservation laws the training of a model has.

    Args:
        model: a spec such as ``'relu 2-5-3 bias'``, a torch module, a Family, or a Flow, which says by itself how it
            moves.
        example_inputs: for a module: a tensor, a tuple of positional or a dict of keyword arguments.
        engine: see `laws`.
        flow: see `laws`.
        seed: of every random choice; the same seed gives the same answer on any machine.
        primes: moduli; the first decides, the others confirm laws and are tried when the bounds do not meet.
        device: torch device of the arithmetic.
        on_progress: hears the name of a stage and the fraction done.
        **module_options: for a module, see `gradlaws.models.module.from_module`.

    Returns:
        Bounds, status and evidence. The upper bound is proved; the lower one counts explicit laws.

    Raises:
        InputError: the model or an option makes no sense.
        TooLargeError: the closure does not fit in memory.
    """
    if engine == "exact":
        with torch.inference_mode(False), torch.enable_grad():
            asked = _asked(model, example_inputs, module_options, flow)
        refuse_if_too_large(asked.dimension)
        model, example_inputs, module_options, flow = asked, None, {}, "gradient"
    return laws(
        model,
        example_inputs,
        engine=engine,
        flow=flow,
        seed=seed,
        primes=primes,
        device=device,
        on_progress=on_progress,
        **module_options,
    ).count


def laws(
    model: str | Family | Flow | nn.Module,
    example_inputs: Any = None,
    *,
    degree: int | None = None,
    engine: str = "exact",
    flow: str | Training = "gradient",
    lower_only: bool = False,
    seed: int = 0,
    primes: Sequence[int] = DEFAULT_PRIMES[:2],
    device: str = "cpu",
    on_progress: Progress | None = None,
    **module_options: Any,
) -> Answer:
    """The conservation laws of the training of a model, and whether there are others.

    Args:
        model: a spec such as ``'relu 2-5-3 bias'``, a torch module, a Family, or a Flow, which says by itself how it
            moves.
        example_inputs: for a module: a tensor, a tuple of positional or a dict of keyword arguments.
        degree: search all polynomials up to this degree, written out term by term, instead of the structured laws.
        engine: ``exact``; for a module also ``numeric``, its own forward pass in float64 with singular values, which
            proves nothing, or ``both``, which fails where the two disagree.
        flow: how the model is trained: a text such as ``momentum:tau=1/2`` (see `gradlaws.flows.read`), or what turns
            a Family into a Flow, such as ``HeavyBall(tau)`` or ``Nesterov()``.
        lower_only: list the laws and leave out the closure that says whether there are others.
        seed: of every random choice; the same seed gives the same answer on any machine.
        primes: moduli; the first decides, the others confirm laws and are tried when the bounds do not meet.
        device: torch device of the arithmetic.
        on_progress: hears the name of a stage and the fraction done.
        **module_options: for a module: loss, eps, parameters, data and at, see
            `gradlaws.models.module.from_module`.

    Returns:
        An Answer. Where the closure does not fit in memory the upper bound is D, and a note says so.

    Raises:
        InputError: the model or an option makes no sense.
        TooLargeError: not even the laws can be searched in memory.
        ContradictionError: the bounds cross, or the two engines disagree.
    """
    if engine not in ENGINES:
        raise InputError(f"unknown engine {engine!r}: expected one of {', '.join(ENGINES)}")
    with torch.inference_mode(False), torch.enable_grad():  # the caller may be in another mode
        if engine == "numeric" and flow == "gradient":
            return _numeric(model, example_inputs, seed, module_options, on_progress, None)
        asked = _asked(model, example_inputs, module_options, flow)
        if isinstance(asked, Flow):
            refuse_what_flows_lack(engine)
        answer = _answered(asked, Request.of(primes, seed, device, on_progress), degree, lower_only)
        if engine == "both":
            return _numeric(model, example_inputs, seed, module_options, on_progress, answer)
        return answer


def _answered(asked: Family | Flow, request: Request, degree: int | None, lower_only: bool) -> Answer:
    """The exact answer; under weight decay it is what decay makes of the laws without it."""
    if isinstance(asked, DecayFlow):
        plain = asked.family if asked.metric.euclidean else asked.undecayed
        return with_decay(asked, _answered(plain, request, degree, lower_only), request)
    if isinstance(asked, Flow):
        return laws_of_flow(asked, request, degree, lower_only)
    return _exact(Run.start(asked, request), degree, lower_only)


def _exact(run: Run, degree: int | None, lower_only: bool) -> Answer:
    """Laws, then the closure."""
    started, family, request = time.perf_counter(), run.family, run.request
    found = run.polynomial(degree) if degree is not None else run.structured()
    closure = None if lower_only else run.close(found.rank)
    if closure and closure.upper > found.rank and degree is None:
        found = run.search_further(found)
    upper = closure.upper if closure else family.dimension
    if lower_only:
        notes: tuple[str, ...] = (UNASKED,)
    else:
        notes = (*why_open(family, found.rank, closure), *_at_smaller_size(family, closure, request.seed))
        notes += _without_constants(run, found.rank, upper) if degree is None else ()
    seconds = time.perf_counter() - started
    counted = found.counted(request, closure, family.dimension, family.assumptions, seconds, notes)
    return Answer(family.name, found.laws, counted, family.scope)


def _numeric(
    model: Any,
    example_inputs: Any,
    seed: int,
    options: dict[str, Any],
    on_progress: Progress | None,
    answer: Answer | None,
) -> Answer:
    """The float64 engine, alone or against an exact answer."""
    from gradlaws.laws.numeric.compare import compare  # noqa: PLC0415 - only needed where it is asked for
    from gradlaws.laws.numeric.count import numeric_count  # noqa: PLC0415

    if not isinstance(model, nn.Module):
        raise InputError("the float64 engine runs torch modules: pass laws(module, example_inputs, engine='numeric')")
    if options.get("eps", "generic") != "generic":
        raise InputError("the float64 engine runs the module as it is: eps='zero' is for engine='exact' only")
    chosen = {name: value for name, value in options.items() if name in _NUMERIC_OPTIONS}
    seen = numeric_count(model, example_inputs, seed=seed, on_progress=on_progress, **chosen)
    counted = seen.as_count
    if answer is None:
        stayed = (*(str(frozen) for frozen in seen.frozen), *(f"stayed: {law}" for law in seen.laws))
        evidence = replace(counted.evidence, notes=(*counted.evidence.notes, *stayed))
        return Answer(type(model).__name__, (), replace(counted, evidence=evidence))
    compare(answer.count, seen)
    agreed = (f"the float64 engine agrees: {seen.count} laws", *counted.evidence.notes)
    evidence = replace(answer.evidence, notes=(*answer.evidence.notes, *agreed))
    return replace(answer, count=replace(answer.count, evidence=evidence))


def _at_smaller_size(family: Family, closure: Closure | None, seed: int) -> tuple[str, ...]:
    """Where the closure is not affordable: what it proves for the same shape with fewer units."""
    if closure is not None or not isinstance(family, Network):
        return ()
    small = laws(family.shrunk(_SMALLER), seed=seed)
    return (
        f"the same shape at a smaller size, '{small.model}', has {small.count} laws, all of them of the forms above: "
        "evidence, not proof, that nothing is missing here",
    )


def _without_constants(run: Run, lower: int, upper: int) -> tuple[str, ...]:
    """What a normalisation without its small constant would add."""
    ideal = run.family.idealised()
    if ideal is None or run.family.dimension > _ASK_TWICE:
        return ()
    again = _exact(
        replace(run, family=ideal, flow=run.flow_of(ideal), relaxed=run.flow_of(ideal.relaxed())), None, False
    )
    if (again.count.lower, again.count.upper) == (lower, upper):
        return ("normalisations with eps = 0 have as many laws",)
    return (f"with eps = 0 in its normalisations it would have {again.count} laws (--eps zero lists them)",)


def _asked(
    model: str | Family | Flow | nn.Module, example_inputs: Any, options: dict[str, Any], flow: str | Training
) -> Family | Flow:
    """What is asked about: a family stands for its Euclidean gradient flow."""
    training = read_flow(flow) if isinstance(flow, str) else flow
    if isinstance(model, Flow):
        if training != Descent():
            raise InputError(f"{model.title} says by itself how it moves: leave out flow={flow!r}")
        return model
    family = as_family(model, example_inputs, options)
    if training == Descent():
        return family
    made = training(family) if callable(training) else None
    if not isinstance(made, Flow):
        raise InputError(f"flow {flow!r} is not a flow: expected a text or what turns a Family into a Flow")
    return family if made == GradientFlow(family) else made


def as_family(model: str | Family | nn.Module, example_inputs: Any, options: dict[str, Any]) -> Family:
    """What is asked about: a spec that is read, a module that is recorded, or a family as it is."""
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
