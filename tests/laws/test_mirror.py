"""Laws of mirror flows: value, derivative and text say the same; real trajectories keep them."""

from fractions import Fraction

import pytest
import torch
from torch import nn
from torch.func import grad

import gradlaws as gl
from gradlaws.errors import UnsupportedError
from gradlaws.exact.ring import Reals
from gradlaws.flows.metric import ENTROPY, EUCLIDEAN, Geometry, Hessian, Hypentropy, Power, mirror
from gradlaws.flows.momentum import Descent
from gradlaws.laws.contraction import Contraction
from gradlaws.laws.gram import GramLaw
from gradlaws.laws.law import unflatten
from gradlaws.laws.mirror import MirrorLaw
from gradlaws.laws.sums import SumLaw
from tests.oracles.along import along

SHAPES = {"W1": (3, 2), "b1": (3,), "W2": (2, 3)}
PARTS = ((Contraction("W1", 0, 2), 1), (Contraction("b1", 0, 1), 1), (Contraction("W2", 1, 2), -1))
BASES = {
    "diagonal": GramLaw(PARTS, 3, "diagonal"),
    "trace": GramLaw(PARTS, 1, "trace"),
    "linear": SumLaw(PARTS, 3),
}
METRICS = [
    Hessian("(1 + x**2)/x"),
    ENTROPY,
    Power(2),
    Power(3, Fraction(2)),
    Power(-1, Fraction(1, 2)),
    Hypentropy(Fraction(2)),
    EUCLIDEAN,
]
TEXTS = {
    ("diagonal", "entropy"): "sum W1[k,:] + b1[k] - sum W2[:,k]",
    ("diagonal", "burg"): "sum log W1[k,:] + log b1[k] - sum log W2[:,k]",
    ("diagonal", "2 x**3"): "-sum W1[k,:]^-1 - b1[k]^-1 + sum W2[:,k]^-1",
    ("diagonal", "pnorm=3"): "sum W1[k,:]^3 + b1[k]^3 - sum W2[:,k]^3",
    ("diagonal", "hypentropy=2"): "sum sqrt(W1[k,:]^2 + 4) + sqrt(b1[k]^2 + 4) - sum sqrt(W2[:,k]^2 + 4)",
    ("diagonal", "euclidean"): "|W1[k,:]|^2 + b1[k]^2 - |W2[:,k]|^2",
    ("trace", "entropy"): "sum W1 + sum b1 - sum W2",
    ("linear", "entropy"): "sum log W1[k,:] + log b1[k] - sum log W2[:,k]",
    ("linear", "hypentropy=2"): "sum asinh(W1[k,:]/2) + asinh(b1[k]/2) - sum asinh(W2[:,k]/2)",
}


@pytest.mark.parametrize("metric", METRICS, ids=lambda m: m.name)
@pytest.mark.parametrize("name", BASES)
def test_the_derivative_is_that_of_the_value(name, metric):
    law = MirrorLaw(BASES[name], mirror(metric))
    x = 0.5 + torch.rand(15, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    direction = torch.randn(15, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    value, slope = along(lambda flat: law.value(unflatten(flat, SHAPES)), x, direction)
    given = law.derivative(unflatten(x, SHAPES), unflatten(direction, SHAPES), Reals())
    assert value.shape == (law.count,)
    assert torch.allclose(slope, given, rtol=1e-12)


@pytest.mark.parametrize(("name", "metric"), TEXTS)
def test_texts(name, metric):
    (chosen,) = (m for m in METRICS if m.name == metric)
    assert MirrorLaw(BASES[name], mirror(chosen)).text == TEXTS[name, metric]


def test_latex_of_roots_and_norms():
    law = MirrorLaw(BASES["diagonal"], Geometry(others=(("W1", Hypentropy()),)))
    assert law.latex == (r"2\,\textstyle\sum \sqrt{\mathrm{W1[k,:]}^2 + 1} + \mathrm{b1[k]}^2 - \|\mathrm{W2[:,k]}\|^2")


def test_mixed_metrics_have_whole_coefficients():
    law = MirrorLaw(BASES["diagonal"], Geometry(others=(("W2", ENTROPY),)))
    assert law.text == "|W1[k,:]|^2 + b1[k]^2 - 2 sum W2[:,k]"
    assert [term["coefficient"] for term in law.terms] == ["1", "1", "-2"]


def test_it_is_not_a_polynomial():
    with pytest.raises(UnsupportedError, match="is proved by its Euclidean counterpart"):
        MirrorLaw(BASES["trace"], mirror(ENTROPY)).polynomials(SHAPES)


FLOATS = {
    "mirror:hessian=(1 + x**2)/x": lambda x: x / (1 + x * x),
    "mirror:entropy": lambda x: x,
    "mirror:burg": lambda x: x * x,
    "mirror:pnorm=3": lambda x: 1 / (2 * x),
    "mirror:hypentropy=1/2": lambda x: (x * x + 0.25).sqrt(),
}


@pytest.mark.parametrize("flow", FLOATS)
def test_a_real_trajectory_keeps_the_law(flow):
    answer = gl.laws("linear 2-3-2", flow=flow)
    random = torch.Generator().manual_seed(3)
    x, y = (torch.randn(2, 5, generator=random, dtype=torch.float64) for _ in range(2))
    theta = 1.5 + torch.rand(12, generator=random, dtype=torch.float64)  # far from zero, where the metrics end

    def loss(flat):
        return ((flat[6:].view(2, 3) @ flat[:6].view(3, 2) @ x - y) ** 2).mean()

    def field(flat):
        return -FLOATS[flow](flat) * grad(loss)(flat)

    first, h = theta, 1e-4
    for _ in range(200):
        a = field(theta)
        b = field(theta + h / 2 * a)
        c = field(theta + h / 2 * b)
        theta = theta + h / 6 * (a + 2 * b + 2 * c + field(theta + h * c))
    shapes = {"W1": (3, 2), "W2": (2, 3)}
    (law,) = answer.laws
    before, after = (law.value(unflatten(flat, shapes)) for flat in (first, theta))
    assert torch.allclose(before, after, rtol=1e-9)
    assert (theta - first).norm() > 1e-3


def test_linear_laws_of_modules_become_logarithms():
    answer = gl.laws(nn.Linear(2, 3, bias=False), torch.ones(1, 2), flow=Descent(mirror(ENTROPY)), loss="cross_entropy")
    assert [law.text for law in answer.laws] == ["sum log weight[:,k]"]
    assert answer.complete
