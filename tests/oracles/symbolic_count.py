"""The number of laws by symbols: components of the path lifting, real Lie brackets of polynomials, ranks over Q."""

from __future__ import annotations

import random
from fractions import Fraction
from math import prod

from sympy import ZZ
from sympy.polys.rings import PolyElement, ring

from gradlaws.models.network import Network
from tests.oracles.layout import forward

Vector = list[PolyElement]


def count_laws(network: Network, seed: int = 0) -> int:
    """D minus the dimension of the Lie algebra at a random integer point.

    Only fields that are independent at the point are bracketed: near it the others are combinations of these with
    functions as coefficients, and brackets of such combinations give nothing new.
    """
    draw = random.Random(seed)
    point = [draw.choice((-1, 1)) * draw.randint(1, 9) for _ in range(network.dimension)]
    span = _Span()
    fields = [_Germ(field, point) for field in map(gradient, components(network)) if span.grows(_at(field, point))]
    newest = fields
    while newest and span.rank < network.dimension:
        pairs = [(x, y) for x in fields for y in newest if span.grows(_bracket_at_point(x, y))]
        newest = [_Germ(bracket(x.entries, y.entries), point) for x, y in pairs]
    return network.dimension - span.rank


def potential(network: Network) -> PolyElement:
    """psi, expanded: the parameters come first, then x, c and the gates."""
    sizes = [network.dimension, network.widths[0], network.widths[-1]]
    hidden = list(network.widths[1:-1]) if network.gated else []
    _, *symbols = ring([f"v{i}" for i in range(sum(sizes) + sum(hidden))], ZZ)
    parts = [[symbols.pop(0) for _ in range(size)] for size in [*sizes, *hidden]]
    theta, x, c, *gates = parts
    return sum(a * b for a, b in zip(c, forward(network, theta, x, gates), strict=True))


def components(network: Network) -> list[PolyElement]:
    """The coefficients of psi as a polynomial in the instance: polynomials in the parameters alone."""
    dimension = network.dimension
    parameters, *_ = ring([f"v{i}" for i in range(dimension)], ZZ)
    grouped: dict[tuple[int, ...], dict[tuple[int, ...], int]] = {}
    for exponents, coefficient in potential(network).terms():
        grouped.setdefault(exponents[dimension:], {})[exponents[:dimension]] = coefficient
    return [parameters.from_dict(terms) for terms in grouped.values()]


def gradient(phi: PolyElement) -> Vector:
    """Partial derivatives in all variables of its ring."""
    return [phi.diff(variable) for variable in phi.ring.gens]


def bracket(x: Vector, y: Vector) -> Vector:
    """``DY X - DX Y``."""
    return [_along(b, x) - _along(a, y) for a, b in zip(x, y, strict=True)]


def _along(f: PolyElement, direction: Vector) -> PolyElement:
    total = f.ring.zero
    for variable, step in zip(f.ring.gens, direction, strict=True):
        if step:
            total += f.diff(variable) * step
    return total


class _Germ:
    """A field with its value and its first derivatives at a point."""

    def __init__(self, entries: Vector, point: list[int]) -> None:
        self.entries = entries
        self.value = _at(entries, point)
        self.jacobian = [_at(gradient(entry), point) for entry in entries]


def _bracket_at_point(x: _Germ, y: _Germ) -> list[Fraction]:
    return [_dot(b, x.value) - _dot(a, y.value) for a, b in zip(x.jacobian, y.jacobian, strict=True)]


def _dot(a: list[Fraction], b: list[Fraction]) -> Fraction:
    return sum((p * q for p, q in zip(a, b, strict=True) if p and q), Fraction(0))


def _at(field: Vector, point: list[int]) -> list[Fraction]:
    return [_value(entry, point) for entry in field]


def _value(entry: PolyElement, point: list[int]) -> Fraction:
    terms = (c * prod(x**n for x, n in zip(point, exponents, strict=True) if n) for exponents, c in entry.terms())
    return Fraction(sum(map(int, terms)))


class _Span:
    """Rows in echelon form over the rationals."""

    def __init__(self) -> None:
        self._rows: dict[int, list[Fraction]] = {}

    @property
    def rank(self) -> int:
        return len(self._rows)

    def grows(self, vector: list[Fraction]) -> bool:
        """Add a vector; say whether it was independent of the earlier ones."""
        for pivot, row in self._rows.items():
            if factor := vector[pivot]:
                vector = [a - factor * b for a, b in zip(vector, row, strict=True)]
        pivot = next((i for i, entry in enumerate(vector) if entry), None)
        if pivot is None:
            return False
        self._rows[pivot] = [entry / vector[pivot] for entry in vector]
        return True
