"""Count: a number of laws between two bounds, never a bare number, with the evidence that it rests on."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from gradlaws.errors import ContradictionError


class Status(Enum):
    """How sure a count is."""

    PROVED = "PROVED"
    CERTAIN = "CERTAIN"
    BOUNDED = "BOUNDED"
    NUMERIC = "NUMERIC"


@dataclass(frozen=True, slots=True)
class Level:
    """One level of the closure: brackets of this length, how many were drawn, the rank they added, covectors left."""

    length: int
    brackets: int
    rank: int
    remaining: int


@dataclass(frozen=True, slots=True)
class Evidence:
    """What an answer rests on.

    Args:
        primes: the moduli used.
        seed: of every random choice.
        levels: levels of the closure; empty where it was not affordable.
        assumptions: conventions for non-polynomial pieces, by name.
        failure_probability: probability that the stated lower bound is wrong; 0 where it is proved.
        seconds: wall time.
        notes: what was proved how, and why bounds do not meet.
    """

    primes: tuple[int, ...]
    seed: int
    levels: tuple[Level, ...] = ()
    assumptions: tuple[str, ...] = ()
    failure_probability: float = 0.0
    seconds: float = 0.0
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Count:
    """A number of independent conservation laws between two bounds.

    Args:
        lower: number of explicit laws with independent gradients.
        upper: D - dim Lie as far as brackets were evaluated; proved.
        status: PROVED when the bounds meet and the laws are proved; CERTAIN when they meet and some laws were verified
            at random points only; BOUNDED otherwise.
        evidence: see Evidence.
        parameters: dimension D of the state space.

    Raises:
        ContradictionError: lower is above upper.
    """

    lower: int
    upper: int
    status: Status
    evidence: Evidence
    parameters: int

    def __post_init__(self) -> None:
        if self.lower > self.upper:
            raise ContradictionError(
                f"the bounds cross: {self.lower} independent laws, but at most {self.upper} by closure, "
                f"seed {self.evidence.seed}, primes {self.evidence.primes}; please report this with the seed"
            )

    @classmethod
    def between(cls, lower: int, upper: int, evidence: Evidence, parameters: int) -> Count:
        """The count of explicit laws below a proved bound, with the status that the two and the evidence deserve."""
        if lower < upper:
            return cls(lower, upper, Status.BOUNDED, evidence, parameters)
        status = Status.CERTAIN if evidence.failure_probability else Status.PROVED
        return cls(lower, upper, status, evidence, parameters)

    @property
    def complete(self) -> bool:
        """Whether the bounds meet."""
        return self.lower == self.upper

    @property
    def lie_dimension(self) -> int:
        """The proved lower bound of dim Lie at a generic point."""
        return self.parameters - self.upper

    @property
    def verdict(self) -> str:
        """The status with its numbers: PROVED, CERTAIN(eps), BOUNDED(lower, upper) or NUMERIC."""
        if self.status is Status.CERTAIN:
            return f"CERTAIN({self.evidence.failure_probability:.0e})"
        if self.status is Status.BOUNDED:
            return f"BOUNDED({self.lower}, {self.upper})"
        return self.status.value

    def __str__(self) -> str:
        number = str(self.lower) if self.complete else f"{self.lower} to {self.upper}"
        return f"{number} {self.verdict}"
