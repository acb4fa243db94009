"""Natural gradient: jets against an explicit inverse, the laws of gradient flow, and few for blocks."""

from fractions import Fraction

import pytest
import torch
from torch.func import grad

import gradlaws as gl
from gradlaws.errors import InputError
from gradlaws.exact import linalg
from gradlaws.flows.gradient import GradientFlow
from gradlaws.flows.natural import Natural
from gradlaws.laws.law import unflatten
from gradlaws.models.network import Network
from tests.asserts import assert_annihilates_brackets, assert_count_is, assert_residues
from tests.samplers import GUARDED, generator

NETWORK = Network("relu", (2, 2, 1), bias=True)


@pytest.mark.parametrize("blocks", [False, True])
def test_the_velocity_solves_the_system(blocks):
    flow = Natural(Fraction(2, 3), samples=3, blocks=blocks)(NETWORK)
    points = flow.points(2, GUARDED, generator(1))
    drawn = flow.draw(points, GUARDED, generator(2))
    velocity = flow.velocity(points.unsqueeze(0), drawn, GUARDED)[0]
    assert_residues(velocity, GUARDED)
    plain = GradientFlow(NETWORK)
    rows = [
        plain.velocity(points.unsqueeze(0), {n[2:]: v for n, v in drawn.items() if n[0] == str(j)}, GUARDED)[0]
        for j in range(4)
    ]
    for b in range(2):
        samples = torch.stack([row[b] for row in rows[1:]])
        fisher = GUARDED.matmul(samples.T, samples)
        if blocks:
            owner = torch.cat([torch.full((s.numel(),), i) for i, s in enumerate(_sizes())])
            fisher = fisher * (owner[:, None] == owner[None])
        eps = GUARDED.residue(Fraction(2, 3))
        matrix = GUARDED.reduce(fisher + eps * torch.eye(flow.dimension).double())
        solution = linalg.solve(matrix, rows[0][b][:, None], GUARDED)
        both = torch.cat([solution, velocity[b][:, None]], dim=1)
        assert linalg.rank(both, GUARDED) == 1  # the same up to a factor


def _sizes():
    return [torch.empty(shape) for shape in NETWORK.parameters.values()]


@pytest.mark.parametrize("order", [1, 2])
def test_jets_move_by_the_derivative(order):
    """By hand, where all gradients are parallel."""
    flow = Natural(1, samples=1)(Network("linear", (1, 1, 1)))
    point = torch.zeros(2**order, 1, 2).double()
    point[0, 0], point[1, 0] = torch.tensor([3.0, 5.0]), torch.tensor([1.0, 2.0])
    drawn = {name: torch.full((1, 1), 2.0).double() for name in ("0 x", "0 c", "1 x", "1 c")}
    moved = flow.velocity(point, drawn, GUARDED)
    # psi = 4 u v, g = 4 (v, u) = the sample a: X = (1 + |a|^2) g - <a, g> a = 4 (v, u)
    assert moved[0, 0].tolist() == [20.0, 12.0]
    assert moved[1, 0].tolist() == [8.0, 4.0]
    drawn["1 c"] = torch.full((1, 1), 3.0).double()  # now a = 6 (v, u): X = (1 + 36 r) g - 24 r a = 4 (v, u) again
    assert flow.velocity(point, drawn, GUARDED)[:2, 0].tolist() == [[20.0, 12.0], [8.0, 4.0]]


SPECS = ["linear 2-2-2", "linear 1-2-1", "linear 2-2-2-2", "relu 2-3-2 bias", "square 2-2-1"]


@pytest.mark.parametrize("spec", SPECS)
def test_the_whole_matrix_keeps_the_laws_of_gradient_flow(spec):
    natural, plain = gl.laws(spec, flow="natural"), gl.laws(spec)
    assert [law.text for law in natural.laws] == [law.text for law in plain.laws]
    assert_count_is(natural.count, plain.count.lower, plain.count.upper)


def test_blocks_keep_none_of_them():
    for spec in ("linear 2-2-2", "relu 2-3-2 bias", "linear 1-1-1"):
        assert_count_is(gl.count(spec, flow="natural:blocks"), 0, 0)
    answer = gl.laws("linear 1-2-1", flow="natural:blocks")
    assert [law.text for law in answer.laws] == ["W1[0,0] W2[0,1] - W1[1,0] W2[0,0]"]  # a determinant
    assert answer.status is gl.Status.CERTAIN


@pytest.mark.parametrize("length", [1, 2, 3])
def test_laws_annihilate_brackets(length):
    flow = Natural()(Network("linear", (2, 2, 2)))
    for law in gl.laws(flow).laws:
        assert_annihilates_brackets(law, flow, length)


def test_a_real_trajectory_keeps_the_law():
    (law,) = gl.laws("linear 2-2-1", flow="natural").laws
    random = torch.Generator().manual_seed(3)
    x, y = torch.randn(2, 4, generator=random).double(), torch.randn(1, 4, generator=random).double()
    theta = torch.randn(6, generator=random, dtype=torch.float64)

    def output(flat):
        return (flat[4:].view(1, 2) @ flat[:4].view(2, 2) @ x)[0]

    def field(flat):
        rows = torch.func.jacrev(output)(flat)
        slope = grad(lambda p: ((output(p) - y) ** 2).mean())(flat)
        return -torch.linalg.solve(rows.T @ rows + torch.eye(6).double(), slope)

    shapes, start, h = {"W1": (2, 2), "W2": (1, 2)}, theta, 1e-2
    for _ in range(100):
        a = field(theta)
        b = field(theta + h / 2 * a)
        c = field(theta + h / 2 * b)
        theta = theta + h / 6 * (a + 2 * b + 2 * c + field(theta + h * c))
    assert torch.allclose(law.value(unflatten(start, shapes)), law.value(unflatten(theta, shapes)), atol=1e-8)
    assert (theta - start).norm() > 0.05


def test_what_makes_no_sense_is_refused():
    with pytest.raises(InputError, match="damping 0 of the Fisher matrix is not positive"):
        Natural(0)(NETWORK)
    with pytest.raises(InputError, match="a Fisher matrix of 0 instances: expected 1 to 6"):
        Natural(samples=0)(NETWORK)
