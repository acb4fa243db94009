"""Sparse polynomials against SymPy."""

from fractions import Fraction

import pytest
import sympy
from hypothesis import given
from hypothesis import strategies as st

from gradlaws.exact.polynomial import Polynomial, constant, variables

X = sympy.symbols("x:3")
monomials = st.lists(st.integers(0, 2), max_size=3).map(sorted).map(tuple)
coefficients = st.fractions(-5, 5, max_denominator=4).filter(bool)
polynomials = st.dictionaries(monomials, coefficients, max_size=4).map(Polynomial)


def symbolic(f: Polynomial):
    terms = (
        sympy.Rational(c.numerator, c.denominator) * sympy.prod([X[v] for v in m])
        for m, c in ((m, Fraction(c)) for m, c in f.terms.items())
    )
    return sympy.Integer(0) + sum(terms)


def same(f: Polynomial, expression):
    assert all(f.terms.values()), "a zero coefficient was kept"
    assert all(m == tuple(sorted(m)) for m in f.terms)
    return sympy.expand(symbolic(f) - expression) == 0


@given(polynomials, polynomials)
def test_arithmetic_agrees_with_sympy(f, g):
    assert same(f + g, symbolic(f) + symbolic(g))
    assert same(f - g, symbolic(f) - symbolic(g))
    assert same(f * g, symbolic(f) * symbolic(g))
    assert not (f - f).terms


@given(polynomials, st.integers(-3, 3))
def test_numbers_act_from_both_sides(f, n):
    assert same(n * f, n * symbolic(f))
    assert same(f * n, n * symbolic(f))
    assert same(n + f, symbolic(f) + n)


@given(polynomials, st.integers(0, 2))
def test_derivatives_agree_with_sympy(f, v):
    assert same(f.derivative(v), symbolic(f).diff(X[v]))


@given(polynomials)
def test_degree_is_the_total_degree(f):
    expected = sympy.Poly(symbolic(f), *X).total_degree() if f.terms else 0
    assert f.degree == expected


def test_zero_has_no_terms():
    assert not constant(0).terms
    assert constant(Fraction(1, 2)).terms == {(): Fraction(1, 2)}


def test_variables_are_numbered_in_flattened_order():
    shapes = {"a": (2, 2), "b": (3,)}
    assert [v.terms for v in variables(shapes, "b")] == [{(4,): 1}, {(5,): 1}, {(6,): 1}]
    assert variables(shapes, "a", start=10)[1, 0].terms == {(12,): 1}


def test_an_unknown_name_is_an_error():
    with pytest.raises(KeyError, match="c"):
        variables({"a": (1,)}, "c")


def test_polynomials_act_on_arrays_entry_by_entry():
    shapes = {"g": (), "a": (2,)}
    g, a = variables(shapes, "g"), variables(shapes, "a")
    assert (g * g).terms == {(0, 0): 1}
    for product in ((g * g) * a, a * (g * g)):
        assert [entry.terms for entry in product] == [{(0, 0, 1): 1}, {(0, 0, 2): 1}]
    for total in ((g * g) + a, a + (g * g)):
        assert [entry.terms for entry in total] == [{(0, 0): 1, (1,): 1}, {(0, 0): 1, (2,): 1}]
