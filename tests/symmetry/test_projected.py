"""Projected gradient descent is gradient descent on the compressed network."""

import pytest
import torch

from gradlaws.errors import InputError
from gradlaws.symmetry.compress import compress
from gradlaws.symmetry.projected import masks, projected, rotated
from tests.radials import QUIVERS, mlp, quiver
from tests.samplers import generator


def data(net):
    x = {v: torch.randn(30, net.dimensions[v], generator=generator(3), dtype=torch.float64) for v in net.inputs}
    return x, {v: out.detach() + 0.5 for v, out in net.run(x).items()}


def losses(net, x, y, make, steps):
    """The loss before each step."""
    optimizer, found = make(net.parameters()), []
    for _ in range(steps):
        optimizer.zero_grad()
        loss = sum((out - y[v]).square().mean() for v, out in net.run(x).items())
        loss.backward()
        optimizer.step()
        found.append(loss.item())
    return torch.tensor(found, dtype=torch.float64)


def padded_difference(net, small, dimensions):
    """How far the leading blocks are from the parameters of the compressed network."""
    values, worst = dict(net.named_parameters()), 0.0
    for name, p in small.named_parameters():
        block = values[name][tuple(slice(n) for n in p.shape)]
        worst = max(worst, (block - p).abs().max().item())
    return worst


def sgd(p):
    return torch.optim.SGD(p, lr=0.05)


def momentum(p):
    return torch.optim.SGD(p, lr=0.02, momentum=0.9, nesterov=True)


def adam(p):
    return torch.optim.Adam(p, lr=0.01)


@pytest.mark.parametrize("make", [sgd, momentum, adam])
@pytest.mark.parametrize("activation", ["squashing", "shifted_relu", "sigmoid", "step_relu"])
def test_100_steps_agree_to_9_digits(activation, make):
    net = mlp((2, 7, 9, 6, 2), activation)
    found = compress(net)
    x, y = data(net)
    turned = projected(net, found)
    start = {name: p.detach().clone() for name, p in turned.named_parameters()}
    mine, its = losses(turned, x, y, make, 100), losses(found.module, x, y, make, 100)
    assert (mine - its).abs().max() < 1e-9
    assert its[-1] < 0.95 * its[0]
    assert padded_difference(turned, found.module, found.after) < 1e-9
    for name, p in turned.named_parameters():
        outside = torch.ones_like(p, dtype=torch.bool)
        outside[tuple(slice(n) for n in found.module.get_parameter(name).shape)] = False
        assert torch.equal(p[outside], start[name][outside]), name


@pytest.mark.parametrize("name", QUIVERS)
def test_quivers_too(name):
    net = quiver(*QUIVERS[name][:2])
    found = compress(net)
    x, y = data(net)
    assert (losses(projected(net, found), x, y, sgd, 100) - losses(found.module, x, y, sgd, 100)).abs().max() < 1e-9


def test_the_sheets_five_steps_and_full_descent_differs():
    """(1, 4, 4, 1), sigmoid, rate 0.01: reference sheet 6.2."""
    net = mlp((1, 4, 4, 1), "sigmoid")
    found = compress(net)
    x, y = data(net)

    def slow(p):
        return torch.optim.SGD(p, lr=0.01)

    mine, its = losses(projected(net, found), x, y, slow, 5), losses(found.module, x, y, slow, 5)
    full = losses(net, x, y, slow, 5)
    assert (mine - its).abs().max() < 1e-9
    assert (full - its).abs()[1:].min() > 1e-6


def test_full_descent_is_equivariant():
    """gamma^k(W) = Q gamma^k(Q^-1 W): 20 steps on the turned network, turned back."""
    net = mlp((2, 7, 9, 2))
    bases = compress(net).transformation
    x, y = data(net)
    turned = rotated(net, bases, inverse=True)
    losses(turned, x, y, sgd, 20)
    losses(net, x, y, sgd, 20)
    for mine, its in zip(net.parameters(), rotated(turned, bases).parameters(), strict=True):
        torch.testing.assert_close(mine, its, rtol=0, atol=1e-12)


def test_the_gradient_of_the_small_network_is_the_block_of_the_turned_gradient():
    """By autograd on both, against Q_t^T (dL/dW) Q_s cut to the reduced block."""
    net = mlp((2, 7, 9, 2), "sigmoid")
    found = compress(net)
    x, y = data(net)
    for each in (net, found.module):
        sum((out - y[v]).square().mean() for v, out in each.run(x).items()).backward()
    for (source, target), name in net.arrows.items():
        gradient = net.get_parameter(name).grad
        for vertex, side in ((target, 0), (source, 1)):
            if vertex in found.transformation:
                q = found.transformation[vertex]
                gradient = q.T @ gradient if side == 0 else gradient @ q
        small = found.module.get_parameter(name)
        block = gradient[tuple(slice(n) for n in small.shape)]
        torch.testing.assert_close(block, small.grad, rtol=0, atol=1e-14)


def test_without_the_mask_the_block_is_left():
    net = mlp((1, 4, 4, 1), "sigmoid")
    found = compress(net)
    x, y = data(net)
    free = rotated(net, found.transformation, inverse=True)
    losses(free, x, y, sgd, 5)
    mask = masks(free, found.after)
    assert max((p * (1 - mask[name])).abs().max().item() for name, p in free.named_parameters()) > 1e-6


def test_rotations_leave_the_function_alone():
    net = quiver(*QUIVERS["skip in the middle"][:2])
    x, _ = data(net)
    bases = {v: torch.linalg.qr(torch.randn(n, n, dtype=torch.float64))[0] for v, n in [("h1", 10), ("h3", 20)]}
    torch.testing.assert_close(rotated(net, bases).run(x)["y"], net.run(x)["y"], rtol=0, atol=1e-14)
    back = rotated(rotated(net, bases), bases, inverse=True)
    for mine, its in zip(net.parameters(), back.parameters(), strict=True):
        torch.testing.assert_close(mine, its, rtol=0, atol=1e-14)


def test_the_action_needs_the_inverse_that_the_paper_leaves_out():
    """Printed: Q_i W_i Q_(i-1); with three layers that is another function."""
    net = mlp((2, 4, 4, 2))
    x, _ = data(net)
    q = {v: torch.linalg.qr(torch.randn(4, 4, generator=generator(), dtype=torch.float64))[0] for v in ("1", "2")}
    printed = rotated(net, q)
    with torch.no_grad():
        printed.layers[1].weight.copy_(q["2"] @ net.layers[1].weight @ q["1"])
    torch.testing.assert_close(rotated(net, q).run(x)["3"], net.run(x)["3"], rtol=0, atol=1e-14)
    assert (printed.run(x)["3"] - net.run(x)["3"]).abs().max() > 1e-3


@pytest.mark.parametrize(
    ("bases", "words"),
    [
        ({"0": torch.eye(2)}, "expected square ones for some of the hidden vertices {'1': 4, '2': 4}"),
        ({"1": torch.eye(3)}, r"a matrix of shape \(3, 3\) for '1'"),
        ({"1": 2 * torch.eye(4)}, "the matrix for '1' is not orthogonal: .* by 3.0e.00"),
    ],
)
def test_bad_matrices_are_refused(bases, words):
    net = mlp((1, 4, 4, 1))
    before = [p.detach().clone() for p in net.parameters()]
    with pytest.raises(InputError, match=words):
        rotated(net, bases)
    assert all(torch.equal(a, b) for a, b in zip(before, net.parameters(), strict=True))


def test_a_compression_of_another_network_is_refused():
    with pytest.raises(InputError, match="expected one of this network"):
        projected(mlp((1, 4, 4, 1)), compress(mlp((1, 4, 5, 1))))
    with pytest.raises(
        InputError, match=r"the compression does not fit .*: expected that of this network at these weights"
    ):
        projected(mlp((1, 4, 4, 1)), compress(mlp((1, 4, 4, 1), seed=1)))


def test_the_published_run_in_single_precision():
    """(1, 6, 7, 1), exp(-x^2) on 121 points of [-3, 3], rate 0.01: published 4.0e-9 apart after 3000 epochs."""
    net = mlp((1, 6, 7, 1), "sigmoid", dtype=torch.float32)
    found = compress(net)
    x = torch.linspace(-3, 3, 121).unsqueeze(1)
    x, y = {"0": x}, {"3": torch.exp(-x.square())}

    def slow(p):
        return torch.optim.SGD(p, lr=0.01)

    mine, its = losses(projected(net, found), x, y, slow, 1000), losses(found.module, x, y, slow, 1000)
    assert (mine - its).abs()[-1] < 1e-6
    assert its[-1] < 0.5 * its[0]
