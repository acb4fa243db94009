"""Proofs of momentum laws without expanding the potential: the drift by expansion, the controls by propagation.

A law h(clock, theta, v) is conserved exactly if the drift conserves it, a polynomial identity in the state alone, and
``<M dh/dv, grad psi_s> = 0`` for every instance s: the direction ``M dh/dv`` moves no output of the program.
"""

from __future__ import annotations

from gradlaws.exact.polynomial import Polynomial
from gradlaws.flows.momentum import MomentumFlow
from gradlaws.laws.proof import conserved


def proved_under_momentum(flow: MomentumFlow, law: Polynomial) -> bool:
    """Whether a polynomial law is proved; False means no proof, not that it is false.

    The direction must be one power of the clock times polynomials in the parameters alone.
    """
    from gradlaws.laws.propagation import moves_no_output  # noqa: PLC0415 - takes as long to import as torch
    from gradlaws.models.module import ModuleFamily  # noqa: PLC0415

    if not isinstance(flow.family, ModuleFamily) or not conserved(flow.drift(), law):
        return False
    d = flow.family.dimension
    direction = flow.pulled([law.derivative(1 + d + i) for i in range(d)])
    if direction is None:
        return False
    timed = {monomial.count(0) for entry in direction for monomial in entry.terms}
    used = {v for entry in direction for monomial in entry.terms for v in monomial}
    if len(timed) != 1 or any(v > d for v in used):
        return False
    power = timed.pop()
    numbers = {v: v - 1 for v in used}
    stripped = [Polynomial({m[power:]: c for m, c in entry.terms.items()}) for entry in direction]
    return moves_no_output(flow.family, {i: p.renumbered(numbers) for i, p in enumerate(stripped) if p.terms})
