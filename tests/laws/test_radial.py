"""What gradient training of a radial network conserves, by the exact engine and along a real descent."""

import pytest
import torch

import gradlaws as gl
from gradlaws.models.radial import RadialMLP
from tests.radials import mlp
from tests.samplers import generator


def square(r):
    return r * r


def laws_of(activation):
    return gl.laws(RadialMLP((1, 2, 1), activation), torch.zeros(1, 1))


@pytest.mark.parametrize("activation", ["squashing", "sigmoid", "shifted_relu"])
def test_rotations_carry_no_law(activation):
    """Their generators are skew: an identity for each, but nothing conserved (reference sheet 1.4, 6.3)."""
    answer = laws_of(activation)
    assert (answer.laws, answer.count.upper, answer.status) == ((), 0, gl.Status.PROVED)


def test_a_homogeneous_profile_has_one_law_for_each_hidden_layer():
    """``h(r) = r^a``: |V|^2 - a |U|^2."""
    answer = laws_of(square)
    text = "|layers.0.weight[:,0]|^2 + |layers.0.bias|^2 - 2 |layers.1.weight[0,:]|^2"
    assert [law.text for law in answer.laws] == [text]
    assert answer.count.upper == 1


def test_step_relu_gates_whole_vectors_and_so_conserves_what_linear_networks_do():
    answer = laws_of("step_relu")
    text = "layers.0.weight layers.0.weight^T + layers.0.bias layers.0.bias^T - layers.1.weight^T layers.1.weight"
    assert [law.text for law in answer.laws] == [text]
    assert (answer.count.upper, answer.status) == (3, gl.Status.PROVED)


def test_the_symmetries_are_the_rotations_of_the_hidden_layer():
    """Found by the exact engine, which knows nothing of radial networks; the recursion turns by just these."""
    found = gl.symmetries(RadialMLP((1, 3, 1), "squashing"), torch.zeros(1, 1))
    assert "so(3) on layers.0.weight, layers.0.bias, layers.1.weight    dimension 3, 0 carry laws" in str(found)
    assert "symmetries of dimension 3 PROVED" in str(found)


def data(net):
    x = torch.randn(40, net.widths[0], generator=generator(4), dtype=torch.float64)
    return x, torch.randn(40, net.widths[-1], generator=generator(5), dtype=torch.float64)


def gradients(net):
    """Parameters and gradients of a loss, layer by layer: weight with bias as one matrix."""
    x, y = data(net)
    net.zero_grad()
    (net(x) - y).square().mean().backward()
    return [(layer.weight.detach(), layer.bias.detach(), layer.weight.grad, layer.bias.grad) for layer in net.layers]


@pytest.mark.parametrize("activation", ["squashing", "sigmoid", "shifted_relu", "step_relu"])
def test_the_gradient_is_orthogonal_to_rotations_and_not_to_stretches(activation):
    """<A theta, grad L> = 0 for skew A acting on a hidden layer; for symmetric A it is not."""
    net = mlp((2, 5, 4, 2), activation)
    (w1, b1, dw1, db1), (w2, _, dw2, _), _ = gradients(net)
    a = torch.randn(5, 5, generator=generator(6), dtype=torch.float64)

    def along(a):
        return float(((a @ w1) * dw1).sum() + (a @ b1) @ db1 - ((w2 @ a) * dw2).sum())

    assert abs(along(a - a.T)) < 1e-14
    symmetric = abs(along(a + a.T))
    assert symmetric < 1e-14 if activation == "step_relu" else symmetric > 1e-4


def drifts(activation, law, eta, steps=40):
    """How far an expression in (W1, b1, W2) moves along a descent, and what its eta^2 terms add up to."""
    net = mlp((2, 5, 2), activation)
    explained, start = 0.0, None
    for _ in range(steps):
        (w1, b1, dw1, db1), (w2, _, dw2, _) = gradients(net)
        start = law(w1, b1, w2) if start is None else start
        explained = explained + eta**2 * law(dw1, db1, dw2)
        with torch.no_grad():
            for p in net.parameters():
                p.sub_(eta * p.grad)
    (w1, b1, *_), (w2, *_) = gradients(net)
    return law(w1, b1, w2) - start, explained


def matrix(w1, b1, w2):
    return w1 @ w1.T + torch.outer(b1, b1) - w2.T @ w2


def norms(w1, b1, w2):
    return w1.square().sum() + b1.square().sum() - 2 * w2.square().sum()


@pytest.mark.parametrize(("activation", "law"), [("step_relu", matrix), (square, norms)])
def test_a_descent_moves_a_law_by_its_square_terms_only(activation, law):
    moved, explained = drifts(activation, law, 1e-3)
    assert explained.abs().max() > 1e-9
    assert (moved - explained).abs().max() < 1e-13


def test_what_is_no_law_moves_by_the_first_order():
    moved, explained = drifts("squashing", matrix, 1e-3)
    assert (moved - explained).abs().max() > 1e-4
