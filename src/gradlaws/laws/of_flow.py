"""The two questions for flows other than Euclidean gradient flow: candidates, proofs, rank, closure."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from torch import Generator

from gradlaws.errors import InputError
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
from gradlaws.laws.reason import UNASKED, why_open
from gradlaws.laws.request import Found, Request
from gradlaws.laws.result import Answer
from gradlaws.laws.search import polynomial_laws, unknowns
from gradlaws.laws.signs import SignLaw, proportional, sign_laws
from gradlaws.models.family import Family
from gradlaws.models.symbolic import Parametrised

_AUTOMATIC = 2_000
"""Unknowns up to which the generic ansatz is tried unasked."""

_OWN = 32
"""The first of the random streams that are used here."""

_EXPANDED = (
    "every law is proved by exact polynomial identities: expanded along the fields, followed through the recorded "
    "program, or those of the Euclidean law that the metric turns into it"
)


def laws_of_flow(flow: Flow, request: Request, degree: int | None = None, lower_only: bool = False) -> Answer:
    """The laws of a flow, and whether there are others; options as in `gradlaws.laws`."""
    started, asked = time.perf_counter(), _Asked(flow, request)
    found = asked.polynomial(degree) if degree is not None else asked.structured()
    closure = None if lower_only else request.close(flow, found.rank, _OWN + 8)
    if closure and closure.upper > found.rank and degree is None:
        found = asked.further(found)
        found = asked.quotients(found) if closure.upper > found.rank else found
    notes = ((UNASKED,) if lower_only else why_open(flow, found.rank, closure)) + _state(flow)
    seconds = time.perf_counter() - started
    counted = found.counted(request, closure, flow.dimension, flow.assumptions, seconds, notes)
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


@dataclass(frozen=True, eq=False, slots=True)
class _Asked:
    """One request."""

    flow: Flow
    request: Request

    def structured(self) -> Found:
        """Laws that a person would write, of each kind of flow."""
        flow, field = self.flow.relaxed(), self.request.fields[0]
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

    def polynomial(self, degree: int) -> Found:
        """All polynomial laws up to a degree, with powers of time under momentum and logarithms in mirror flows."""
        flow, field = self.flow.relaxed(), self.request.fields[0]
        if isinstance(flow, SignFlow):
            raise InputError("laws of sign flow are linear, with signs: leave out the degree")
        if isinstance(flow, MomentumFlow):
            return self._confirm(timed_polynomials(flow, degree, field, self._stream(2)), flow)
        wider = self._wider()
        return self._confirm(polynomial_laws(wider, degree, field, self._stream(2)), wider)

    def further(self, found: Found) -> Found:
        """Add polynomial laws, with logarithms or powers of time, where the system is small."""
        flow, field, more = self.flow.relaxed(), self.request.fields[0], list[Law]()
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

    def quotients(self, found: Found) -> Found:
        """Add rational laws of what was given as formulas."""
        flow, components = self.flow.relaxed(), self.flow.components()
        if components is None or not (isinstance(flow, Fields) or isinstance(family_of(flow), Parametrised)):
            return found
        more = rational_laws(components, flow.state, self.request.fields[0], self._stream(15))
        again = self._confirm([*found.laws, *more], self._wider())
        return again if again.rank > found.rank else found

    def _wider(self) -> Flow:
        """The flow, with logarithms where they have rational gradients that fit."""
        flow = self.flow.relaxed()
        return with_logs(flow) or flow

    def _automatic(self, flow: Flow) -> list[Law]:
        """Polynomial laws of the highest degree that is cheap."""
        for degree in (4, 3, 2, 1):
            if unknowns(flow.dimension, degree) <= _AUTOMATIC:
                found = polynomial_laws(flow, degree, self.request.fields[0], self._stream(5))
                return sorted(found, key=lambda law: law.degree)
        return []

    def _confirm(self, candidates: Sequence[Law], flow: Flow) -> Found:
        """Drop what is false, then what is dependent."""
        components = self._expanded(flow) if candidates else None
        done = {id(law) for law in candidates if self._proved(law, flow, components)}
        open_laws = [law for law in candidates if id(law) not in done]
        trials = tested_together(flow, open_laws, self.request.fields, self._stream(6)) if open_laws else []
        false = {id(law) for law, trial in zip(open_laws, trials, strict=True) if not trial.held}
        kept = independent(
            [law for law in candidates if id(law) not in false], flow, self.request.fields[0], self._stream(7)
        )
        eps = sum(trial.failure_probability for law, trial in zip(open_laws, trials, strict=True) if law in kept.laws)
        note = "laws without a proof were tested at random points" if eps else _EXPANDED
        entries = sum(law.count for law in kept.laws)
        notes = [note] * bool(kept.laws)
        if kept.rank < entries:
            notes.append(f"of {entries} entries {kept.rank} are independent")
        return Found(kept.laws, kept.rank, min(1.0, eps), tuple(notes))

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

    def _stream(self, stage: int) -> Generator:
        """Independent random numbers for each stage."""
        return self.request.stream(_OWN + stage)


def refuse_what_flows_lack(engine: str) -> None:
    """Raise InputError where the float64 engine is asked about another flow than gradient flow."""
    if engine != "exact":
        raise InputError(f"the {engine} engine knows gradient flow only: use engine='exact' for other flows")


def _state(flow: Flow) -> tuple[str, ...]:
    """What the dimension counts."""
    if not isinstance(flow, MomentumFlow):
        return ()
    d = flow.family.dimension
    return (f"state: {flow.damping.clock}, {d} parameters and their velocities, {flow.dimension} numbers",)
