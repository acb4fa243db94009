"""What the stages of one answer share: the fields, the random streams, the listener; and what they find."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Integral

import torch

from gradlaws.errors import InputError
from gradlaws.exact.field import DEFAULT_PRIMES, PrimeField
from gradlaws.flows.flow import Flow
from gradlaws.laws.closure import Closure, close, fits
from gradlaws.laws.count import Count, Evidence
from gradlaws.laws.law import Law
from gradlaws.progress import Progress

_STREAMS = 64


@dataclass(frozen=True, eq=False, slots=True)
class Request:
    """The options that every question has.

    Args:
        fields: the prime fields; the first decides, the others confirm.
        seed: of every random choice.
        on_progress: hears the name of a stage and the fraction done.
    """

    fields: tuple[PrimeField, ...]
    seed: int
    on_progress: Progress | None

    @classmethod
    def of(cls, primes: Sequence[int], seed: int, device: str = "cpu", on_progress: Progress | None = None) -> Request:
        """Check the options.

        Raises:
            InputError: an option is out of range.
        """
        if isinstance(primes, str | int) or not all(isinstance(prime, Integral) for prime in primes):
            raise InputError(
                f"primes {primes!r} are not understood: expected whole numbers, such as {DEFAULT_PRIMES[:2]}"
            )
        if not isinstance(seed, Integral):
            raise InputError(f"seed {seed!r} is not a whole number: expected one from 0 to 2**57 - 1")
        if not primes:
            raise InputError(f"no prime given: expected at least one, for example {DEFAULT_PRIMES[0]}")
        if not 0 <= seed < 2**57:
            raise InputError(f"seed {seed} is out of range: expected a whole number from 0 to 2**57 - 1")
        return cls(tuple(PrimeField(prime, device) for prime in dict.fromkeys(primes)), seed, on_progress)

    def stream(self, stage: int) -> torch.Generator:
        """Independent random numbers for each stage, 0 to 63."""
        return torch.Generator().manual_seed(self.seed * _STREAMS + stage)

    def close(self, flow: Flow, lower: int, stage: int) -> Closure | None:
        """The best closure over the primes, tried in turn until it meets `lower`; None where memory forbids it."""
        if not fits(flow.dimension):
            return None
        best: Closure | None = None
        for i, field in enumerate(self.fields):
            closure = close(flow, field, self.stream(stage + i), lower, self.on_progress)
            if best is None or closure.upper < best.upper:
                best = closure
            if best.upper <= lower:
                break
        return best


@dataclass(frozen=True, slots=True)
class Found:
    """Confirmed laws with independent gradients.

    Args:
        laws: the bundles.
        rank: how many scalar laws among them are independent; proved once the laws are.
        failure_probability: that some law is false although it passed its tests; 0 where all are proved.
        notes: how they were confirmed.
    """

    laws: tuple[Law, ...]
    rank: int
    failure_probability: float
    notes: tuple[str, ...]

    def counted(
        self,
        request: Request,
        closure: Closure | None,
        dimension: int,
        assumptions: tuple[str, ...],
        seconds: float,
        notes: Sequence[str],
    ) -> Count:
        """How many, at least and at most, in a state space of this dimension."""
        evidence = Evidence(
            primes=tuple(field.prime for field in request.fields),
            seed=request.seed,
            levels=closure.levels if closure else (),
            assumptions=assumptions,
            failure_probability=self.failure_probability,
            seconds=seconds,
            notes=(*self.notes, *notes),
        )
        return Count.between(self.rank, closure.upper if closure else dimension, evidence, dimension)
