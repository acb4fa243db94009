"""Candidates for laws of momentum: rotations that mix rows, shifts, and polynomials with powers of time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from fractions import Fraction
from itertools import combinations, combinations_with_replacement
from math import comb

import torch

from gradlaws.errors import InputError, TooLargeError
from gradlaws.exact import linalg
from gradlaws.exact.field import PrimeField
from gradlaws.exact.polynomial import Monomial
from gradlaws.exact.rational import primitive, reconstruct_vectors
from gradlaws.flows.gradient import GradientFlow
from gradlaws.flows.momentum import MomentumFlow
from gradlaws.laws.contraction import Contraction
from gradlaws.laws.law import Law
from gradlaws.laws.polynomial import PolynomialLaw
from gradlaws.laws.search import laws_among, polynomial_laws
from gradlaws.laws.skew import Pair, SkewLaw
from gradlaws.laws.structured import Probe, probe

_SPARE = 4
_MOST_UNKNOWNS = 20_000


def find_skew_laws(flow: MomentumFlow, field: PrimeField, generator: torch.Generator) -> list[SkewLaw]:
    """All antisymmetric matrices of rows and their velocities that are conserved, whole or in blocks.

    What is found holds at random points modulo p and must still be confirmed.
    """
    groups: dict[int, list[Contraction]] = defaultdict(list)
    for name, shape in flow.family.parameters.items():
        for axis, length in enumerate(shape):
            if length > 1:
                groups[length].append(Contraction(name, axis, len(shape)))
    laws: list[SkewLaw] = []
    for width, rows in groups.items():
        pairs = _pairs(rows, flow)
        probed = probe(flow, len(pairs) + _SPARE, field, generator)
        for heads in [n for n in range(1, width // 2 + 1) if width % n == 0]:
            laws += _combinations(flow, pairs, width, heads, probed)
            used = {part.tensor + str(part.axis) for law in laws for pair, _ in law.parts for part in pair}
            pairs = [(p, q) for p, q in pairs if not {p.tensor + str(p.axis), q.tensor + str(q.axis)} & used]
    return laws


def _pairs(rows: list[Contraction], flow: MomentumFlow) -> list[Pair]:
    """Every axis with itself, and two with each other where their rows are equally long."""
    sizes = flow.family.parameters
    own: list[Pair] = [(p, p) for p in rows]
    crossed = [(p, q) for p, q in combinations(rows, 2) if _size(sizes[p.tensor]) == _size(sizes[q.tensor])]
    return own + crossed


def _size(shape: tuple[int, ...]) -> int:
    return int(torch.Size(shape).numel())


def _combinations(flow: MomentumFlow, pairs: list[Pair], width: int, heads: int, probed: Probe) -> list[SkewLaw]:
    """Coefficients that annihilate every equation, as laws."""
    if not pairs:
        return []
    clock, weight, field = flow.damping.clock, flow.damping.weight, probed.field
    single = [SkewLaw(((pair, 1),), width, clock, weight, heads) for pair in pairs]
    columns = torch.stack([law.derivative(probed.theta, probed.velocity, field).flatten() for law in single], dim=1)
    found = []
    for vector in linalg.nullspace(columns, field).T.to(torch.int64).tolist():
        lifted = reconstruct_vectors([vector], [field.prime])
        if lifted is not None:
            parts = tuple((pair, c) for pair, c in zip(pairs, primitive(lifted), strict=True) if c)
            found.append(SkewLaw(parts, width, clock, weight, heads))
    return found


def find_shift_laws(flow: MomentumFlow, field: PrimeField, generator: torch.Generator) -> list[Law]:
    """Two laws for each linear one of the flow without momentum: ``weight <a, v>`` and one that a drifts along.

    With constant damping it is ``<a, tau theta + v>``, without any ``<a, theta - t v>``, with k / t
    ``<a, (k - 1) theta + t v>``; where k = 1 the last one says the same as the first and a logarithm is missing.
    """
    if not (flow.metric.constant or flow.at == "position"):
        return []
    state = tuple(flow.state.items())
    laws: list[Law] = []
    for law in polynomial_laws(GradientFlow(flow.family, flow.metric), 1, field, generator):
        entries = [(monomial[0], c) for monomial, c in zip(law.monomials, law.coefficients, strict=True)]
        laws += [_law(terms, state) for terms in _shifted(flow, entries)]
    return laws


def _shifted(flow: MomentumFlow, entries: list[tuple[int, int]]) -> list[dict[Monomial, Fraction]]:
    d, damping = flow.family.dimension, flow.damping
    weighted = {(*[0] * damping.weight, 1 + d + i): Fraction(c) for i, c in entries}
    along: Monomial
    if damping.fading:
        place, pull, along = damping.rate - 1, Fraction(1), (0,)
    elif damping.rate:
        place, pull, along = damping.rate, Fraction(1), ()
    else:
        place, pull, along = Fraction(1), Fraction(-1), (0,)
    if not place:
        return [weighted]
    moving: dict[Monomial, Fraction] = {(*along, 1 + d + i): pull * c for i, c in entries}
    return [weighted, {(1 + i,): place * c for i, c in entries} | moving]


def _law(terms: dict[Monomial, Fraction], state: tuple[tuple[str, tuple[int, ...]], ...]) -> PolynomialLaw:
    return PolynomialLaw(tuple(terms), primitive(list(terms.values())), state)


def find_rotation_laws(flow: MomentumFlow, field: PrimeField, generator: torch.Generator) -> list[Law]:
    """All laws ``weight * sum a_ij theta_i v_j``: those of linear infinitesimal isometries."""
    d = flow.family.dimension
    clock = (0,) * flow.damping.weight
    return list(laws_among(flow, ((*clock, 1 + i, 1 + d + j) for i in range(d) for j in range(d)), field, generator))


def rotation_unknowns(flow: MomentumFlow) -> int:
    """How many unknowns `find_rotation_laws` has."""
    return flow.family.dimension**2


def timed_polynomials(flow: MomentumFlow, degree: int, field: PrimeField, generator: torch.Generator) -> list[Law]:
    """All laws of a degree in parameters and velocities, with powers of the clock up to `degree` times the weight.

    Raises:
        InputError: the degree is below 1.
        TooLargeError: too many unknowns.
    """
    if degree < 1:
        raise InputError(f"degree {degree} is too small: expected a polynomial degree of at least 1")
    count = timed_unknowns(flow, degree)
    if count > _MOST_UNKNOWNS:
        raise TooLargeError(
            f"degree {degree} in {flow.dimension} variables with powers of time has {count} terms: lower --degree, or "
            "use the structured laws (no --degree)"
        )
    return list(laws_among(flow, _timed(flow, degree), field, generator))


def timed_unknowns(flow: MomentumFlow, degree: int) -> int:
    """How many unknowns `timed_polynomials` has."""
    return (comb(flow.dimension - 1 + degree, degree) - 1) * (1 + _most_time(flow, degree))


def _most_time(flow: MomentumFlow, degree: int) -> int:
    """The highest power of the clock: products of laws have the product of their weights."""
    return degree * max(1, flow.damping.weight)


def _timed(flow: MomentumFlow, degree: int) -> Iterator[Monomial]:
    for d in range(1, degree + 1):
        for monomial in combinations_with_replacement(range(1, flow.dimension), d):
            for time in range(_most_time(flow, d) + 1):
                yield (*[0] * time, *monomial)
