"""Mirror maps by a torch function: the same numbers as the same formula in text, and a sentence for anything else."""

import pytest
import sympy
import torch
from torch.func import grad

import gradlaws as gl
from gradlaws.errors import InputError, UnsupportedError
from gradlaws.exact.jet import Jet
from gradlaws.flows.metric import Geometry, Hessian, mirror
from gradlaws.flows.momentum import Descent, HeavyBall
from gradlaws.flows.traced import TracedHessian, hessian
from gradlaws.laws.law import unflatten
from tests.asserts import assert_count_is
from tests.samplers import GUARDED, residues

PAIRS = [
    (lambda x: 1 / x, "1/x"),
    (lambda x: 1 + x.square() / 2, "1 + x**2/2"),
    (lambda x: x**3 - 2, "x**3 - 2"),
    (torch.reciprocal, "1/x"),
]


@pytest.mark.parametrize(("function", "text"), PAIRS, ids=lambda x: x if isinstance(x, str) else "")
def test_a_function_is_its_formula(function, text):
    x, g = (Jet(residues((4, 2, 3), seed), GUARDED) for seed in (1, 2))
    traced, written = TracedHessian(function), Hessian(text)
    assert torch.equal(traced.apply(x, g).coefficients, written.apply(x, g).coefficients)
    reals = torch.tensor([2.0, 3.0]).double()
    assert torch.allclose(traced.apply(reals, reals), written.apply(reals, reals))
    one = Jet(torch.ones(1, 2).double(), GUARDED)
    inverse = written.apply(Jet(reals.unsqueeze(0), GUARDED), one).coefficients[0]
    assert GUARDED.reduce(traced.hessian(reals, GUARDED) * inverse).tolist() == [1.0, 1.0]


def test_laws_with_a_function_that_is_not_rational():
    answer = gl.laws("linear 2-2-2", flow=Descent(mirror(TracedHessian(torch.exp))))
    assert [law.text for law in answer.laws] == ["sum F(W1[k,:]) - sum F(W2[:,k]), F'(x) = x exp(x)"]
    assert_count_is(answer.count, 2, 2)
    assert_count_is(gl.count("linear 2-2-2", flow=HeavyBall(1, mirror(TracedHessian(torch.exp)))), 0, 0)
    two = Geometry(others=(("W1", TracedHessian(torch.exp)), ("W2", Hessian("1+x"))))
    (law,) = gl.laws("linear 2-2-2", flow=Descent(two)).laws
    assert law.text == "sum F(W1[k,:]) - sum F2(W2[:,k]), F'(x) = x exp(x), F2'(x) = x (1+x)"


def test_a_real_trajectory_keeps_the_law():
    (law,) = gl.laws("linear 1-2-1", flow=Descent(mirror(hessian(torch.exp)))).laws
    theta, shapes, h = torch.tensor([1.0, -0.5, 0.7, 0.4]).double(), {"W1": (2, 1), "W2": (1, 2)}, 1e-2

    def field(flat):
        return -grad(lambda p: (p[:2] @ p[2:] - 3) ** 2)(flat) / flat.exp()

    start = law.value(unflatten(theta, shapes))
    for _ in range(50):
        a = field(theta)
        b = field(theta + h / 2 * a)
        c = field(theta + h / 2 * b)
        theta = theta + h / 6 * (a + 2 * b + 2 * c + field(theta + h * c))
    assert torch.allclose(law.value(unflatten(theta, shapes)), start, atol=1e-7)


def test_a_text_an_expression_or_a_function():
    x = sympy.symbols("x")
    assert hessian("1/x") == Hessian("1/x")
    assert hessian(1 + x**2) == Hessian("x**2 + 1")
    assert hessian(x) == Hessian("x")  # symbols can be called, too
    assert isinstance(hessian(torch.exp), TracedHessian)


BAD = [
    (lambda x: x.sum() * x, InputError, "the Hessian h mixes entries"),
    (lambda x: x.sum(), InputError, "must give a tensor of the shape that it takes"),
    (lambda x: 1 / 0, InputError, "the Hessian h fails on a tensor: ZeroDivisionError"),
    (torch.erfinv, UnsupportedError, "no exact rule for aten.erfinv"),
    (lambda x: 3, InputError, "must give a tensor"),
]


@pytest.mark.parametrize(("function", "error", "words"), BAD)
def test_what_is_no_hessian_gets_a_sentence(function, error, words):
    with pytest.raises(error, match=r"Hessian|rule") as caught:
        TracedHessian(function)
    assert words in str(caught.value)
