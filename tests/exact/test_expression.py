"""Expressions: read as SymPy reads them, and nothing else is."""

from fractions import Fraction

import pytest
import sympy
from hypothesis import assume, given
from hypothesis import strategies as st

from gradlaws.errors import InputError
from gradlaws.exact.evaluate import evaluate
from gradlaws.exact.expression import read_expression

NUMBERS = {"x": 0, "y": 1}
POINT = [Fraction(3, 7), Fraction(-5, 2)]


def value(quotient):
    above, below = (evaluate(p, POINT) for p in (quotient.above, quotient.below))
    return (above or 0) / below


@given(
    st.recursive(
        st.sampled_from(["x", "y", "1", "2/3", "0.25", "7"]),
        lambda inner: st.one_of(
            st.tuples(inner, st.sampled_from("+-*/"), inner).map(lambda t: f"({t[0]} {t[1]} {t[2]})"),
            st.tuples(inner, st.integers(-2, 3)).map(lambda t: f"({t[0]})**{t[1]}"),
            inner.map(lambda t: f"-({t})"),
        ),
        max_leaves=6,
    )
)
def test_values_are_those_of_sympy(text):
    x, y = sympy.symbols("x y")
    twin = sympy.sympify(text, rational=True, locals={"x": x, "y": y})
    if twin.has(sympy.zoo, sympy.nan):
        with pytest.raises(InputError, match="divides by zero at every point"):
            read_expression(text, NUMBERS)
        return
    try:
        read = read_expression(text, NUMBERS)
    except InputError:  # 0 * (1 / 0): SymPy may cancel what is refused here
        assume(False)
    expected = twin.subs({x: sympy.Rational(3, 7), y: sympy.Rational(-5, 2)})
    if expected.is_finite:
        assert value(read) == Fraction(int(expected.p), int(expected.q))


@given(st.sampled_from(["x/(1+y)", "x**3*y - 2", "(x - y)/(x + y)**2", "1/x"]), st.integers(0, 1))
def test_derivatives_are_those_of_sympy(text, variable):
    x, y = sympy.symbols("x y")
    twin = sympy.diff(sympy.sympify(text, locals={"x": x, "y": y}), (x, y)[variable])
    expected = twin.subs({x: sympy.Rational(3, 7), y: sympy.Rational(-5, 2)})
    assert value(read_expression(text, NUMBERS).derivative(variable)) == Fraction(int(expected.p), int(expected.q))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "cannot read the expression ''"),
        ("x +", "cannot read the expression"),
        ("z", "'z' in 'z' is not declared: expected one of x, y"),
        ("sin(x)", "sin(...) in 'sin(x)' is not rational"),
        ("__import__('os')", "is not rational"),
        ("x.real", "'x.real' in 'x.real' is not understood"),
        ("x if y else x", "is not understood"),
        ("True", "'True' in 'True' is not understood"),
        ("'a'", "is not understood"),
        ("x**y", "an exponent in 'x**y' is not a whole number"),
        ("x**(1/2)", "an exponent in 'x**(1/2)' is not a whole number"),
        ("x**100000", "the power 100000 in 'x**100000' is too large"),
        ("(x + y)**65", "the power 65 in '(x + y)**65' is too large"),
        ("1/0", "'1/0' divides by zero at every point"),
        ("x/(y - y)", "divides by zero at every point"),
        ("1e400", "write it as a fraction or a decimal without exponent"),
        ("9" * 50, "is not understood"),
        ("~x", "is not understood"),
        ("x // y", "is not understood"),
    ],
)
def test_everything_else_is_refused(text, words):
    with pytest.raises(InputError) as caught:
        read_expression(text, NUMBERS)
    assert words in str(caught.value)


def test_a_caret_is_a_power():
    assert read_expression("x^2", NUMBERS) == read_expression("x**2", NUMBERS)
