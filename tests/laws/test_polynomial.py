"""Laws written term by term."""

import torch

import gradlaws as gl
from gradlaws.flows.fields import vector_fields
from gradlaws.laws.law import signed_sum, unflatten
from gradlaws.laws.polynomial import PolynomialLaw, variable_names
from tests.samplers import FIELD, residues

SHAPES = {"W1": (1, 2), "s": (1,)}
# 2 a^2 b - 3 c + b c with a, b = W1 and c = s
LAW = PolynomialLaw(((0, 0, 1), (2,), (1, 2)), (2, -3, 1), tuple(SHAPES.items()))


def h(a, b, c):
    return 2 * a * a * b - 3 * c + b * c


def test_value_in_floats_and_in_the_field():
    point = unflatten(torch.tensor([2.0, -1.0, 0.5], dtype=torch.float64), SHAPES)
    assert LAW.value(point).item() == h(2.0, -1.0, 0.5)
    flat = residues((3,), 1)
    assert int(LAW.value(unflatten(flat, SHAPES), FIELD)) == h(*map(int, flat)) % FIELD.prime


def test_the_derivative_is_the_product_rule():
    flat, direction = residues((3,), 1), residues((4, 3), 2)
    a, b, c = map(int, flat)
    slope = [(4 * a * b * u + (2 * a * a + c) * v + (b - 3) * w) % FIELD.prime for u, v, w in direction.long().tolist()]
    found = LAW.derivative(unflatten(flat, SHAPES), unflatten(direction, SHAPES), FIELD)
    assert found.squeeze(1).tolist() == slope


def test_formulas_are_what_a_person_writes():
    assert LAW.text == "2 W1[0,0]^2 W1[0,1] - 3 s[0] + W1[0,1] s[0]"
    assert LAW.latex == r"2\,W1_{0,0}^{2}\,W1_{0,1} - 3\,s_{0} + W1_{0,1}\,s_{0}"
    assert LAW.terms[0] == {"coefficient": "2", "factors": ["W1[0,0]", "W1[0,0]", "W1[0,1]"]}


def test_kind_degree_and_count():
    assert (LAW.kind, LAW.degree, LAW.count) == ("polynomial", 3, 1)
    assert LAW.polynomials(SHAPES)[0].terms == {(0, 0, 1): 2, (2,): -3, (1, 2): 1}


def test_variables_are_named_by_tensor_and_index():
    assert variable_names({"W1": (1, 2), "b1": (2,), "s": ()}) == ["W1[0,0]", "W1[0,1]", "b1[0]", "b1[1]", "s"]


def test_signed_sums_leave_out_ones():
    assert signed_sum([(-1, "a"), (1, "b"), (-2, "c")]) == "-a + b - 2 c"


def test_logarithms_are_taken_where_they_are_not_given():
    (law,) = gl.laws(vector_fields(["x", "y"], [["x*(2/3 - 4/3*y)", "y*(x - 1)"]])).laws
    assert law.text == "3 x + 4 y - 3 log x - 2 log y"
    assert law.latex == r"3\,x + 4\,y - 3\,\log x - 2\,\log y"
    x, y = torch.tensor([0.5, 2.0]).double(), torch.tensor([1.5, 0.3]).double()
    theta = {"x": x, "y": y}
    assert torch.allclose(law.value(theta)[:, 0], 3 * x + 4 * y - 3 * x.log() - 2 * y.log())
    velocity = {"x": x * (2 / 3 - 4 / 3 * y), "y": y * (x - 1)}
    assert torch.allclose(law.derivative(theta, velocity), torch.zeros(2, 1).double(), atol=1e-14)
    assert not torch.allclose(law.derivative(theta, theta), torch.zeros(2, 1).double(), atol=1e-3)


def test_constants_are_written():
    assert PolynomialLaw(((), (0,)), (1, -1), (("x", ()),)).text == "1 - x"
    assert PolynomialLaw(((0,), ()), (2, -3), (("x", ()),)).text == "2 x - 3"
