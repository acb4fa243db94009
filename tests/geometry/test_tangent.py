"""Linearised training against the dense kernel and against training itself."""

import numpy as np
import pytest
import torch
from scipy.linalg import expm
from torch import nn

from gradlaws.errors import InputError
from gradlaws.geometry.tangent import TangentKernel, linearised_training

X = torch.linspace(-1, 1, 7).double()[:, None]
Y = torch.sin(3 * X)


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(1, 6), nn.Tanh(), nn.Linear(6, 1)).double()


def dense_kernel(model):
    """Row by row of the Jacobian."""
    rows = []
    for output in model(X).flatten():
        rows.append(
            torch.cat([g.flatten() for g in torch.autograd.grad(output, model.parameters(), retain_graph=True)])
        )
    jacobian = torch.stack(rows)
    return (jacobian @ jacobian.T).numpy()


def test_the_kernel_is_that_of_the_jacobian():
    model = network()
    kernel = TangentKernel(model, X)
    columns = [kernel.matvec(e) for e in np.eye(7)]
    np.testing.assert_allclose(np.stack(columns, 1), dense_kernel(model), atol=1e-13)


def test_outputs_follow_the_dense_exponential():
    model, times = network(), [0.0, 0.1, 1.0, 30.0]
    start = model(X).detach()
    found = linearised_training(model, X, Y, times)
    assert found.shape == (4, 7, 1)
    for t, u in zip(times, found, strict=True):
        exact = Y.numpy() + expm(-t * dense_kernel(model)) @ (start - Y).numpy()
        np.testing.assert_allclose(u, exact, atol=1e-9)


def test_a_linear_model_is_its_own_linearisation():
    torch.manual_seed(1)
    model = nn.Linear(1, 1).double()
    predicted = linearised_training(model, X, Y, [0.5])[0]
    eta, optimizer = 1e-4, torch.optim.SGD(model.parameters(), lr=1e-4)
    for _ in range(round(0.5 / eta)):
        optimizer.zero_grad()
        (0.5 * (model(X) - Y).square().sum()).backward()
        optimizer.step()
    torch.testing.assert_close(model(X).detach(), predicted, atol=1e-3, rtol=0)


def test_the_module_is_left_as_it_is():
    model = network()
    before = {name: p.clone() for name, p in model.state_dict().items()}
    linearised_training(model, X, Y, [1.0])
    assert all(torch.equal(before[name], p) for name, p in model.state_dict().items())
    assert all(p.grad is None for p in model.parameters())


def test_bad_requests_are_refused_in_a_sentence():
    model = network()
    with pytest.raises(InputError, match=r"targets have shape \[7\]: expected that of the output, \[7, 1\]"):
        linearised_training(model, X, Y[:, 0], [1.0])
    with pytest.raises(InputError, match=r"targets are list: expected a tensor \[7, 1\]"):
        linearised_training(model, X, Y.tolist(), [1.0])
    with pytest.raises(InputError, match="tensor targets has entries that are NaN"):
        linearised_training(model, X, Y * torch.nan, [1.0])
    with pytest.raises(InputError, match="negative"):
        linearised_training(model, X, Y, [-1.0])
    with torch.no_grad():
        model[0].weight[0] = torch.nan
    with pytest.raises(InputError, match=r"parameter 0\.weight has entries that are NaN"):
        linearised_training(model, X, Y, [1.0])
    with pytest.raises(InputError, match="nothing is trained"):
        linearised_training(nn.ReLU(), X, Y, [1.0])
