"""Smooth functions over a prime field, known by their differential equations only.

At a generic point u and the value f(u) are algebraically independent, so the value may be any residue, drawn by a hash
of u (equal arguments get equal values, opposite ones obey the parity of f); the differential equation then gives every
derivative. Reciprocals and inverse square roots are algebraic and exact.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from gradlaws.exact import autodiff
from gradlaws.exact.field import PrimeField
from gradlaws.exact.jet import Jet, constant
from gradlaws.exact.tape import tape_of

Values = list[Jet]


@dataclass(frozen=True, slots=True)
class Formal:
    """Functions ``v_1(u), ..., v_r(u)`` closed under differentiation.

    Args:
        name: of all of them, separated by spaces.
        start: values at residues u.
        step: derivatives of all of them from their values and u, by ring operations.
    """

    name: str
    start: Callable[[Tensor, PrimeField], list[Tensor]]
    step: Callable[[Values, Jet], Values]

    def __call__(self, u: Jet) -> Values:
        """The functions at a jet."""
        if tape := tape_of(u.field):
            return [Jet(value, u.field) for value in tape.call(self.name.split(), u.coefficients)]
        with torch.no_grad():
            values = self._values(u)
            slopes = self.step(values, Jet(u.coefficients.detach(), u.field))
        return [_attach(value, slope, u) for value, slope in zip(values, slopes, strict=True)]

    def _values(self, u: Jet) -> Values:
        """Coefficients one nilpotent after the other: ``f(a + e b) = f(a) + e f'(a) b``."""
        half = len(u.coefficients) // 2
        if not half:
            return [Jet(value.unsqueeze(0), u.field) for value in self.start(u.coefficients[0], u.field)]
        low, high = Jet(u.coefficients[:half], u.field), Jet(u.coefficients[half:], u.field)
        values = self._values(low)
        return [
            Jet(torch.cat([value.coefficients, (slope * high).coefficients]), u.field)
            for value, slope in zip(values, self.step(values, low), strict=True)
        ]


def _attach(value: Jet, slope: Jet, u: Jet) -> Jet:
    """Give a value the first-order dependence on u that reverse mode needs, and no other."""
    if not u.coefficients.requires_grad:
        return value
    tangent = (slope * u).coefficients
    field = u.field
    return Jet(autodiff.reduce(value.coefficients + (tangent - tangent.detach()), field), field)


def draw_value(u: Tensor, name: str, field: PrimeField) -> Tensor:
    """A residue for each argument, by a hash (the finaliser of splitmix64): a function of u, otherwise generic."""
    x = u.to(torch.int64) * 0x1E3779B97F4A7C15 + zlib.crc32(name.encode())
    for shift, factor in ((30, -0x40A7B892E31B1A47), (27, -0x6B2FB644ECCEEE15)):
        x = (x ^ (x >> shift)) * factor
    return torch.remainder(x ^ (x >> 31), field.prime).to(torch.float64)


def _folded(u: Tensor, field: PrimeField) -> tuple[Tensor, Tensor]:
    """The representative of {u, -u} below p/2, and where it is -u."""
    negative = u > field.prime // 2
    return torch.where(negative, field.prime - u, u), negative


def _odd(u: Tensor, name: str, field: PrimeField) -> Tensor:
    folded, negative = _folded(u, field)
    value = draw_value(folded, name, field) * (folded != 0)
    return field.reduce(torch.where(negative, -value, value))


def _even(u: Tensor, name: str, field: PrimeField) -> Tensor:
    return draw_value(_folded(u, field)[0], name, field)


def _one_minus(u: Tensor, name: str, field: PrimeField) -> Tensor:
    """Values with ``f(-u) = 1 - f(u)``: one half plus an odd function."""
    half = (field.prime + 1) // 2
    return field.reduce(_odd(u, name, field) + half)


def power(u: Tensor, exponent: int, field: PrimeField) -> Tensor:
    """Residues to a nonnegative power, by repeated squaring."""
    result = torch.ones_like(u)
    while exponent:
        if exponent & 1:
            result = field.reduce(result * u)
        u = field.reduce(u * u)
        exponent >>= 1
    return result


def is_square(u: Tensor, field: PrimeField) -> Tensor:
    """Where a residue is a nonzero square (Euler's criterion)."""
    return power(u, (field.prime - 1) // 2, field) == 1


def _inverse_root(u: Tensor, field: PrimeField) -> Tensor:
    """A square root of 1/u where u is a square; p = 3 mod 4 or p = 5 mod 8 (Atkin)."""
    p, v = field.prime, power(u, field.prime - 2, field)
    if p % 4 == 3:
        return power(v, (p + 1) // 4, field)
    a = power(field.reduce(2 * v), (p - 5) // 8, field)
    i = field.reduce(2 * field.reduce(v * field.reduce(a * a)))
    return field.reduce(field.reduce(v * a) * field.reduce(i - 1))


def _circle(u: Tensor, field: PrimeField) -> list[Tensor]:
    """Sine and cosine: a point of the circle by its rational parametrisation."""
    t = _odd(u, "angle", field)
    square = field.reduce(t * t)
    scale = power(field.reduce(1 + square), field.prime - 2, field)
    return [field.reduce(2 * field.reduce(t * scale)), field.reduce(field.reduce(1 - square) * scale)]


def constant_like(value: int, u: Jet) -> Jet:
    """A number as a jet that broadcasts against u."""
    return constant(u.coefficients.new_full((1, *[1] * len(u.shape)), value % u.field.prime), u.field)


def _half(u: Jet) -> Jet:
    return constant_like((u.field.prime + 1) // 2, u)


EXP = Formal("exp", lambda u, f: [draw_value(u, "exp", f)], lambda v, _u: [v[0]])
TANH = Formal("tanh", lambda u, f: [_odd(u, "tanh", f)], lambda v, _u: [constant_like(1, v[0]) - v[0] * v[0]])
SIGMOID = Formal("sigmoid", lambda u, f: [_one_minus(u, "sigmoid", f)], lambda v, _u: [v[0] - v[0] * v[0]])
SOFTPLUS = Formal(
    "softplus sigmoid",
    lambda u, f: [draw_value(u, "softplus", f), _one_minus(u, "sigmoid", f)],
    lambda v, _u: [v[1], v[1] - v[1] * v[1]],
)
NORMAL = Formal(
    "normal density",
    lambda u, f: [_one_minus(u, "normal", f), _even(u, "density", f)],
    lambda v, u: [v[1], -(u * v[1])],
)
ERF = Formal(
    "erf gauss",
    lambda u, f: [_odd(u, "erf", f), _even(u, "gauss", f)],
    lambda v, u: [v[1], -(constant_like(2, u) * (u * v[1]))],
)
SINE = Formal("sine cosine", _circle, lambda v, _u: [v[1], -v[0]])
RECIPROCAL = Formal("reciprocal", lambda u, f: [power(u, f.prime - 2, f)], lambda v, _u: [-(v[0] * v[0])])
LOG = Formal("logarithm", lambda u, f: [draw_value(u, "log", f)], lambda _v, u: [RECIPROCAL(u)[0]])
INVERSE_ROOT = Formal(
    "root",
    lambda u, f: [_inverse_root(u, f)],
    lambda v, u: [-(_half(u) * (v[0] * (v[0] * v[0])))],
)
