"""The interface of torchdiffeq against matrix exponentials, scipy, and the other way to integrate a module."""

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp
from scipy.linalg import expm

from gradlaws.errors import InputError, UnclearError
from gradlaws.geometry.integrate import integrate
from gradlaws.geometry.odeint import odeint, training_field
from tests.geometry.flows import Product, data, deep, product_loss, squares

A = torch.tensor([[-0.3, 2.0], [-2.0, -0.1]], dtype=torch.float64)
START = torch.tensor([[1.0, 0.5], [0.0, -2.0]], dtype=torch.float64)
TIMES = torch.tensor([-1.0, 0.0, 0.7, 3.0])
EXACT = np.stack([expm((t + 1) * A.numpy()) @ START.numpy() for t in TIMES.tolist()])


def turning(t, y):
    return A @ y


@pytest.mark.parametrize("method", ["dopri5", "dopri8", "bosh3", "RK45", "LSODA", "Radau"])
def test_a_linear_equation_is_an_exponential(method):
    found = odeint(turning, START, TIMES, method=method, rtol=1e-6, atol=1e-8)
    assert found.dtype == torch.float64
    np.testing.assert_allclose(found, EXACT, atol=2e-4)


def test_the_time_is_told_and_the_precision_kept():
    seen = []

    def func(t, y):
        seen.append((t.dtype, t.dim(), y.dtype, tuple(y.shape)))
        return 2 * t * y

    found = odeint(func, torch.ones(3, 1), [0.0, 1.0])
    assert set(seen) == {(torch.float32, 0, torch.float32, (3, 1))}
    assert found.dtype == torch.float32
    np.testing.assert_allclose(found[-1], np.e, rtol=1e-6)


ORDERS = {"euler": 1, "midpoint": 2, "rk4": 4}


@pytest.mark.parametrize("method", ORDERS)
def test_the_order_of_fixed_steps(method):
    errors = [
        np.abs(odeint(turning, START, TIMES, method=method, options={"step_size": h}).numpy() - EXACT).max()
        for h in (0.02, 0.01, 0.005)
    ]
    assert np.log2(errors[1] / errors[2]) == pytest.approx(ORDERS[method], abs=0.1)


def test_without_a_step_the_gaps_are_the_steps():
    t = torch.linspace(0, 1, 11)
    found = odeint(lambda t, y: -y, torch.ones(1).double(), t, method="euler")
    np.testing.assert_allclose(found[:, 0], 0.9 ** np.arange(11), rtol=1e-6)


@pytest.mark.parametrize("flow", ["gradient", "momentum:tau=1/2", "decay:lambda=1/10"])
def test_training_is_such_a_function(flow):
    x, y = data(2, 2)
    model, times = deep(2, 3, 2), [0.0, 0.5, 2.0]
    func, start = training_field(model, squares(x, y), flow)
    expected = integrate(model, squares(x, y), times, flow=flow, rtol=1e-10, atol=1e-12).states
    np.testing.assert_allclose(odeint(func, start, times, rtol=1e-10, atol=1e-12), expected, atol=1e-8)
    by_scipy = solve_ivp(func, (0, 2), start.numpy(), t_eval=times, rtol=1e-10, atol=1e-12).y.T
    np.testing.assert_allclose(by_scipy, expected, atol=1e-8)


def test_the_start_is_left_alone():
    func, start = training_field(Product(), product_loss)
    before = start.clone()
    odeint(func, start, [0, 1])
    assert torch.equal(start, before)


ONES = torch.ones(2).double()
BAD = {
    "unknown method": ({"method": "adams"}, "unknown method 'adams': expected one of dopri5, dopri8, bosh3, RK23"),
    "unknown options": ({"options": {"step": 1}}, r"options \['step'\] of method 'RK45' are not understood"),
    "a step of nothing": ({"method": "rk4", "options": {"step_size": 0}}, "a step of 0.0 makes no sense"),
    "a step of text": ({"method": "rk4", "options": {"step_size": "a"}}, "option step_size='a' is no number"),
    "times that go back": ({"t": [1, 0]}, "times do not increase"),
    "NaN times": ({"t": [0, float("nan")]}, "times .* are not understood"),
    "one time": ({"t": 1.0}, "times 1.0 are not understood"),
    "NaN": ({"y0": ONES / 0 * 0}, "y0 has entries that are NaN"),
    "whole numbers": ({"y0": torch.ones(2, dtype=torch.int64)}, "y0 is torch.int64: expected a tensor of real"),
    "an array": ({"y0": np.ones(2)}, "y0 is float64: expected a tensor"),
    "a gradient": ({"y0": ONES.clone().requires_grad_()}, "y0 requires a gradient, and none is kept"),
    "another shape": ({"func": lambda t, y: y[:1]}, r"func gives shape \[1\] at t = 0: expected a tensor like y0"),
    "no tensor": ({"func": lambda t, y: 1.0}, "func gives float at t = 0"),
}


@pytest.mark.parametrize("fault", BAD)
def test_bad_input_is_a_sentence(fault):
    options, words = BAD[fault]
    asked = {"func": lambda t, y: -y, "y0": ONES, "t": [0, 1], **options}
    with pytest.raises(InputError, match=words):
        odeint(asked.pop("func"), asked.pop("y0"), asked.pop("t"), **asked)


def test_decay_that_is_infinite_is_a_sentence():
    func, start = training_field(Product(), product_loss, "decay:lambda=2/t")
    with pytest.raises(InputError, match="weight decay 2/t is infinite at t = 0"):
        odeint(func, start, [0, 1])
    assert odeint(func, start, [1, 2]).isfinite().all()


def test_what_takes_too_many_steps_is_a_sentence():
    with pytest.raises(UnclearError, match="after 5 steps"):
        odeint(turning, START, TIMES, options={"max_num_steps": 5})


def test_a_field_that_is_nan_at_the_start_ends_at_once():
    with pytest.raises(UnclearError, match="the field is NaN or infinite at t = 0: expected another start"):
        odeint(lambda t, y: torch.sqrt(y), torch.tensor([-1.0]), [0.0, 1.0])
