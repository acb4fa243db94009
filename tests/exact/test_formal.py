"""Formal functions obey their differential equations, their symmetries, and nothing that is not asked of them."""

import pytest
import torch

from gradlaws.exact.field import DEFAULT_PRIMES, PrimeField
from gradlaws.exact.formal import (
    ERF,
    EXP,
    INVERSE_ROOT,
    LOG,
    NORMAL,
    RECIPROCAL,
    SIGMOID,
    SINE,
    SOFTPLUS,
    TANH,
    draw_value,
    is_square,
)
from gradlaws.exact.jet import Jet
from tests.asserts import assert_residues
from tests.samplers import FIELD, GUARDED, OTHER_FIELD, residues

# zero for all x, with f, f', f'' at x
EQUATIONS = {
    "exp": (EXP, lambda x, f, d, dd: d - f),
    "tanh": (TANH, lambda x, f, d, dd: d - 1 + f * f),
    "tanh, twice": (TANH, lambda x, f, d, dd: dd + 2 * f * d),
    "sigmoid": (SIGMOID, lambda x, f, d, dd: d - f + f * f),
    "softplus": (SOFTPLUS, lambda x, f, d, dd: dd - d + d * d),
    "normal": (NORMAL, lambda x, f, d, dd: dd + x * d),
    "erf": (ERF, lambda x, f, d, dd: dd + 2 * x * d),
    "sine": (SINE, lambda x, f, d, dd: dd + f),
    "circle": (SINE, lambda x, f, d, dd: d * d + f * f - 1),
    "reciprocal": (RECIPROCAL, lambda x, f, d, dd: f * x - 1),
    "reciprocal, twice": (RECIPROCAL, lambda x, f, d, dd: x * dd + 2 * d),
    "logarithm": (LOG, lambda x, f, d, dd: x * d - 1),
    "inverse root": (INVERSE_ROOT, lambda x, f, d, dd: 2 * x * d + f),
}
FALSE = {
    "exp of tanh": (TANH, lambda x, f, d, dd: d - f),
    "sigmoid without square": (SIGMOID, lambda x, f, d, dd: d - f),
    "normal without factor": (NORMAL, lambda x, f, d, dd: dd + d),
    "a value of exp": (EXP, lambda x, f, d, dd: f - x),
}


def taylor(function, x, field):
    """f, f', f'' by jets of order two along one."""
    one = torch.ones_like(x)
    values = function(Jet(torch.stack([x, one, one, torch.zeros_like(x)]), field))[0].coefficients
    assert_residues(values, field)
    assert torch.equal(values[1], values[2])
    return [Exact(row, field) for row in (x, values[0], values[1], values[3])]


class Exact:
    """Residues with operators, for writing equations."""

    def __init__(self, x, field):
        self.x, self.field = x, field

    def _lift(self, other):
        return other.x if isinstance(other, Exact) else float(other)

    def __add__(self, other):
        return Exact(self.field.reduce(self.x + self._lift(other)), self.field)

    def __sub__(self, other):
        return Exact(self.field.reduce(self.x - self._lift(other)), self.field)

    def __mul__(self, other):
        return Exact(self.field.reduce(self.x * self._lift(other)), self.field)

    __rmul__ = __mul__


@pytest.mark.parametrize("field", [GUARDED, OTHER_FIELD], ids=lambda field: str(field.prime))
@pytest.mark.parametrize("name", EQUATIONS)
def test_differential_equations(name, field):
    function, equation = EQUATIONS[name]
    x = residues((1, 20), 1, field)
    squares = field.reduce(x * x)  # an inverse root is exact at squares only
    assert not bool(equation(*taylor(function, squares, field)).x.any())


@pytest.mark.parametrize("name", FALSE)
def test_planted_equations_fail(name):
    function, equation = FALSE[name]
    assert bool(equation(*taylor(function, residues((1, 20), 1), FIELD)).x.any())


@pytest.mark.parametrize("function", [EXP, TANH, SIGMOID, SOFTPLUS, NORMAL, ERF, SINE, LOG], ids=lambda f: f.name)
def test_values_are_functions_of_the_argument_and_generic(function):
    x = residues((1, 1, 500), 1)
    first, again = (function(Jet(x, FIELD))[0].coefficients for _ in range(2))
    assert torch.equal(first, again)
    assert len(first.unique()) > 0.99 * len(x.unique())


@pytest.mark.parametrize("prime", [1048573, 1048571, 1048549])  # 5 mod 8, 3 mod 4 and 5 mod 8
def test_inverse_roots_of_squares_are_exact(prime):
    field = PrimeField(prime)
    x = residues((1, 1, 200), 1, field)
    square = field.reduce(x * x)
    root = INVERSE_ROOT(Jet(square, field))[0].coefficients
    assert bool(is_square(square, field).all())
    assert bool((field.reduce(field.reduce(root * root) * square) == 1).all())


def test_half_of_the_residues_are_squares_and_zero_is_none():
    flags = is_square(torch.arange(0, 2000, dtype=torch.float64), FIELD)
    assert 900 < int(flags.sum()) < 1100
    assert not bool(flags[0])


def test_names_draw_different_values():
    x = residues((50,), 1)
    assert not bool((draw_value(x, "exp", FIELD) == draw_value(x, "log", FIELD)).all())
    assert DEFAULT_PRIMES[0] == FIELD.prime
    assert_residues(draw_value(x, "exp", FIELD), FIELD)
