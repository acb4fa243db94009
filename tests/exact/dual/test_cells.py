"""Cells: constants, cuts, names, limits; and arrays of them against derivatives of numbers."""

from fractions import Fraction

import pytest
import torch

from gradlaws.exact.dual import arrays
from gradlaws.exact.dual.cells import DEAD, NOTHING, ZERO, Cells, Dual, NotProvedError
from gradlaws.exact.polynomial import constant, variable

X, Y, Z = (variable(cell) for cell in (1, 2, 3))


def cells_with(gradient, work=10_000, names=True):
    """Three parameters, cells 1 to 3."""
    return Cells(gradient, 4, work, names)


def test_small_rationals_are_themselves_and_other_floats_unknown_but_equal():
    cells = cells_with({})
    assert cells.value(cells.number(0.75)) == constant(Fraction(3, 4))
    assert (cells.number(0.0), cells.number(float("-inf")), cells.number(-3e38)) == (ZERO, DEAD, DEAD)
    third, same, other = cells.number(1 / 3), cells.number(torch.tensor(1 / 3).item()), cells.number(0.3)
    assert third == same != other
    assert cells.value(cells.number(-1 / 3)) == -cells.value(third)
    with pytest.raises(NotProvedError):
        cells.number(float("nan"))


def test_what_does_not_move_is_cut():
    cells = cells_with({1: constant(1)})
    (cell,) = cells.record([Dual(X * Y + Z, X - X)])
    assert cells.dual(cell) == Dual(variable(cell), NOTHING)


def test_multiples_of_values_get_names_and_keep_their_ratios():
    cells = cells_with({})
    long = X * Y + Z
    a, b = cells.record([Dual(long, long * 2), Dual(long * -3, long)])
    assert cells.dual(a) == Dual(variable(a), variable(a) * 2)
    assert cells.dual(b) == Dual(variable(a) * -3, variable(a))


def test_a_short_value_with_another_derivative_is_written_out():
    cells = cells_with({})
    long = X * Y + Z
    for dual in (Dual(long, X), Dual(X * Y, X * Y)):
        (cell,) = cells.record([dual])
        assert cells.dual(cell) == dual
    (cell,) = cells.record([Dual((X + Y + Z) * (X + Y + Z) * (X + Y + Z), X)])
    assert cells.dual(cell) == Dual(variable(cell), X)
    exact = cells_with({}, names=False)
    (cell,) = exact.record([Dual(long, long)])
    assert exact.value(cell) == long


def test_too_much_work_stops_the_proof():
    with pytest.raises(NotProvedError, match="too long"):
        cells_with({}, work=5).times(Dual(X + Y, X), Dual(X + Z, Z))


def test_a_mask_is_no_number():
    with pytest.raises(NotProvedError, match="mask"):
        cells_with({}).dual(DEAD)


OPERATIONS = {
    "add": (lambda c, x: arrays.add(c, x[:2], x[1:]), lambda x: x[:2] + x[1:]),
    "multiply": (lambda c, x: arrays.multiply(c, x[:2], x[1:]), lambda x: x[:2] * x[1:]),
    "contract": (lambda c, x: arrays.contract(c, x.unsqueeze(0), x.flip(0)), lambda x: (x * x.flip(0)).sum()[None]),
    "total": (lambda c, x: arrays.total(c, x, [0], True), lambda x: x.sum(0, keepdim=True)),
    "centred": (lambda c, x: arrays.centred(c, x, [0]), lambda x: x - x.mean()),
    "reciprocal": (arrays.reciprocal, lambda x: 1 / x),
    "inverse root": (arrays.inverse_root, lambda x: x**-0.5),
    "exponential": (lambda c, x: arrays.smooth(c, "exp", x), torch.exp),
}


@pytest.mark.parametrize("names", [True, False])
@pytest.mark.parametrize("name", OPERATIONS)
def test_arrays_have_the_derivatives_of_numbers(name, names):
    """At numbers put in for the variables; one that stands for a value is solved for."""
    on_cells, on_numbers = OPERATIONS[name]
    cells = cells_with({1: constant(1), 3: Y}, names=names)
    out = on_cells(cells, torch.tensor([1, 2, 3]))
    x = torch.tensor([2.0, 3.0, 5.0], dtype=torch.float64)
    moved = torch.autograd.functional.jacobian(on_numbers, x) @ torch.tensor([1.0, 0.0, 3.0], dtype=torch.float64)
    known = {1: 2.0, 2: 3.0, 3: 5.0}
    for cell, number, slope in zip(out.tolist(), on_numbers(x).tolist(), moved.tolist(), strict=True):
        dual = cells.dual(cell)
        for unknown in {v for monomial in dual.value.terms for v in monomial} - known.keys():
            base, one = (at(dual.value, known | {unknown: value}) for value in (0.0, 1.0))
            known[unknown] = (number - base) / (one - base)
        assert at(dual.value, known) == pytest.approx(number)
        assert at(dual.tangent, known) == pytest.approx(slope)


def at(p, known):
    return sum(float(c) * float(torch.tensor([known[v] for v in m]).prod()) for m, c in p.terms.items())


def test_gates_of_nothing_are_nothing():
    cells = cells_with({1: constant(1)})
    out = arrays.multiply(cells, torch.tensor([ZERO, 1]), cells.fresh((2,)))
    assert out[0] == ZERO
    assert cells.moving(out).tolist() == [False, True]


def test_a_mask_survives_a_sum():
    cells = cells_with({1: constant(1)})
    assert arrays.add(cells, torch.tensor([1, DEAD]), torch.tensor([DEAD, 2])).tolist() == [DEAD, DEAD]
