"""Mirror maps with a Hessian matrix: the diagonal ones again, SymPy, real trajectories, refusals."""

import pytest
import sympy
import torch
from torch.func import grad

import gradlaws as gl
from gradlaws.errors import InputError
from gradlaws.flows.gradient import GradientFlow
from gradlaws.flows.hessian import HessianMap, parameter_names
from gradlaws.flows.metric import ENTROPY, mirror
from gradlaws.models.network import Network
from gradlaws.models.symbolic import parametrised
from tests.asserts import assert_annihilates_brackets, assert_count_is, assert_residues
from tests.flows.test_momentum import evaluate
from tests.oracles.slow_jet import SlowJet
from tests.samplers import GUARDED, generator, residues

P = GUARDED.prime
PAIR = Network("linear", (1, 1, 1))
FULL = HessianMap([["2 + W1_0_0**2", "1/W2_0_0"], ["1/W2_0_0", "W2_0_0"]])


def diagonal(entries):
    return [[entry if i == j else "0" for j, _ in enumerate(entries)] for i, entry in enumerate(entries)]


@pytest.mark.parametrize("order", [0, 1, 2])
@pytest.mark.parametrize("training", [FULL, HessianMap([["2", "1"], ["1", "3"]])], ids=["rational", "constant"])
def test_velocities_are_the_expanded_fields(training, order):
    flow = training(PAIR)
    point = residues((2**order, 1, 2), 1)
    drawn = flow.draw(point[0], GUARDED, generator(2))
    velocity = flow.velocity(point, drawn, GUARDED)
    assert_residues(velocity, GUARDED)
    numbers = [SlowJet({s: int(c) for s, c in enumerate(column)}, P) for column in point[:, 0].T]
    numbers += [SlowJet({0: int(value)}, P) for values in drawn.values() for value in values[0].flatten()]
    for i, component in enumerate(flow.components()):
        twin = evaluate(component, numbers)
        assert velocity[:, 0, i].tolist() == [twin[s] for s in range(2**order)]


def test_a_diagonal_hessian_is_the_metric_up_to_a_common_factor():
    flow = HessianMap(diagonal(["1/W1_0_0", "1/W2_0_0"]))(PAIR)
    entropy = GradientFlow(PAIR, mirror(ENTROPY))
    point = residues((1, 1, 2), 1)
    drawn = flow.draw(point[0], GUARDED, generator(2))
    one, two = (f.velocity(point, drawn, GUARDED)[0, 0].tolist() for f in (flow, entropy))
    assert (one[0] * two[1] - one[1] * two[0]) % P == 0


def test_laws_by_sympy():
    x, y, z = sympy.symbols("x y z", positive=True)
    potential = x**2 / 2 + y**2 + x * y + z * sympy.log(z)
    hessian = HessianMap(sympy.hessian(potential, [x, y, z]).tolist())
    assert [law.text for law in gl.laws(hessian(parametrised([x, y, z], [x + y, z]))).laws] == ["y"]
    answer = gl.laws(hessian(parametrised([x, y, z], [x * y * z])))
    assert [law.text for law in answer.laws] == ["4 z - x^2 - 2 x y - 2 y^2"]
    assert (answer.count.lower, answer.count.upper) == (1, 2)
    for length in (1, 2):
        assert_annihilates_brackets(answer.laws[0], hessian(parametrised([x, y, z], [x * y * z])), length)
    assert_count_is(gl.count("linear 1-1-1", flow=HessianMap([["2", "1"], ["1", "2"]])), 1, 1)


def test_a_real_trajectory_keeps_the_law():
    matrix = torch.tensor([[2.0, 1.0], [1.0, 2.0]]).double()
    (law,) = gl.laws("linear 1-1-1", flow=HessianMap([["2", "1"], ["1", "2"]])).laws
    theta = torch.tensor([0.7, -1.2]).double()

    def field(flat):
        return -torch.linalg.solve(matrix, grad(lambda p: (p[0] * p[1] - 3) ** 2)(flat))

    def value(flat):
        return law.value({"W1": flat[0].reshape(1, 1), "W2": flat[1].reshape(1, 1)})

    start, first, h = value(theta), theta, 5e-3
    for _ in range(60):
        a = field(theta)
        b = field(theta + h / 2 * a)
        c = field(theta + h / 2 * b)
        theta = theta + h / 6 * (a + 2 * b + 2 * c + field(theta + h * c))
    assert torch.allclose(value(theta), start, atol=1e-7)
    assert (theta - first).norm() > 0.1


def test_names_of_entries():
    assert parameter_names({"u": (), "W1": (1, 2)}) == ["u", "W1_0_0", "W1_0_1"]


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([["1"]], "the Hessian must have 2 rows and columns, one for each of x, y"),
        ([["1", "0"], ["0"]], "the Hessian must have 2 rows and columns"),
        ([["1", "x"], ["y", "1"]], "the Hessian is not symmetric: its entry for y, x differs from that for x, y"),
        ([["1", "1"], ["1", "1"]], "the leading 2 x 2 minor of the Hessian is zero at every point"),
        ([["0", "1"], ["1", "0"]], "the leading 1 x 1 minor of the Hessian is zero at every point"),
        ([["1", "0"], ["0", "exp(x)"]], "is not rational"),
        ([["1", "0"], ["0", "q"]], "'q' in 'q' is not declared: expected one of x, y"),
    ],
)
def test_what_is_no_hessian_is_refused(rows, words):
    with pytest.raises(InputError) as caught:
        HessianMap(rows)(parametrised(["x", "y"], ["x*y"]))
    assert words in str(caught.value)


def test_large_models_are_refused():
    with pytest.raises(InputError, match="has 8 parameters: a Hessian matrix is for up to 6"):
        HessianMap([["1"]])(Network("linear", (2, 2, 2)))
