"""Laws under weight decay: value, derivative, expansion and text say the same; what is not homogeneous is left out."""

from fractions import Fraction

import pytest
import torch
from torch.func import grad

import gradlaws as gl
from gradlaws.errors import UnsupportedError
from gradlaws.exact.polynomial import Polynomial
from gradlaws.exact.ring import Reals
from gradlaws.flows.damping import Damping
from gradlaws.flows.decay import WeightDecay
from gradlaws.flows.metric import ENTROPY, Hessian, Hypentropy, Power, mirror
from gradlaws.laws.decayed import DecayedLaw, homogeneity
from gradlaws.laws.law import unflatten
from gradlaws.laws.mirror import MirrorLaw
from gradlaws.laws.polynomial import PolynomialLaw
from gradlaws.laws.proof import conserved
from gradlaws.models.spec import read_spec
from tests.laws.test_mirror import BASES
from tests.oracles.along import along

SHAPES = {"W1": (3, 2), "b1": (3,), "W2": (2, 3)}
DECAYS = [Damping(Fraction(1, 2)), Damping(Fraction(3), fading=True), Damping()]


@pytest.mark.parametrize("decay", DECAYS, ids=lambda d: d.text)
@pytest.mark.parametrize("base", [*BASES.values(), MirrorLaw(BASES["diagonal"], mirror(Power(2)))], ids=str)
def test_the_derivative_is_that_of_the_value(base, decay):
    law = DecayedLaw(base, decay)
    shapes = {decay.clock: (), **SHAPES}
    x = 0.5 + torch.rand(16, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    direction = torch.randn(16, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    value, slope = along(lambda flat: law.value(unflatten(flat, shapes)), x, direction)
    given = law.derivative(unflatten(x, shapes), unflatten(direction, shapes), Reals())
    assert value.shape == (law.count,)
    assert torch.allclose(slope, given, rtol=1e-12)
    many = law.derivative(unflatten(x, shapes), unflatten(direction.expand(3, -1), shapes), Reals())
    assert torch.allclose(many, given.expand(3, -1))


@pytest.mark.parametrize("flow", [WeightDecay(0), WeightDecay(Fraction(1, 3)), WeightDecay(2, fading=True)], ids=str)
@pytest.mark.parametrize("spec", ["linear 2-2-2", "relu 2-2-1 bias", "square 2-2-1"])
def test_expansion_proves_them_too(spec, flow):
    answer = gl.laws(spec, flow=flow)
    made = flow(read_spec(spec))
    for law in answer.laws:
        assert all(conserved(made.components(), scalar) for scalar in law.polynomials(made.state))
        bare = [
            Polynomial({tuple(v for v in m if v): c for m, c in p.terms.items()}) for p in law.polynomials(made.state)
        ]
        kept = [conserved(made.components(), scalar) for scalar in bare]
        assert all(kept) if made.decay.rate == 0 else not any(kept)  # without its weight it decays


def test_what_is_homogeneous():
    assert homogeneity(BASES["diagonal"]) == 2
    assert homogeneity(BASES["linear"]) == 1
    assert homogeneity(MirrorLaw(BASES["diagonal"], mirror(ENTROPY))) == 1
    assert homogeneity(MirrorLaw(BASES["diagonal"], mirror(Power(3)))) == -1
    assert homogeneity(MirrorLaw(BASES["diagonal"], mirror(Hypentropy()))) is None
    assert homogeneity(MirrorLaw(BASES["diagonal"], mirror(Hessian("1 + x")))) is None
    assert homogeneity(MirrorLaw(BASES["diagonal"], mirror(ENTROPY, ("W2",)))) is None
    assert homogeneity(PolynomialLaw(((0,), (1, 1)), (1, 1), (("x", ()), ("y", ())))) is None
    assert homogeneity(PolynomialLaw(((0, 1), (1, 1)), (1, 1), (("x", ()), ("y", ())))) == 2


TEXTS = [
    ("linear 2-2-2", "decay", "exp(t)^2 (W1 W1^T - W2^T W2)"),
    ("linear 2-2-2", "decay:lambda=2/t", "t^4 (W1 W1^T - W2^T W2)"),
    ("linear 2-2-2", "decay:lambda=any", "exp(int lambda)^2 (W1 W1^T - W2^T W2)"),
    ("linear 2-2-2", "decay:mirror:entropy", "exp(t) (sum W1[k,:] - sum W2[:,k])"),
    ("linear 2-2-2", "decay:mirror:burg", "sum log W1[k,:] - sum log W2[:,k] at exp(t) theta"),
    ("linear 2-2-2", "decay:lambda=1/2:rates:W1=1/10", "exp(1/2 t)^2 (10 W1 W1^T - W2^T W2)"),
]


@pytest.mark.parametrize(("spec", "flow", "text"), TEXTS)
def test_texts(spec, flow, text):
    answer = gl.laws(spec, flow=flow)
    assert [law.text for law in answer.laws] == [text]
    assert answer.status is gl.Status.PROVED
    assert answer.laws[0].latex
    assert answer.laws[0].terms[0]["weight"]


def test_what_is_not_homogeneous_is_left_out_and_named():
    none = gl.laws("linear 2-2-2", flow=WeightDecay(1, metric=mirror(Hypentropy())))
    assert none.laws == ()
    assert none.count.upper == 0  # the closure of the decayed flow says that none is left
    assert any(note.startswith("no decayed form of sum sqrt(W1") for note in none.evidence.notes)


def test_a_law_with_logarithms_of_ratios_is_homogeneous():
    answer = gl.laws("linear 1-2-1", flow="decay:mirror:entropy")
    assert (answer.count.lower, answer.count.upper, answer.status) == (3, 3, gl.Status.PROVED)
    law = answer.laws[-1]
    assert law.text.startswith("exp(t) (W1[0,0] log W1[1,0]")
    with pytest.raises(UnsupportedError, match="is proved by its undecayed law"):
        law.polynomials({"exp(t)": (), "W1": (2, 1), "W2": (1, 2)})
    t, theta, h = torch.tensor(0.0).double(), torch.tensor([1.0, 2.0, 0.7, 1.4]).double(), 1e-3

    def field(p):
        return -p * grad(lambda q: (q[:2] @ q[2:] - 3) ** 2)(p) - p

    def value(t, p):
        return law.value({"exp(t)": t.exp(), "W1": p[:2].reshape(2, 1), "W2": p[2:].reshape(1, 2)})

    start = value(t, theta)
    for _ in range(100):
        a = field(theta)
        b = field(theta + h / 2 * a)
        c = field(theta + h / 2 * b)
        theta, t = theta + h / 6 * (a + 2 * b + 2 * c + field(theta + h * c)), t + h
    assert torch.allclose(value(t, theta), start, rtol=1e-8)
    for mixed in (((0, 4), (1,)), ((0, 4), (1, 2))):  # a logarithm of one variable only; unequal degrees
        shapes = (("u", ()), ("v", ()), ("w", ()), ("x", ()), ("log u", ()))
        assert homogeneity(PolynomialLaw(mixed, (1, 1), shapes)) is None


def test_logarithms_are_no_polynomials():
    law = DecayedLaw(MirrorLaw(BASES["diagonal"], mirror(Power(2))), Damping(Fraction(1)))
    with pytest.raises(UnsupportedError, match="is proved by its undecayed law"):
        law.polynomials({"exp(t)": (), **SHAPES})


def test_large_networks_need_no_closure():
    answer = gl.laws("linear 40-30-40", flow="decay", lower_only=True)
    assert answer.count.lower == 30 * 31 // 2
