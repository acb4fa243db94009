"""All polynomial laws up to a degree, from an exact linear system (algorithm (a) of Marcotte, Gribonval, Peyre 2023).

Unknown coefficients, one for each monomial; one equation ``sum_m a_m <grad m(theta), X_s(theta)> = 0`` for each random
(theta, s). Sign changes that permute the potentials split the unknowns into independent blocks, so that no more points
are needed than the largest block has monomials.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from fractions import Fraction
from itertools import chain, combinations_with_replacement
from math import comb

import torch
from torch import Tensor

from gradlaws.errors import InputError, TooLargeError
from gradlaws.exact import linalg
from gradlaws.exact.field import PrimeField, is_prime
from gradlaws.exact.polynomial import Monomial
from gradlaws.exact.rational import primitive, reconstruct_vectors
from gradlaws.flows.flow import Flow
from gradlaws.laws.closure import memory_total
from gradlaws.laws.law import flatten
from gradlaws.laws.polynomial import PolynomialLaw, gather, product_rule
from gradlaws.laws.structured import probe

_SPARE = 6
_MOST_PRIMES = 8
_MOST_MONOMIALS = 2_000_000


def unknowns(dimension: int, degree: int) -> int:
    """Number of monomials of degree 1 to `degree` in `dimension` variables."""
    return comb(dimension + degree, degree) - 1


def polynomial_laws(flow: Flow, degree: int, field: PrimeField, generator: torch.Generator) -> list[PolynomialLaw]:
    """A basis over the rationals of the space of polynomial laws of degree 1 to `degree`.

    Products of laws are in this space too: independence is a question about gradients (see `independence`).

    Args:
        flow: the fields.
        degree: largest total degree.
        field: the first prime; further ones are taken below it while coefficients do not fit.
        generator: source of the random points.

    Raises:
        InputError: the degree is below 1.
        TooLargeError: the system does not fit in memory.
    """
    _refuse_if_too_large(flow.dimension, degree)
    return laws_among(flow, _monomials(flow.dimension, degree), field, generator)


def laws_among(
    flow: Flow, monomials: Iterable[Monomial], field: PrimeField, generator: torch.Generator
) -> list[PolynomialLaw]:
    """A basis over the rationals of the laws that are combinations of some monomials, lowest degrees first."""
    blocks = _blocks(flow, monomials)
    points = max(map(len, blocks), default=0) + _SPARE
    per_prime: list[list[list[list[int]]]] = []
    fields: list[PrimeField] = []
    found: list[list[list[Fraction]] | None] = [None]
    while None in found and len(fields) < _MOST_PRIMES:
        fields.append(_below(fields[-1]) if fields else field)
        per_prime.append(_nullspaces(flow, blocks, points, fields[-1], generator))
        found = [_lift([solved[i] for solved in per_prime], fields) for i in range(len(blocks))]
    shapes = tuple(flow.state.items())
    return [
        _law(block, vector, shapes) for block, vectors in zip(blocks, found, strict=True) for vector in vectors or []
    ]


def _refuse_if_too_large(dimension: int, degree: int) -> None:
    if degree < 1:
        raise InputError(f"degree {degree} is too small: expected a polynomial degree of at least 1")
    count = unknowns(dimension, degree)
    need = 8 * 4 * count * dimension
    if count > _MOST_MONOMIALS or need > memory_total():
        raise TooLargeError(
            f"degree {degree} in {dimension} parameters has {count:.3g} monomials, about {need / 2**30:.1f} GiB of "
            "equations: lower --degree, or use the structured laws (no --degree), which work at any size"
        )


def _blocks(flow: Flow, monomials: Iterable[Monomial]) -> list[list[Monomial]]:
    """Monomials with the same behaviour under every known change of sign, in their order."""
    signature = [0] * flow.dimension
    for bit, change in enumerate(flow.sign_changes()):
        for variable in change:
            signature[variable] ^= 1 << bit
    groups: dict[int, list[Monomial]] = defaultdict(list)
    for monomial in monomials:
        parity = 0
        for variable in monomial:
            parity ^= signature[variable]
        groups[parity].append(monomial)
    return list(groups.values())


def _monomials(dimension: int, degree: int) -> Iterator[Monomial]:
    return chain.from_iterable(combinations_with_replacement(range(dimension), d) for d in range(1, degree + 1))


def _nullspaces(
    flow: Flow, blocks: list[list[Monomial]], points: int, field: PrimeField, generator: torch.Generator
) -> list[list[list[int]]]:
    """For each block, a basis of its laws modulo p; the same pivots at every prime but unlucky ones."""
    probed = probe(flow, points, field, generator)
    theta, velocity = flatten(probed.theta, flow.state), flatten(probed.velocity, flow.state)
    return [
        linalg.nullspace(_equations(block, theta[: len(block) + _SPARE], velocity, field), field)
        .T.to(torch.int64)
        .tolist()
        for block in blocks
    ]


def _equations(block: list[Monomial], theta: Tensor, velocity: Tensor, field: PrimeField) -> Tensor:
    """``<grad m(theta), X_s(theta)>`` for every point and monomial of the block."""
    degree = max(map(len, block))
    factors = gather(theta, block, degree, 1.0)
    directions = gather(velocity[: len(theta)], block, degree, 0.0)
    return product_rule(factors, directions, field)


def _lift(solved: list[list[list[int]]], fields: list[PrimeField]) -> list[list[Fraction]] | None:
    """Rational vectors from their residues, or None where more primes are needed."""
    if len({len(basis) for basis in solved}) > 1:
        return None
    primes = [field.prime for field in fields]
    lifted = [reconstruct_vectors(residues, primes) for residues in zip(*solved, strict=True)]
    vectors = [vector for vector in lifted if vector is not None]
    return vectors if len(vectors) == len(lifted) else None


def _below(field: PrimeField) -> PrimeField:
    """The field of the next smaller prime."""
    candidate = field.prime - 1
    while not is_prime(candidate):
        candidate -= 1
    return PrimeField(candidate, field.device, field.guard)


def _law(
    block: list[Monomial], vector: list[Fraction], shapes: tuple[tuple[str, tuple[int, ...]], ...]
) -> PolynomialLaw:
    chosen = [(m, c) for m, c in zip(block, primitive(vector), strict=True) if c]
    return PolynomialLaw(tuple(m for m, _ in chosen), tuple(c for _, c in chosen), shapes)
