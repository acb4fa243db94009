"""Flows of training written out by hand: gradients without autograd, scipy's solve_ivp, matrix exponentials."""

from __future__ import annotations

import numpy as np
from scipy.integrate import solve_ivp
from scipy.linalg import expm


def relu_gradient(theta, x, y, hidden):
    """Of the mean of (relu(x W1^T + b1) W2^T - y)^2, by the chain rule."""
    d, e = x.shape[1], y.shape[1]
    w1, b1, w2 = np.split(theta, [hidden * d, hidden * d + hidden])
    w1, w2 = w1.reshape(hidden, d), w2.reshape(e, hidden)
    before = x @ w1.T + b1
    active = np.maximum(before, 0)
    back = 2 * (active @ w2.T - y) / y.size
    behind = (back @ w2) * (before > 0)
    return np.concatenate([(behind.T @ x).ravel(), behind.sum(0), (back.T @ active).ravel()])


def solved(slope, times, start):
    """The reference of scipy, tight."""
    found = solve_ivp(slope, (times[0], times[-1]), start, method="DOP853", t_eval=times, rtol=1e-11, atol=1e-13)
    assert found.success
    return found.y.T


def linear_gradient_flow(a, b, start, times, decay=0.0):
    """``theta' = -a theta + b - decay theta``."""
    matrix = a + decay * np.eye(len(a))
    rest = np.linalg.solve(matrix, b)
    return np.stack([rest + expm(-t * matrix) @ (start - rest) for t in times])


def linear_momentum(a, b, start, velocity, tau, times):
    """``theta'' + tau theta' = -a theta + b``, by the exponential of a block matrix."""
    n = len(a)
    block = np.block([[np.zeros((n, n)), np.eye(n)], [-a, -tau * np.eye(n)]])
    rest = np.concatenate([np.linalg.solve(a, b), np.zeros(n)])
    first = np.concatenate([start, velocity]) - rest
    return np.stack([rest + expm(t * block) @ first for t in times])
