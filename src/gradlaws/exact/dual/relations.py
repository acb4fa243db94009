"""When a polynomial vanishes because of what is known of its variables.

Three kinds of relation occur: an indicator that picks one of several things, ``e_i e_j = 0`` and ``e_i^2 = e_i``; a
reciprocal, ``w a = 1``; an inverse square root, ``r^2 a = 1``. The argument a of a relation contains older variables
only. What is decided is sufficient: a polynomial that is said to vanish does so wherever the relations hold.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from gradlaws.exact.polynomial import Monomial, Polynomial, constant, sum_of_products

Spend = Callable[[int], None]


@dataclass(frozen=True, eq=False, slots=True)
class Relations:
    """Relations between numbered variables.

    Args:
        spend: hears how many terms are about to be multiplied; may raise to stop the work.
        inverses: variable to (power, argument): ``variable**power * argument = 1`` with power 1 or 2.
        indicators: variable to the number of its group: one of the group is 1, the others are 0.
    """

    spend: Spend
    inverses: dict[int, tuple[int, Polynomial]] = field(default_factory=dict)
    indicators: dict[int, int] = field(default_factory=dict)

    def vanishes(self, p: Polynomial) -> bool:
        """Whether p is zero modulo the relations; the newest inverse is cleared first."""
        if p.terms and self.indicators:
            p = self._chosen(p)
        if not p.terms:
            return True
        newest = max((v for m in p.terms for v in m if v in self.inverses), default=None)
        if newest is None:
            return False
        return all(self.vanishes(part) for part in self._cleared(p, newest))

    def _cleared(self, p: Polynomial, variable: int) -> list[Polynomial]:
        """Polynomials without the variable whose vanishing implies that of p: p times a power of the argument.

        With ``r^2 a = 1`` the even and the odd powers of r are cleared apart.
        """
        step, argument = self.inverses[variable]
        parts: dict[int, dict[Monomial, object]] = defaultdict(dict)
        for monomial, c in p.terms.items():
            parts[monomial.count(variable)][tuple(v for v in monomial if v != variable)] = c
        cleared = []
        for parity in range(step):
            powers = {k // step: Polynomial(terms) for k, terms in parts.items() if k % step == parity}  # type: ignore[arg-type]
            if powers:
                cleared.append(self._horner(powers, argument))
        return cleared

    def _horner(self, powers: dict[int, Polynomial], argument: Polynomial) -> Polynomial:
        """``sum of powers[k] * argument**(highest - k)``."""
        total = Polynomial({})
        for k in range(max(powers) + 1):
            self.spend(len(total.terms) * len(argument.terms))
            total = sum_of_products([(total, argument), (powers.get(k, Polynomial({})), constant(1))])
        return total

    def _chosen(self, p: Polynomial) -> Polynomial:
        """Products of indicators of one group replaced by what they are."""
        total: dict[Monomial, object] = {}
        for monomial, c in p.terms.items():
            kept = self._simplified(monomial)
            if kept is not None:
                total[kept] = total.get(kept, 0) + c  # type: ignore[operator]
        return Polynomial({m: c for m, c in total.items() if c})  # type: ignore[misc]

    def _simplified(self, monomial: Sequence[int]) -> Monomial | None:
        """The monomial with every indicator once, or None where two of one group meet."""
        chosen: dict[int, int] = {}
        kept = []
        for v in monomial:
            group = self.indicators.get(v)
            if group is None:
                kept.append(v)
            elif group not in chosen:
                chosen[group] = v
                kept.append(v)
            elif chosen[group] != v:
                return None
        return tuple(kept)
