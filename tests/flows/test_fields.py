"""Explicit vector fields: of reactions, of control systems, rational ones; and parametrisations of the sheet."""

import pytest
import sympy
import torch

import gradlaws as gl
from gradlaws.errors import InputError
from gradlaws.flows.fields import gradients, vector_fields
from gradlaws.models import zoo
from gradlaws.models.symbolic import parametrised
from tests.asserts import assert_count_is, assert_residues
from tests.oracles.slow_jet import SlowJet
from tests.samplers import GUARDED, generator, residues

SHEET = [
    ("1", zoo.monomial(3), 2, 2),
    ("2", zoo.monomial(5), 4, 4),
    ("61", zoo.diagonal(3), 3, 3),
    ("62", zoo.differences(3), 3, 3),
    ("63", zoo.gram(2, 3), 2, 2),  # ratios of minors of U
    ("63", zoo.gram(2, 4), 4, 4),
    ("63", zoo.gram(3, 2), 0, 0),
    ("64", zoo.rank_one(2, 2, 2), 2, 2),
    ("64", zoo.rank_one(1, 2, 3), 2, 2),
]


@pytest.mark.parametrize(("row", "family", "lower", "upper"), SHEET)
def test_parametrisations_of_the_sheet(row, family, lower, upper):
    assert_count_is(gl.count(family), lower, upper)


def test_the_minors_of_a_gram_matrix_rotate_under_momentum():
    answer = gl.laws(zoo.gram(2, 3), flow="momentum:tau=0")
    assert_count_is(answer.count, 3, 3)
    assert answer.laws[0].text == "u00 u01' - u01 u00' + u10 u11' - u11 u10'"


SYSTEMS = {
    "predator and prey": (["x", "y"], [["x*(2/3 - 4/3*y)", "y*(x - 1)"]], ["3 x + 4 y - 3 log x - 2 log y"]),
    "a reaction and its inverse": (["A", "B", "C"], [["-A*B", "-A*B", "A*B"], ["C", "C", "-C"]], ["A - B", "A + C"]),
    "a rotation, at any speed": (["x", "y", "z"], [["y/(x+z)", "-x/(x+z)", "0"]], ["z", "x^2 + y^2"]),
    "a car": (["x", "y", "c", "s"], [["c", "s", "0", "0"], ["0", "0", "-s", "c"]], ["c^2 + s^2"]),
    "a ratio": (["x", "y"], [["x", "y"]], ["log x - log y"]),
    "a spring with friction": (
        ["t", "x", "v"],
        [["1", "v", "-3*v - 2*x"]],
        ["exp(2 t) (x + v)", "exp(t) (2 x + v)"],
    ),
}


@pytest.mark.parametrize("system", SYSTEMS)
def test_systems(system):
    variables, fields, laws = SYSTEMS[system]
    answer = gl.laws(vector_fields(variables, fields))
    assert [law.text for law in answer.laws] == laws
    assert answer.status is gl.Status.PROVED


def test_sympy_expressions_are_read():
    x, y = sympy.symbols("x y")
    assert_count_is(gl.count(parametrised([x, y], [x * y])), 1, 1)
    assert [law.text for law in gl.laws(gradients([x, y], [x / y])).laws] == ["x^2 + y^2"]
    assert_count_is(gl.count(vector_fields([x, y], [[x / (1 + y), y * sympy.Rational(1, 3)]])), 0, 1)


@pytest.mark.parametrize("order", [0, 1, 2])
def test_velocities_over_jets_are_the_components(order):
    flow = vector_fields(["x", "y"], [["x*y**2 + 2/3", "y/(1 + x)"], ["0", "x - 4"]])
    point = residues((2**order, 1, 2), 1)
    drawn = flow.draw(point[0], GUARDED, generator(2))
    velocity = flow.velocity(point, drawn, GUARDED)
    assert_residues(velocity, GUARDED)
    p = GUARDED.prime
    numbers = [SlowJet({s: int(c) for s, c in enumerate(column)}, p) for column in point[:, 0].T]
    (weights,) = drawn.values()
    numbers += [SlowJet({0: int(w)}, p) for w in weights[0]]
    for i, component in enumerate(flow.components()):
        total = SlowJet({}, p)
        for monomial, c in component.terms.items():
            term = SlowJet({0: GUARDED.residue(c)}, p)
            for v in monomial:
                term = term * numbers[v]
            total = total + term
        assert velocity[:, 0, i].tolist() == [total[s] for s in range(2**order)]


def test_a_flow_that_stands_still_keeps_everything():
    answer = gl.laws(vector_fields(["x", "y"], [["0", "0"]]))
    assert_count_is(answer.count, 2, 2)
    assert torch.is_tensor(answer.laws[0].value({"x": torch.tensor(1.0), "y": torch.tensor(2.0)}))


def test_what_makes_no_sense_is_refused():
    with pytest.raises(InputError, match="field 2 has 1 entries, but there are 2 variables: x, y"):
        vector_fields(["x", "y"], [["x", "y"], ["x"]])
    with pytest.raises(InputError, match="'x/y' is not a polynomial: give the vector fields themselves"):
        parametrised(["x", "y"], ["x/y"])
    with pytest.raises(InputError, match="says by itself how it moves"):
        gl.laws(vector_fields(["x"], [["1"]]), flow="momentum")
