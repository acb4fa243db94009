"""Friction of momentum methods, and the clock in which everything stays polynomial.

With ``theta'' + tau(t) theta' = -M grad L`` the laws of Euclidean momentum carry the weight ``exp(integral of tau)``.
For constant tau it is exp(tau t), which replaces t as the clock (Marcotte, Gribonval, Peyre 2024, section 3.1.1); for
``tau = k / t`` it is t**k.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from gradlaws.errors import InputError
from gradlaws.exact.evaluate import times


@dataclass(frozen=True, slots=True)
class Damping:
    """``tau(t) = rate``, or ``rate / t``, or any function of time.

    Any friction becomes none, and any decay a constant one, in a time of their own: what `rate` says then holds there.

    Args:
        rate: at least 0; a whole number where it is divided by t.
        fading: divided by t (Nesterov's 3 / t; Su, Boyd, Candes 2016).
        symbol: what a function of time that is not known is called.

    Raises:
        InputError: the rate is negative, or not whole where it must be.
    """

    rate: Fraction = Fraction(0)
    fading: bool = False
    symbol: str = ""

    def __post_init__(self) -> None:
        if self.rate < 0:
            raise InputError(f"damping {self.rate} is negative: expected tau >= 0")
        if self.fading and (self.rate.denominator != 1 or self.rate == 0):
            raise InputError(
                f"damping {self.rate}/t: expected a positive whole number over t, because laws carry the weight t**k"
            )

    @property
    def text(self) -> str:
        """The friction as a formula."""
        if self.symbol:
            return f"{self.symbol}(t)"
        return f"{self.rate}/t" if self.fading else f"{self.rate}"

    @property
    def clock(self) -> str:
        """The state variable that tells the time: t, or ``exp(tau t)``."""
        if self.symbol:
            return f"exp(int {self.symbol})" if self.rate else f"int exp(-int {self.symbol})"
        if self.fading or self.rate == 0:
            return "t"
        return f"exp({'' if self.rate == 1 else f'{self.rate} '}t)"

    @property
    def weight(self) -> int:
        """``exp(integral of tau)`` is the clock to this power."""
        if self.fading:
            return int(self.rate)
        return 1 if self.rate else 0

    def drift(self, clock: Any, velocity: Any, one: Any) -> tuple[Any, Any, Any]:
        """Derivatives of clock, theta and velocity without force, up to one common factor that vanishes nowhere.

        Args:
            clock: one number.
            velocity: entries ``[D]``.
            one: what is multiplied with everything.
        """
        if self.fading:  # times t
            return one * clock, (one * clock) * velocity, times(one, -self.rate) * velocity
        if self.rate:
            return times(one * clock, self.rate), one * velocity, times(one, -self.rate) * velocity
        return one, one * velocity, None


FREE = Damping()
"""No friction."""
ANY_FRICTION = Damping(symbol="tau")
"""In the time ``int exp(-int tau)``, with ``exp(int tau) theta'`` for the velocity, there is none."""
ANY_DECAY = Damping(Fraction(1), symbol="lambda")
"""With the clock ``exp(int lambda)`` the fields do not depend on lambda > 0."""
