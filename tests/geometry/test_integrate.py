"""Flows of modules against exponentials, Bessel functions, scipy on gradients by hand, and their order."""

import copy

import numpy as np
import pytest
import torch
from scipy.special import j1
from torch import nn

import gradlaws as gl
from gradlaws.errors import InputError, UnclearError
from gradlaws.geometry.integrate import integrate
from tests.geometry.flows import ONE, Product, Ray, data, deep, product_loss, squares
from tests.oracles.slow_flow import linear_gradient_flow, linear_momentum, relu_gradient, solved

TIMES = [0.0, 0.3, 1.0, 4.0]
X, Y = data(3, 1)
TIGHT = {"rtol": 1e-11, "atol": 1e-13}


def regression():
    """A linear module, and a, b of its gradient ``a theta - b``."""
    torch.manual_seed(0)
    model = nn.Linear(3, 1, bias=False).double()
    a = 2 * X.T @ X / len(X)
    b = 2 * X.T @ Y / len(X)
    return model, a.numpy(), b[:, 0].numpy(), model.weight.detach().numpy()[0]


ADAPTIVE = ["RK23", "RK45", "DOP853", "Radau", "BDF", "LSODA"]


@pytest.mark.parametrize("method", ADAPTIVE)
def test_gradient_flow_of_a_linear_model_is_an_exponential(method):
    model, a, b, start = regression()
    found = integrate(model, squares(X, Y), TIMES, method=method, rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(found.states, linear_gradient_flow(a, b, start, TIMES), atol=2e-5)


def test_weight_decay_of_a_linear_model_is_an_exponential():
    model, a, b, start = regression()
    found = integrate(model, squares(X, Y), TIMES, flow="decay:lambda=1/4", **TIGHT)
    np.testing.assert_allclose(found.states, linear_gradient_flow(a, b, start, TIMES, 0.25), atol=1e-9)


def test_fading_weight_decay_has_a_closed_form():
    model = Scalar()
    found = integrate(model, lambda f: 0.4 * f.x.square().sum(), [1, 2, 5], flow="decay:lambda=2/t", **TIGHT)
    t = found.times
    np.testing.assert_allclose(found.states[:, 0], 1.5 * t**-2 * np.exp(-0.8 * (t - 1)), atol=1e-10)


@pytest.mark.parametrize("flow", ["momentum:tau=1/2", lambda t: 0.5], ids=["text", "function"])
def test_momentum_of_a_linear_model_is_an_exponential(flow):
    model, a, b, start = regression()
    velocity = torch.tensor([[0.3, -1.0, 0.2]]).double()
    found = integrate(model, squares(X, Y), TIMES, flow=flow, velocity={"weight": velocity}, **TIGHT)
    np.testing.assert_allclose(found.states, linear_momentum(a, b, start, velocity.numpy()[0], 0.5, TIMES), atol=1e-9)
    assert torch.equal(found.parameters["weight'"][0], velocity)


class Scalar(nn.Module):
    def __init__(self):
        super().__init__()
        self.x = nn.Parameter(torch.tensor([1.5]))


def test_nesterovs_flow_of_a_square_is_a_bessel_function():
    found = integrate(Scalar(), lambda f: 2 * f.x.square().sum(), [0, 0.5, 3, 10], flow="nesterov:k=3", **TIGHT)
    t = found.times[1:]
    np.testing.assert_allclose(found.states[1:, 0], 1.5 * 2 * j1(2 * t) / (2 * t), atol=1e-8)


def test_friction_may_change_in_time():
    found = integrate(Scalar(), lambda f: 0.5 * f.x.square().sum(), TIMES, flow=lambda t: 1 / (1 + t), **TIGHT)
    hand = solved(lambda t, s: [s[1], -s[0] - s[1] / (1 + t)], TIMES, [1.5, 0.0])
    np.testing.assert_allclose(found.states, hand, atol=1e-9)


def test_momentum_without_friction_keeps_its_energy():
    x, y = data(2, 2)
    found = integrate(deep(2, 3, 2), squares(x, y), [0, 1, 5], flow="momentum:tau=0", **TIGHT)
    v = np.split(found.states, 2, axis=1)[1]
    energy = found.losses + (v**2).sum(1) / 2
    np.testing.assert_allclose(energy, energy[0], atol=1e-10)


def relu():
    torch.manual_seed(3)
    return nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 1, bias=False)).double()


def test_a_relu_network_moves_as_its_gradient_by_hand_says():
    model = relu()
    times = [0, 0.1, 0.3]
    found = integrate(model, squares(X, Y), times, **TIGHT)
    hand = solved(lambda t, s: -relu_gradient(s, X.numpy(), Y.numpy(), 4), times, found.states[0])
    np.testing.assert_allclose(found.states, hand, atol=1e-8)
    assert np.abs(found.states[-1] - found.states[0]).max() > 0.05


def test_a_kink_that_is_slid_along_is_a_sentence_and_fixed_steps_go_on():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 1, bias=False)).double()
    with pytest.raises(UnclearError, match=r"after 60 steps the flow has only come to .* a kink of the loss"):
        integrate(model, squares(X, Y), 1.0, max_steps=60)
    laws = gl.laws(model, X, lower_only=True).laws
    found = integrate(model, squares(X, Y), 1.0, method="rk4", step=0.02, laws=laws)
    assert float(found.drift(laws[0]).abs().max()) < 1e-14
    assert found.losses[-1] < found.losses[0]


def test_the_fixed_euler_step_is_gradient_descent():
    model = relu()
    found = integrate(model, squares(X, Y), [0, 0.5], method="euler", step=0.01)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    for _ in range(50):
        optimizer.zero_grad()
        squares(X, Y)(model).backward()
        optimizer.step()
    trained = torch.cat([p.detach().flatten() for p in model.parameters()])
    np.testing.assert_allclose(found.states[-1], trained, atol=1e-13)
    assert found.steps == found.evaluations == 50


def test_descent_with_weight_decay_goes_where_the_sheet_says():
    found = integrate(
        Product(), product_loss, [0, 0.01, 0.02, 0.03], flow="decay:lambda=1/10", method="euler", step=0.01
    )
    u, v = found.states.T
    np.testing.assert_allclose(u**2 - v**2, [8.75, 8.73229, 8.714651972981494, 8.69707944636962], atol=1e-13)


def test_the_length_of_weights_that_the_loss_does_not_see_is_as_published():
    asked = {"model": Ray(), "loss": lambda f: f(), "flow": "decay:lambda=1/20"}
    steps = integrate(**asked, times=[0, 0.1, 0.2, 0.3, 1, 5], method="euler", step=0.1).states
    published = [
        1.3125,
        1.3148877822656841,
        1.3096667215162976,
        1.3010916933313097,
        1.221588102218359,
        0.8186794562395311,
    ]
    np.testing.assert_allclose((steps**2).sum(1), published, atol=1e-12)
    flowed = integrate(**asked, times=5, **TIGHT).states
    np.testing.assert_allclose((flowed**2).sum(1), [1.3125, 0.7960715], atol=5e-8)


ORDERS = {"euler": 1, "midpoint": 2, "rk4": 4}


def errors(method, steps, flow, laws):
    """Against the projected twin of high order; both end on the same trajectory."""
    x, y = data(2, 2)
    model, loss = deep(2, 3, 3, 2), squares(x, y)
    exact = integrate(model, loss, 2.0, flow=flow, method="DOP853", rtol=1e-12, atol=1e-14).states[-1]
    found = [integrate(model, loss, 2.0, flow=flow, method=method, step=h, laws=laws).states[-1] for h in steps]
    return np.array([np.linalg.norm(one - exact) for one in found])


def laws_of(flow):
    x, _ = data(2, 2)
    return gl.laws(deep(2, 3, 3, 2), x, flow=flow, lower_only=True).laws


@pytest.mark.parametrize("flow", ["gradient", "momentum:tau=1/2"])
@pytest.mark.parametrize("projected", [False, True], ids=["plain", "projected"])
@pytest.mark.parametrize("method", ORDERS)
def test_the_order_of_convergence(method, projected, flow):
    laws = laws_of(flow) if projected else ()
    first, second, third = errors(method, [0.2, 0.1, 0.05], flow, laws)
    assert np.log2(first / second) == pytest.approx(ORDERS[method], abs=0.35)
    assert np.log2(second / third) == pytest.approx(ORDERS[method], abs=0.25)


@pytest.mark.parametrize("flow", ["gradient", "momentum:tau=1/2", "nesterov:k=3", "decay:lambda=1/10"])
@pytest.mark.parametrize(
    "method", [{"method": "rk4", "step": 0.25}, {"method": "RK45", "rtol": 1e-5}], ids=["rk4", "RK45"]
)
def test_projection_keeps_the_laws_to_rounding(flow, method):
    x, y = data(2, 2)
    model, laws = deep(2, 3, 3, 2), laws_of(flow)
    assert laws
    times = [0, 0.7, 3]  # 0.7 lies between two steps
    drift = {
        kept: max(float(run.drift(law).abs().max()) for law in laws)
        for kept in (False, True)
        for run in [integrate(model, squares(x, y), times, flow=flow, laws=laws if kept else (), **method)]
    }
    assert drift[True] < 1e-13
    assert drift[False] > 1e-8


def test_errors_follow_the_tolerance():
    model, a, b, start = regression()
    exact = linear_gradient_flow(a, b, start, [4.0])[0]
    for rtol in (1e-4, 1e-7, 1e-10):
        found = integrate(model, squares(X, Y), 4, rtol=rtol, atol=rtol).states[-1]
        assert np.abs(found - exact).max() < 30 * rtol


def test_the_module_is_left_alone_until_it_is_asked_for():
    model = relu().float()
    before = copy.deepcopy(model.state_dict())
    found = integrate(model, squares(X.float(), Y.float()), 0.3)
    assert all(torch.equal(before[name], x) for name, x in model.state_dict().items())
    assert all(p.grad is None and p.dtype == torch.float32 for p in model.parameters())
    found.load_into(model)
    assert float(squares(X.float(), Y.float())(model).detach()) == pytest.approx(found.losses[-1], rel=1e-5)


def test_what_does_not_train_stays():
    model = relu()
    model[0].weight.requires_grad_(False)
    found = integrate(model, squares(X, Y), 0.3)
    assert set(found.parameters) == {"0.bias", "2.weight"}
    hand = solved(lambda t, s: -relu_gradient(full(model, s), X.numpy(), Y.numpy(), 4)[12:], [0, 0.3], found.states[0])
    np.testing.assert_allclose(found.states, hand, atol=1e-6)


def full(model, moving):
    return np.concatenate([model[0].weight.detach().numpy().ravel(), moving])


def test_what_it_says():
    seen = []
    found = integrate(Product(), product_loss, [0, 5], on_progress=lambda name, done: seen.append(done))
    assert str(found).startswith("gradient flow, t = 0 to 5 by RK45: loss 0.125 -> ")
    assert seen == sorted(seen)
    assert seen[-1] == 1
    assert len(seen) == found.steps


def test_one_time_is_where_it_is():
    found = integrate(Product(), product_loss, [3.0])
    assert found.states.tolist() == [[3.0, 0.5]]
    assert found.losses == pytest.approx([0.125])


BAD = {
    "any friction": ({"flow": "momentum:tau=any"}, "'momentum:tau=any' stands for every function of time"),
    "any decay": ({"flow": "decay:lambda=any"}, "'decay:lambda=any' stands for every function of time"),
    "an answer for laws": ({"laws": gl.laws(Product(), ONE)}, "laws are not understood: expected a list of laws"),
    "no loss": ({"loss": []}, r"the loss is \[\]: expected a function of the module"),
    "a loss that is no function": ({"loss": 3}, "the loss is 3: expected a function"),
    "lazy weights": ({"model": nn.LazyLinear(1)}, "parameter weight has no shape yet: run the module once"),
    "complex weights": ({"model": nn.Linear(1, 1, dtype=torch.complex64)}, "parameter weight is complex"),
    "no steps": ({"max_steps": 0}, "at most 0 steps make no sense"),
    "NaN weights": ({"model": Product(u=float("nan"))}, "parameter u has entries that are NaN or infinite"),
    "negative times": ({"times": [-1, 2]}, "time -1 is negative: training runs forward"),
    "NaN times": ({"times": [0, float("nan")]}, "a time is NaN or infinite"),
    "times that go back": ({"times": [0, 2, 1]}, "times do not increase"),
    "a text for times": ({"times": "soon"}, "times 'soon' are not understood: expected numbers"),
    "no times": ({"times": []}, "times .* are not understood"),
    "unknown method": ({"method": "leapfrog"}, "unknown method 'leapfrog': expected one of RK23, RK45"),
    "a fixed method without step": ({"method": "rk4"}, "method 'rk4' has a fixed step: pass step="),
    "an adaptive method with step": ({"step": 0.1}, "method 'RK45' chooses its steps: leave out step="),
    "a negative step": ({"method": "rk4", "step": -1.0}, "a step of -1.0 makes no sense"),
    "a tolerance of zero": ({"rtol": 0.0}, "tolerances rtol=0.0, atol=1e-10 make no sense"),
    "unknown flow": ({"flow": "downhill"}, "unknown flow 'downhill'"),
    "a flow that is a number": ({"flow": 3}, "flow 3 is not understood"),
    "another metric": ({"flow": "mirror:entropy"}, "the flow 'mirror:entropy' is not integrated"),
    "negative friction": ({"flow": lambda t: -1.0}, "the friction is -1.0 at t = 0: expected tau"),
    "velocity of a gradient flow": ({"velocity": {"u": ONE}}, "'gradient' has no velocity of its own"),
    "velocity of nothing": ({"flow": "momentum", "velocity": {"w": ONE}}, "velocity 'w' .* fits no parameter"),
    "velocity of numbers": ({"flow": "momentum", "velocity": {"u": 3}}, "velocity 'u' is int: expected a tensor"),
    "velocity with NaN": ({"flow": "momentum", "velocity": {"u": ONE / 0 * 0}}, "velocity 'u' has entries"),
    "a velocity that friction forbids": ({"flow": "nesterov", "velocity": {"u": ONE}}, "stops everything at t = 0"),
    "infinite decay": ({"flow": "decay:lambda=1/t"}, "weight decay 1/t is infinite at t = 0"),
    "no module": ({"model": 3}, "cannot train int: expected a torch module"),
    "no parameters": ({"model": nn.ReLU()}, "no parameters that require a gradient"),
    "a loss of nothing": ({"loss": lambda f: torch.ones(())}, "the loss does not depend on the parameters"),
    "a loss of many": ({"loss": lambda f: f(ONE.expand(2, 1))}, r"a tensor of shape \[2, 1\]: expected one real"),
    "a loss that is no tensor": ({"loss": lambda f: 3.0}, "the loss gives float"),
    "an infinite loss": ({"loss": lambda f: f(ONE).sum() / 0}, "the loss is inf at the start"),
    "a loss that fails": ({"loss": lambda f: f(torch.ones(2, 2, 2)).sum()}, "the loss fails on a float64 copy"),
    "a random loss": ({"loss": lambda f: f(torch.randn(1, 1)).sum()}, "not the same when computed twice"),
}


@pytest.mark.parametrize("fault", BAD)
def test_bad_input_is_a_sentence(fault):
    options, words = BAD[fault]
    asked = {"model": Product(), "loss": product_loss, "times": [0, 1], **options}
    with pytest.raises(InputError, match=words):
        integrate(**asked)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "the flow cannot be followed beyond t = 0.0"),
        ({"method": "rk4", "step": 0.01}, "the state is infinite at t = .* too long for this loss"),
    ],
)
def test_a_flow_that_blows_up_is_a_sentence(options, words):
    with pytest.raises(UnclearError, match=words):
        integrate(Product(), lambda f: -f(ONE).pow(4).sum(), [0, 9], **options)


def test_loading_into_another_module_is_a_sentence():
    with pytest.raises(InputError, match="the module has no parameter 'u' of shape"):
        integrate(Product(), product_loss, 1).load_into(nn.Linear(1, 1))
