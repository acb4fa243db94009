"""Derivatives of any order inside the field, and the guard that sees a rule which forgets to reduce."""

import pytest
import sympy
import torch

from gradlaws.errors import ExactnessError
from gradlaws.exact import autodiff
from gradlaws.exact.autodiff import Multiply, Reduce, _sum_to
from gradlaws.exact.field import PrimeField
from tests.samplers import GUARDED, residues

P = GUARDED.prime


def program(x, a):
    """A scalar polynomial of degree 6 in x with matrix products, broadcasting and a sum."""
    column, row = x.unsqueeze(-1), x.unsqueeze(0)
    y = autodiff.multiply(autodiff.matmul(a, column, GUARDED), column, GUARDED)
    squares, outer = autodiff.multiply(y, y, GUARDED), autodiff.multiply(row, column, GUARDED)
    return autodiff.reduce(autodiff.matmul(squares.mT, outer, GUARDED).sum(), GUARDED)


def symbolic(a):
    """The same polynomial in SymPy."""
    x = sympy.symbols("x:3")
    rows = sympy.Matrix(3, 3, [int(entry) for entry in a.flatten()])
    column = sympy.Matrix(x)
    y = (rows * column).multiply_elementwise(column)
    return x, sympy.expand(sum(y.multiply_elementwise(y).T * (column * column.T)))


@pytest.fixture(scope="module")
def setting():
    a, point = residues((3, 3), 1, GUARDED), residues((3,), 2, GUARDED)
    return a, point, *symbolic(a)


def at(expression, x, point):
    value = sympy.Poly(expression, *x).eval(tuple(int(entry) for entry in point))
    return int(value) % P


def test_value_agrees_with_sympy(setting):
    a, point, x, f = setting
    assert program(point, a).item() == at(f, x, point)


@pytest.mark.parametrize("order", [1, 2, 3, 4])
def test_mixed_derivatives_agree_with_sympy(setting, order):
    a, point, x, f = setting
    leaf = point.clone().requires_grad_()
    value, expected = program(leaf, a), f
    for variable in (0, 2, 1, 0)[:order]:
        (gradient,) = torch.autograd.grad(value, leaf, create_graph=True)
        value, expected = gradient[variable], expected.diff(x[variable])
    assert int(value.detach()) % P == at(expected, x, point)


def test_derivatives_in_both_factors_undo_broadcasting():
    a, b = residues((2, 1, 3), 1, GUARDED).requires_grad_(), residues((4, 1), 2, GUARDED).requires_grad_()
    loss = autodiff.multiply(a, b, GUARDED).sum()
    left, right = torch.autograd.grad(loss, (a, b))
    assert torch.equal(left, GUARDED.reduce(b.detach().sum()).expand(2, 1, 3))
    assert torch.equal(right, GUARDED.reduce(a.detach().sum()).expand(4, 1))


def test_derivatives_of_a_batched_product_undo_broadcasting():
    a, b = residues((5, 2, 3), 1, GUARDED).requires_grad_(), residues((3, 4), 2, GUARDED).requires_grad_()
    _, right = torch.autograd.grad(autodiff.matmul(a, b, GUARDED).sum(), (a, b))
    expected = GUARDED.reduce(a.detach().sum((0, 1))).unsqueeze(1).expand(3, 4)
    assert torch.equal(right, expected)


class Careless(Multiply):
    """Planted fault: the backward rule multiplies before it reduces the cotangent."""

    @staticmethod
    def backward(ctx, cotangent):
        a, b = ctx.saved_tensors
        field = ctx.field
        return _sum_to(Multiply.apply(cotangent, b, field), a.shape, field), None, None


def many_uses(rule, field: PrimeField):
    """x a, used twenty thousand times: torch adds up twenty thousand cotangents before the rule sees them."""
    x = torch.tensor(3.0, dtype=torch.float64, requires_grad=True)
    a = torch.tensor(field.prime - 1.0, dtype=torch.float64)
    weights = torch.full((20_000,), field.prime - 2.0, dtype=torch.float64)
    uses = Multiply.apply(rule.apply(x, a, field).expand(20_000), weights, field)
    (derivative,) = torch.autograd.grad(uses.sum(), x)
    return int(derivative)


def test_the_rule_reduces_its_cotangent_first():
    # 20000 (-2)(-1)
    assert many_uses(Multiply, GUARDED) == 40_000


def test_the_guard_catches_a_rule_that_does_not():
    with pytest.raises(ExactnessError, match=r"a magnitude reached 2\*\*53"):
        many_uses(Careless, GUARDED)


def test_reduction_is_its_own_derivative():
    x = residues((4,), 1).requires_grad_()
    (derivative,) = torch.autograd.grad(Reduce.apply(x, GUARDED), x, torch.full((4,), P + 5.0, dtype=torch.float64))
    assert derivative.tolist() == [5.0] * 4
