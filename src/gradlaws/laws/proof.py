"""Why a law holds: a polynomial identity where that is affordable, random evaluation otherwise.

Recorded programs have proofs of their own, in `gradlaws.laws.propagation`.

A hidden layer l of a network meets its laws through two tensors and a bias only. With the activations h' before it and
the cotangent c' after it as free variables, ``<c', W' act(W h' + b)>`` has the same derivatives in (W, b, W') as the
potential of the whole network (chain rule). It is linear in c' and of degree r in (h', 1), and a law of units i, j
involves only these two; so the identity at every size and depth follows, coefficient by coefficient, from the one with
r inputs, 2 units and 1 output, which is expanded here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import torch

from gradlaws.exact.field import PrimeField
from gradlaws.exact.polynomial import Polynomial, sum_of_products
from gradlaws.flows.flow import Flow
from gradlaws.laws.contraction import Contraction
from gradlaws.laws.gram import GramLaw
from gradlaws.laws.law import Law
from gradlaws.laws.rational import RationalLaw
from gradlaws.laws.structured import probe
from gradlaws.models.family import Family
from gradlaws.models.network import Network

EXPANSION_LIMIT = 200_000
"""A potential is expanded while monomials times parameters stay below this (about one second)."""

_TRIALS = 3
_NUMBERS = 2**25
_COVERED = 2**28


def expanded_potential(family: Family) -> Polynomial:
    """The potential as a polynomial: the parameters come first, flattened, then the instance."""
    return family.expanded()


def holds_by_expansion(psi: Polynomial, law: Polynomial) -> bool:
    """Whether ``<grad law, grad psi>`` is the zero polynomial, gradients taken in the variables of the law."""
    total = Polynomial({})
    for variable in {v for monomial in law.terms for v in monomial}:
        total = total + law.derivative(variable) * psi.derivative(variable)
    return not total.terms


def conserved(components: list[Polynomial], law: Polynomial) -> bool:
    """Whether ``<grad law, X>`` is the zero polynomial for a field given by its components."""
    moved = sum_of_products(
        (law.derivative(v), components[v]) for v in sorted({v for monomial in law.terms for v in monomial})
    )
    return not moved.terms


def proved(family: Family, law: Law) -> bool:
    """Whether the law is proved: on a template or a recorded program where the family has one, otherwise by expansion.

    False means that no proof was affordable, or that the identity is false.
    """
    if isinstance(family, Network) and isinstance(law, GramLaw):
        if law.selection == "trace":
            return _is_sum_of_layer_laws(family, law)
        return any(_proved_at(family, layer, law) for layer in range(1, family.depth))
    if isinstance(law, RationalLaw):
        return law.conserved_by(list(family.expanded_gradient()))
    if family.monomials * family.dimension > EXPANSION_LIMIT:
        return _proved_by_propagation(family, law)
    psi = expanded_potential(family)
    return all(holds_by_expansion(psi, scalar) for scalar in law.polynomials(family.parameters))


def _proved_by_propagation(family: Family, law: Law) -> bool:
    """Imports what records modules on first use: it takes as long as torch itself."""
    from gradlaws.laws.propagation import proved_by_propagation  # noqa: PLC0415
    from gradlaws.models.module import ModuleFamily  # noqa: PLC0415

    return isinstance(family, ModuleFamily) and proved_by_propagation(family, law)


def layer_law(network: Network, layer: int) -> GramLaw:
    """The norm law of the hidden layer: incoming weights and bias against outgoing weights."""
    incoming = [(Contraction(f"W{layer}", 0, 2), 1)] + [(Contraction(f"b{layer}", 0, 1), 1)] * network.bias
    parts = (*incoming, (Contraction(f"W{layer + 1}", 1, 2), -network.power))
    return GramLaw(parts, network.widths[layer], "diagonal")


def _proved_at(network: Network, layer: int, law: GramLaw) -> bool:
    """Expansion on the template of one hidden layer, if the law lives there."""
    axes = {part.tensor: part.axis for part, _ in layer_law(network, layer).parts}
    if law.width != network.widths[layer] or any(axes.get(p.tensor) != p.axis or not p.whole for p, _ in law.parts):
        return False
    template = Network(network.activation, (network.power, 2, 1), bias=network.bias)
    names = {f"W{layer}": "W1", f"b{layer}": "b1", f"W{layer + 1}": "W2"}
    psi = expanded_potential(template)
    return all(holds_by_expansion(psi, p) for p in law.renamed(names, width=2).polynomials(template.parameters))


def _is_sum_of_layer_laws(network: Network, law: GramLaw) -> bool:
    """Subtract the proved law of one hidden layer after the other; nothing may remain of a law of traces."""
    rest = {name: Fraction(0) for name in network.parameters} | {p.tensor: Fraction(c) for p, c in law.parts}
    for layer in range(1, network.depth):
        known, factor = layer_law(network, layer), rest[f"W{layer}"]
        if factor and not _proved_at(network, layer, known):
            return False
        for part, c in known.parts:
            rest[part.tensor] -= factor * c
    return not any(rest.values())


@dataclass(frozen=True, slots=True)
class Trial:
    """Random evaluation of identities: all held, and the probability that a false one would have passed."""

    held: bool
    failure_probability: float


def tested(flow: Flow, law: Law, fields: Sequence[PrimeField], generator: torch.Generator) -> Trial:
    """Schwartz-Zippel test of ``<grad h, X> = 0`` at random points of several primes.

    A false identity passes one trial with probability at most degree / p; all trials are independent.
    """
    return tested_together(flow, [law], fields, generator)[0]


def tested_together(
    flow: Flow, laws: Sequence[Law], fields: Sequence[PrimeField], generator: torch.Generator
) -> list[Trial]:
    """The same test for several laws at the same points, one point at a time where they are large.

    Tokens and rows of data are discrete cases, each with identities of its own: all are tried, if `covers` says so.
    """
    trials = _TRIALS if flow.footprint < _NUMBERS else _TRIALS - 1
    cases = flow.cases if covers(flow) else 1
    rounds = -(-trials // cases)
    together = max(1, min(rounds * cases, _NUMBERS // flow.footprint))
    held, probability = [True] * len(laws), [1.0] * len(laws)
    for field in fields:
        for first in range(0, rounds * cases, together):
            probed = probe(flow.covering(first), together, field, generator)
            for i, law in enumerate(laws):
                held[i] &= not bool(law.derivative(probed.theta, probed.velocity, field).any())
        for i, law in enumerate(laws):
            probability[i] *= ((flow.degree + law.degree - 1) / field.prime) ** rounds
    return [Trial(ok, eps if ok else 0.0) for ok, eps in zip(held, probability, strict=True)]


def covers(flow: Flow) -> bool:
    """Whether trying every discrete case of a flow is affordable."""
    return flow.cases * flow.footprint <= _COVERED
