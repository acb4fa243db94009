"""The two questions for flows other than Euclidean gradient flow: candidates, proofs, rank, closure."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from gradlaws.errors import InputError
from gradlaws.exact.field import DEFAULT_PRIMES, PrimeField
from gradlaws.exact.polynomial import Polynomial
from gradlaws.flows.decay import DecayFlow
from gradlaws.flows.fields import Fields
from gradlaws.flows.flow import Flow
from gradlaws.flows.gradient import GradientFlow
from gradlaws.flows.hessian import HessianFlow
from gradlaws.flows.logs import WithLogs
from gradlaws.flows.momentum import MomentumFlow
from gradlaws.flows.natural import NaturalFlow
from gradlaws.flows.signs import SignFlow
from gradlaws.laws.burg import BurgLaw, find_burg_laws
from gradlaws.laws.closure import Closure, Progress, close, memory_needed, memory_total
from gradlaws.laws.count import Count, Evidence, Status
from gradlaws.laws.exponential import ExponentialLaw, exponential_laws
from gradlaws.laws.independence import independent
from gradlaws.laws.inertia import proved_under_momentum
from gradlaws.laws.law import Law
from gradlaws.laws.mirror import MirrorLaw
from gradlaws.laws.mirrored import structured_laws, with_logs
from gradlaws.laws.momentum import (
    find_rotation_laws,
    find_shift_laws,
    find_skew_laws,
    rotation_unknowns,
    timed_polynomials,
    timed_unknowns,
)
from gradlaws.laws.proof import EXPANSION_LIMIT, conserved, proved, tested_together
from gradlaws.laws.rational import RationalLaw, rational_laws
from gradlaws.laws.result import Answer
from gradlaws.laws.search import polynomial_laws, unknowns
from gradlaws.laws.signs import SignLaw, proportional, sign_laws
from gradlaws.models.family import Family
from gradlaws.models.symbolic import Parametrised

_AUTOMATIC = 2_000
"""Unknowns up to which the generic ansatz is tried unasked."""

_STREAMS = 64
_EXPANDED = (
    "every law is proved by exact polynomial identities: expanded along the fields, followed through the recorded "
    "program, or those of the Euclidean law that the metric turns into it"
)


def laws_of_flow(
    flow: Flow,
    degree: int | None = None,
    lower_only: bool = False,
    seed: int = 0,
    primes: Sequence[int] = DEFAULT_PRIMES[:2],
    device: str = "cpu",
    on_progress: Progress | None = None,
) -> Answer:
    """The laws of a flow, and whether there are others; options as in `gradlaws.laws`."""
    started = time.perf_counter()
    asked = _Asked(flow, tuple(PrimeField(prime, device) for prime in dict.fromkeys(primes)), seed, on_progress)
    found = asked.polynomial(degree) if degree is not None else asked.structured()
    closure = None if lower_only else asked.close(found.rank)
    if closure and closure.upper > found.rank and degree is None:
        found = asked.further(found)
        found = asked.quotients(found) if closure.upper > found.rank else found
    upper = closure.upper if closure else flow.dimension
    if found.rank < upper:
        status = Status.BOUNDED
    else:
        status = Status.CERTAIN if found.failure_probability else Status.PROVED
    evidence = Evidence(
        primes=tuple(field.prime for field in asked.fields),
        seed=seed,
        levels=closure.levels if closure else (),
        assumptions=flow.assumptions,
        failure_probability=found.failure_probability,
        seconds=time.perf_counter() - started,
        notes=(*found.notes, *_why_open(found.rank, closure, lower_only), *_state(flow)),
    )
    counted = Count(found.rank, upper, status, evidence, flow.dimension)
    family = family_of(flow)
    return Answer(
        family.name if family else flow.title,
        found.laws,
        counted,
        family.scope if family else "for every combination of them",
        flow.title,
    )


def family_of(flow: Flow) -> Family | None:
    """What is trained, where the fields are those of a model."""
    if isinstance(flow, WithLogs):
        return family_of(flow.flow)
    return (
        flow.family
        if isinstance(flow, GradientFlow | MomentumFlow | SignFlow | DecayFlow | NaturalFlow | HessianFlow)
        else None
    )


@dataclass(frozen=True, slots=True)
class _Found:
    """Confirmed laws with independent gradients, their rank, and how they were confirmed."""

    laws: tuple[Law, ...]
    rank: int
    failure_probability: float
    notes: tuple[str, ...]


@dataclass(frozen=True, eq=False, slots=True)
class _Asked:
    """One request."""

    flow: Flow
    fields: tuple[PrimeField, ...]
    seed: int
    on_progress: Progress | None

    def __post_init__(self) -> None:
        if not self.fields:
            raise InputError(f"no prime given: expected at least one, for example {DEFAULT_PRIMES[0]}")
        if not 0 <= self.seed < 2**57:
            raise InputError(f"seed {self.seed} is out of range: expected a whole number from 0 to 2**57 - 1")

    def structured(self) -> _Found:
        """Laws that a person would write, of each kind of flow."""
        flow, field = self.flow.relaxed(), self.fields[0]
        if isinstance(flow, MomentumFlow):
            candidates: list[Law] = list(find_skew_laws(flow, field, self._stream(0)))
            candidates += find_burg_laws(flow, field, self._stream(14))
            if flow.family.dimension <= _AUTOMATIC:
                candidates += find_shift_laws(flow, field, self._stream(1))
        elif isinstance(flow, GradientFlow | NaturalFlow):
            candidates = structured_laws(flow, field, self._stream(0))
        elif isinstance(flow, SignFlow):
            candidates = sign_laws(flow, field)
        else:
            candidates = self._automatic(flow)
        return self._confirm(candidates, flow)

    def polynomial(self, degree: int) -> _Found:
        """All polynomial laws up to a degree, with powers of time under momentum and logarithms in mirror flows."""
        flow, field = self.flow.relaxed(), self.fields[0]
        if isinstance(flow, SignFlow):
            raise InputError("laws of sign flow are linear, with signs: leave out the degree")
        if isinstance(flow, MomentumFlow):
            return self._confirm(timed_polynomials(flow, degree, field, self._stream(2)), flow)
        wider = self._wider()
        return self._confirm(polynomial_laws(wider, degree, field, self._stream(2)), wider)

    def further(self, found: _Found) -> _Found:
        """Add polynomial laws, with logarithms or powers of time, where the system is small."""
        flow, field, more = self.flow.relaxed(), self.fields[0], list[Law]()
        if isinstance(flow, SignFlow):  # polynomials would know nothing of the signs
            return found
        if isinstance(flow, MomentumFlow):
            if rotation_unknowns(flow) <= _AUTOMATIC:
                more += find_rotation_laws(flow, field, self._stream(3))
            if timed_unknowns(flow, 2) <= _AUTOMATIC:
                more += timed_polynomials(flow, 2, field, self._stream(4))
            again = self._confirm([*found.laws, *more], flow)
        else:
            wider = self._wider()
            timed = exponential_laws(flow, field) if isinstance(flow, Fields) else ()
            again = self._confirm([*found.laws, *self._automatic(wider), *timed], wider)
        return again if again.rank > found.rank else found

    def quotients(self, found: _Found) -> _Found:
        """Add rational laws of what was given as formulas."""
        flow, components = self.flow.relaxed(), self.flow.components()
        if components is None or not (isinstance(flow, Fields) or isinstance(family_of(flow), Parametrised)):
            return found
        more = rational_laws(components, flow.state, self.fields[0], self._stream(15))
        again = self._confirm([*found.laws, *more], self._wider())
        return again if again.rank > found.rank else found

    def close(self, lower: int) -> Closure | None:
        """The best closure over the primes, tried in turn until it meets `lower`; None where memory forbids it."""
        if memory_needed(self.flow.dimension) > memory_total():
            return None
        best: Closure | None = None
        for i, field in enumerate(self.fields):
            closure = close(self.flow, field, self._stream(8 + i), lower, self.on_progress)
            best = closure if best is None or closure.upper < best.upper else best
            if best.upper <= lower:
                break
        return best

    def _wider(self) -> Flow:
        """The flow, with logarithms where they have rational gradients that fit."""
        flow = self.flow.relaxed()
        return with_logs(flow) or flow

    def _automatic(self, flow: Flow) -> list[Law]:
        """Polynomial laws of the highest degree that is cheap."""
        for degree in (4, 3, 2, 1):
            if unknowns(flow.dimension, degree) <= _AUTOMATIC:
                found = polynomial_laws(flow, degree, self.fields[0], self._stream(5))
                return sorted(found, key=lambda law: law.degree)
        return []

    def _confirm(self, candidates: Sequence[Law], flow: Flow) -> _Found:
        """Drop what is false, then what is dependent."""
        components = self._expanded(flow) if candidates else None
        done = {id(law) for law in candidates if self._proved(law, flow, components)}
        open_laws = [law for law in candidates if id(law) not in done]
        trials = tested_together(flow, open_laws, self.fields, self._stream(6)) if open_laws else []
        false = {id(law) for law, trial in zip(open_laws, trials, strict=True) if not trial.held}
        kept = independent([law for law in candidates if id(law) not in false], flow, self.fields[0], self._stream(7))
        eps = sum(trial.failure_probability for law, trial in zip(open_laws, trials, strict=True) if law in kept.laws)
        note = "laws without a proof were tested at random points" if eps else _EXPANDED
        entries = sum(law.count for law in kept.laws)
        notes = [note] * bool(kept.laws)
        if kept.rank < entries:
            notes.append(f"of {entries} entries {kept.rank} are independent")
        return _Found(kept.laws, kept.rank, min(1.0, eps), tuple(notes))

    def _expanded(self, flow: Flow) -> list[Polynomial] | None:
        """The fields as polynomials, where that is affordable."""
        family = family_of(flow)
        if family and family.monomials * family.dimension > EXPANSION_LIMIT:
            return None
        return flow.components()

    def _proved(self, law: Law, flow: Flow, components: list[Polynomial] | None) -> bool:
        """By expansion; a law of a mirror flow by that of its Euclidean counterpart."""
        family = family_of(self.flow)
        if isinstance(law, MirrorLaw | BurgLaw) and family:
            return proved(family, law.base)
        if isinstance(law, RationalLaw | ExponentialLaw):
            return components is not None and law.conserved_by(components)
        if isinstance(flow, NaturalFlow):
            return not flow.blocks and proved(flow.family, law)
        if isinstance(flow, SignFlow) and family:
            return isinstance(law, SignLaw) and proportional(family, law)
        if components is None and isinstance(flow, MomentumFlow):
            return all(proved_under_momentum(flow, scalar) for scalar in law.polynomials(flow.state))
        return components is not None and all(conserved(components, scalar) for scalar in law.polynomials(flow.state))

    def _stream(self, stage: int) -> torch.Generator:
        """Independent random numbers for each stage."""
        return torch.Generator().manual_seed(self.seed * _STREAMS + 32 + stage)


def refuse_what_flows_lack(engine: str) -> None:
    """Raise InputError where the float64 engine is asked about another flow than gradient flow."""
    if engine != "exact":
        raise InputError(f"the {engine} engine knows gradient flow only: use engine='exact' for other flows")


def _why_open(lower: int, closure: Closure | None, lower_only: bool) -> tuple[str, ...]:
    """One sentence where the bounds differ."""
    if lower_only:
        return ("no upper bound was asked for",)
    if closure is None:
        return ("no upper bound at this size: the closure does not fit in memory",)
    if closure.upper == lower:
        return ()
    if not closure.stagnated:
        return (f"the closure was stopped after brackets of length {len(closure.levels)} with rank still growing",)
    return (
        f"brackets of length {len(closure.levels)} add nothing, so {closure.upper - lower} more independent laws exist "
        "near a generic point (Frobenius), but not in a form that was searched",
    )


def _state(flow: Flow) -> tuple[str, ...]:
    """What the dimension counts."""
    if not isinstance(flow, MomentumFlow):
        return ()
    d = flow.family.dimension
    return (f"state: {flow.damping.clock}, {d} parameters and their velocities, {flow.dimension} numbers",)
