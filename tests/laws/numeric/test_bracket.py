"""Brackets by nested reverse mode: against Jacobians, against finite differences, and the identities they satisfy."""

import pytest
import torch

from gradlaws.laws.numeric.bracket import bracket, gradient, nested, pull, push
from tests.samplers import generator


def point(seed=0, size=4):
    return torch.randn(size, generator=generator(seed), dtype=torch.float64).requires_grad_()


def fields(count=3, size=4):
    """Fields with derivatives of every order, not gradients."""
    matrices = torch.randn(count, 2, size, size, generator=generator(1), dtype=torch.float64)
    return [lambda theta, a=a, b=b: torch.sin(a @ theta) * (b @ theta) for a, b in matrices]


def by_jacobians(x, y, theta):
    jacobian = torch.autograd.functional.jacobian
    return jacobian(y, theta) @ x(theta) - jacobian(x, theta) @ y(theta)


def test_a_bracket_is_made_of_jacobians():
    x, y, _ = fields()
    torch.testing.assert_close(bracket(x, y)(point()), by_jacobians(x, y, point()))


def test_a_bracket_of_a_bracket_is_one_too():
    """Third derivatives of potentials; the inner bracket in central differences."""
    x, y, z = (gradient(lambda t, f=f: (f(t) ** 2).sum()) for f in fields())
    theta, inner = point(), bracket(x, y)
    along = z(theta).detach()
    step = 1e-5 / float(along.norm())
    ahead, behind = (inner((theta + s * step * along).detach().requires_grad_()) for s in (1, -1))
    across = torch.autograd.functional.jacobian(z, theta) @ inner(theta)
    torch.testing.assert_close(nested([y, x, z])(theta), (ahead - behind) / (2 * step) - across, rtol=1e-5, atol=1e-3)


def test_jacobi():
    x, y, z = fields()
    words = [(z, y, x), (x, z, y), (y, x, z)]
    total = sum(nested(word)(point()).detach() for word in words)
    scale = nested(words[0])(point()).detach().norm()
    assert float(total.norm()) < 1e-12 * float(scale)


@pytest.mark.parametrize("seed", range(3))
def test_push_is_the_transpose_of_pull(seed):
    (field, *_), theta = fields(), point(seed)
    u, v = point(seed + 10), point(seed + 20)
    torch.testing.assert_close(u @ push(field(theta), theta, v), v @ pull(field(theta), theta, u))


def test_a_constant_field_does_not_change():
    constant = torch.ones(4, dtype=torch.float64)
    assert not push(constant, point(), point(1)).any()
    assert not bracket(lambda _: constant, lambda _: 2 * constant)(point()).any()
