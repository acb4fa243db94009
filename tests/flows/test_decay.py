"""Weight decay: fields over jets against their expansion, laws by the structure theorem, real trajectories."""

from fractions import Fraction

import pytest
import torch
from torch.func import grad

import gradlaws as gl
from gradlaws.errors import InputError
from gradlaws.flows.decay import WeightDecay
from gradlaws.flows.metric import ENTROPY, Hypentropy, mirror, rates
from gradlaws.flows.momentum import DRIFT
from gradlaws.flows.read import read_flow
from gradlaws.laws.closure import close
from gradlaws.laws.law import unflatten
from gradlaws.models.network import Network
from gradlaws.models.spec import read_spec
from tests.asserts import assert_residues
from tests.flows.test_momentum import evaluate
from tests.oracles.slow_jet import SlowJet
from tests.samplers import FIELD, GUARDED, generator, residues

P = GUARDED.prime
NETWORK = Network("relu", (2, 2, 1), bias=True)
DECAYS = [
    WeightDecay(0),
    WeightDecay(Fraction(3, 4)),
    WeightDecay(2, fading=True),
    WeightDecay(1, metric=mirror(ENTROPY)),
    WeightDecay(1, metric=rates({"W1": Fraction(1, 7)})),
]


@pytest.mark.parametrize("order", [0, 1, 2])
@pytest.mark.parametrize("training", DECAYS, ids=str)
def test_velocities_are_the_expanded_fields(training, order):
    flow = training(NETWORK)
    point = residues((2**order, 1, flow.dimension), 1)
    instances = flow.draw(point[0], GUARDED, generator(2)) | {DRIFT: torch.ones(1).double()}
    velocity = flow.velocity(point, instances, GUARDED)
    assert_residues(velocity, GUARDED)
    numbers = [SlowJet({s: int(c) for s, c in enumerate(column)}, P) for column in point[:, 0].T]
    drawn = [values[0].flatten() for name, values in instances.items() if name != DRIFT]
    numbers += [SlowJet({0: int(value)}, P) for values in drawn for value in values]
    for entry, component in zip(velocity[:, 0].T, flow.components(), strict=True):
        twin = evaluate(component, numbers)
        assert entry.tolist() == [twin[s] for s in range(2**order)]


def test_the_clock_and_the_title():
    assert next(iter(WeightDecay(2)(NETWORK).state)) == "exp(2 t)"
    assert WeightDecay(2, fading=True)(NETWORK).title == "gradient flow with weight decay 2/t"
    assert WeightDecay(1, metric=mirror(Hypentropy()))(NETWORK).components() is None
    assert WeightDecay(1)(Network("linear", (1, 1, 1))).sign_changes() == [[1], [1, 2], [2]]


@pytest.mark.parametrize("flow", ["decay:lambda=0", "decay:lambda=1/2", "decay:lambda=2/t"])
@pytest.mark.parametrize("spec", ["linear 2-2-2", "linear 1-2-1", "relu 2-2-2 bias", "square 2-2-1"])
def test_the_closure_with_decay_leaves_as_many(spec, flow):
    """The count of the answer is that without decay; the closure of the decayed fields is the second way."""
    count = gl.count(spec, flow=flow)
    assert (count.lower, count.upper) == (gl.count(spec).lower,) * 2
    assert close(read_flow(flow)(read_spec(spec)), FIELD, generator(3)).upper == count.upper


@pytest.mark.parametrize(
    ("flow", "decay"), [("decay:lambda=1/2", lambda t: 0.5), ("decay:lambda=2/t", lambda t: 2 / t)], ids=str
)
def test_a_real_trajectory_keeps_the_law_and_not_the_plain_one(flow, decay):
    (law,) = gl.laws("linear 2-3-2", flow=flow).laws
    (plain,) = gl.laws("linear 2-3-2").laws
    random = torch.Generator().manual_seed(3)
    x, y = (torch.randn(2, 5, generator=random, dtype=torch.float64) for _ in range(2))
    theta = torch.randn(12, generator=random, dtype=torch.float64)

    def loss(flat):
        return ((flat[6:].view(2, 3) @ flat[:6].view(3, 2) @ x - y) ** 2).mean()

    def field(t, flat):
        return -grad(loss)(flat) - decay(t) * flat

    def state(t, flat):
        clock = t if "/t" in flow else torch.tensor(t / 2, dtype=torch.float64).exp()
        return {
            next(iter(law.terms))["weight"].rpartition("^")[0]: torch.as_tensor(clock, dtype=torch.float64)
        } | unflatten(flat, {"W1": (3, 2), "W2": (2, 3)})

    t, h, first = 1.0, 2e-3, theta
    for _ in range(200):
        a = field(t, theta)
        b = field(t + h / 2, theta + h / 2 * a)
        c = field(t + h / 2, theta + h / 2 * b)
        theta = theta + h / 6 * (a + 2 * b + 2 * c + field(t + h, theta + h * c))
        t += h
    assert torch.allclose(law.value(state(1.0, first)), law.value(state(t, theta)), rtol=1e-9)
    assert not torch.allclose(plain.value(state(1.0, first)), plain.value(state(t, theta)), rtol=1e-2)


def test_bad_decays_are_refused():
    with pytest.raises(InputError, match="damping -1 is negative"):
        WeightDecay(-1)(NETWORK)
    with pytest.raises(InputError, match="no parameter is called 'x'"):
        WeightDecay(1, metric=mirror(ENTROPY, ("x",)))(NETWORK)
