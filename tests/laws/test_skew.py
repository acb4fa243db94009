"""Antisymmetric laws: value, derivative, expansion and text say the same; real trajectories keep them."""

from fractions import Fraction

import pytest
import torch
from torch.func import grad

import gradlaws as gl
from gradlaws.exact.ring import Reals
from gradlaws.flows.momentum import HeavyBall, Nesterov
from gradlaws.laws.contraction import Contraction
from gradlaws.laws.law import unflatten
from gradlaws.laws.skew import SkewLaw
from gradlaws.models.network import Network
from gradlaws.models.spec import read_spec
from tests.oracles.along import along
from tests.samplers import GUARDED, residues

P = GUARDED.prime
LAWS = {
    "plain": SkewLaw((((Contraction("W1", 0, 2),) * 2, 2), ((Contraction("W2", 1, 2),) * 2, -3)), 2, "t", 0),
    "weighted": SkewLaw((((Contraction("W1", 0, 2),) * 2, 1), ((Contraction("W2", 1, 2),) * 2, 1)), 2, "t", 3),
    "crossed": SkewLaw((((Contraction("W1", 0, 2), Contraction("W2", 1, 2)), 1),), 2, "t", 1),
}
SHAPES = Nesterov()(Network("linear", (2, 2, 2))).state


@pytest.mark.parametrize("name", LAWS)
def test_value_and_polynomial_agree(name):
    law, flat = LAWS[name], residues((17,), 1)
    (value,) = law.value(unflatten(flat, SHAPES), GUARDED).tolist()
    (polynomial,) = law.polynomials(SHAPES)
    total = 0
    for monomial, c in polynomial.terms.items():
        term = int(c)
        for v in monomial:
            term = term * int(flat[v]) % P
        total += term
    assert value == total % P


@pytest.mark.parametrize("name", LAWS)
def test_the_derivative_is_that_of_the_value(name):
    law = LAWS[name]
    x, direction = (torch.randn(17, generator=torch.Generator().manual_seed(s), dtype=torch.float64) for s in (1, 2))
    _, slope = along(lambda flat: law.value(unflatten(flat, SHAPES)), x, direction)
    given = law.derivative(unflatten(x, SHAPES), unflatten(direction, SHAPES), Reals())
    assert torch.allclose(slope, given, rtol=1e-12)


def test_texts():
    assert LAWS["plain"].text == "2 W1 W1'^T - 2 W1' W1^T - 3 W2^T W2' + 3 W2'^T W2"
    assert LAWS["weighted"].text == "t^3 (W1 W1'^T - W1' W1^T + W2^T W2' - W2'^T W2)"
    assert LAWS["crossed"].text == "t (W1 W2' - W2'^T W1^T + W2^T W1'^T - W1' W2)"
    assert LAWS["crossed"].latex.startswith(r"t \left(W_{1} \dot{W_{2}} - \dot{W_{2}}^\top W_{1}^\top")
    blocks = SkewLaw((((Contraction("q.weight", 0, 2),) * 2, 1),), 4, "exp(1/2 t)", 1, 2)
    assert blocks.count == 2
    assert blocks.text == "exp(1/2 t) (blocks of q.weight q.weight'^T - q.weight' q.weight^T)"
    assert blocks.latex.startswith(r"e^{1/2 t} \left(\mathrm{q.weight} \dot{\mathrm{q.weight}}^\top")
    kernels = SkewLaw((((Contraction("w", 0, 3),) * 2, 1),), 4, "t", 0)
    assert kernels.text == "<w[i,:,:], w'[j,:,:]> - <w'[i,:,:], w[j,:,:]>"


def loss(theta, x, y):
    w1, w2 = theta[:6].view(3, 2), theta[6:].view(2, 3)
    return ((w2 @ w1 @ x - y) ** 2).sum()


def trajectory(tau, start, steps, length):
    """Fourth-order Runge-Kutta on (t, theta, v)."""
    random = torch.Generator().manual_seed(3)
    x, y = (torch.randn(2, 5, generator=random, dtype=torch.float64) for _ in range(2))
    state = torch.cat([torch.tensor([start]), torch.randn(24, generator=random)]).double() / 2
    state[0] = start

    def field(s):
        return torch.cat([torch.ones(1).double(), s[13:], -tau(s[0]) * s[13:] - grad(loss)(s[1:13], x, y)])

    yield state
    h = length / steps
    for _ in range(steps):
        a = field(state)
        b = field(state + h / 2 * a)
        c = field(state + h / 2 * b)
        d = field(state + h * c)
        state = state + h / 6 * (a + 2 * b + 2 * c + d)
    yield state


@pytest.mark.parametrize(
    ("training", "tau"),
    [(HeavyBall(0), lambda t: 0.0), (HeavyBall(Fraction(7, 10)), lambda t: 0.7), (Nesterov(), lambda t: 3 / t)],
    ids=str,
)
def test_a_real_trajectory_keeps_the_law(training, tau):
    flow = training(read_spec("linear 2-3-2"))
    (law,) = gl.laws(flow).laws
    first, last = trajectory(tau, 1.0, 400, 1.0)
    if flow.damping.rate and not flow.damping.fading:  # the clock is exp(tau t)
        first[0], last[0] = (0.7 * first[0]).exp(), (0.7 * last[0]).exp()
    before, after = (law.value(unflatten(s, flow.state)) for s in (first, last))
    assert torch.allclose(before, after, rtol=1e-7)
    assert not torch.allclose(first, last, rtol=1e-2)
    assert before.abs().min() > 1e-3
