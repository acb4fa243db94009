"""Heavy ball in Burg's metric: value and derivative, brackets, a real trajectory, and where there are no such laws."""

from dataclasses import replace
from fractions import Fraction

import pytest
import torch
from torch.func import grad

import gradlaws as gl
from gradlaws.errors import UnsupportedError
from gradlaws.exact.ring import Reals
from gradlaws.flows.damping import Damping
from gradlaws.flows.metric import Geometry, Power, mirror
from gradlaws.flows.momentum import HeavyBall, Nesterov
from gradlaws.laws import burg
from gradlaws.laws.burg import BurgLaw, find_burg_laws
from gradlaws.laws.law import unflatten
from gradlaws.models.network import Network
from tests.asserts import assert_count_is
from tests.laws.test_mirror import BASES, SHAPES
from tests.oracles.along import along
from tests.samplers import FIELD, generator

BURG = mirror(Power(2))


@pytest.mark.parametrize("damping", [Damping(), Damping(Fraction(1, 2))], ids=lambda d: d.text)
@pytest.mark.parametrize("name", ["diagonal", "trace"])
def test_the_derivative_is_that_of_the_value(name, damping):
    law = BurgLaw(BASES[name], damping, 3)
    shapes = {damping.clock: (), **SHAPES, **{f"{n}'": s for n, s in SHAPES.items()}}
    point = 0.5 + torch.rand(31, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    direction = torch.randn(31, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    value, slope = along(lambda flat: law.value(unflatten(flat, shapes)), point, direction)
    assert value.shape == (law.count,)
    assert torch.allclose(slope, law.derivative(unflatten(point, shapes), unflatten(direction, shapes), Reals()))
    many = law.derivative(unflatten(point, shapes), unflatten(direction.expand(3, -1), shapes), Reals())
    assert torch.allclose(many, slope.expand(3, -1))


ROWS = [
    ("linear 2-2-2", "momentum:tau=0", 2, "sum W1[k,:]/W1'[k,:] - sum W2[:,k]/W2'[:,k]"),
    ("linear 2-2-1", "momentum:tau=0", 2, "sum W1[k,:]/W1'[k,:] - sum W2[:,k]/W2'[:,k] - t"),
    (
        "relu 2-3-1",
        "momentum:tau=1/2",
        3,
        "exp(1/2 t) (sum W1[k,:]/(1/2 W1[k,:] + W1'[k,:]) - sum W2[:,k]/(1/2 W2[:,k] + W2'[:,k]) - 2)",
    ),
]


@pytest.mark.parametrize(("spec", "flow", "laws", "text"), ROWS)
def test_one_law_for_each_hidden_unit_and_no_other(spec, flow, laws, text):
    answer = gl.laws(spec, flow=f"{flow}:mirror:burg")
    assert_count_is(answer.count, laws, laws)
    assert [law.text for law in answer.laws] == [text]
    assert answer.laws[0].latex
    assert answer.laws[0].terms[0]["over"] == "tau theta + theta'"
    with pytest.raises(UnsupportedError, match="is proved by the law without momentum"):
        answer.laws[0].polynomials({})


def test_a_real_trajectory_keeps_the_law():
    (law,) = gl.laws("linear 2-3-1", flow="momentum:tau=1/2:mirror:burg").laws
    random = torch.Generator().manual_seed(3)
    x, y = torch.randn(2, 5, generator=random).double(), torch.randn(1, 5, generator=random).double()
    theta = 1.5 + torch.rand(9, generator=random, dtype=torch.float64)

    def loss(flat):
        return ((flat[6:].view(1, 3) @ flat[:6].view(3, 2) @ x - y) ** 2).mean()

    def field(state):
        p, v = state[:9], state[9:]
        return torch.cat([v, -v / 2 - (p / 2 + v) ** 2 * grad(loss)(p)])

    def value(t, state):
        shapes = {"exp(1/2 t)": (), "W1": (3, 2), "W2": (1, 3), "W1'": (3, 2), "W2'": (1, 3)}
        clock = torch.tensor([t / 2], dtype=torch.float64).exp()
        return law.value(unflatten(torch.cat([clock, state]), shapes))

    state, h = torch.cat([theta, 0.1 * torch.randn(9, generator=random, dtype=torch.float64)]), 1e-3
    first, start = value(0.0, state), state
    for _ in range(200):
        a = field(state)
        b = field(state + h / 2 * a)
        c = field(state + h / 2 * b)
        state = state + h / 6 * (a + 2 * b + 2 * c + field(state + h * c))
    assert torch.allclose(value(0.2, state), first, rtol=1e-6)
    assert (state - start).norm() > 0.1


def test_fading_friction_other_metrics_and_positions_have_none():
    network = Network("linear", (2, 2, 2))
    none = [
        Nesterov(3, BURG),
        HeavyBall(1),
        HeavyBall(1, mirror(Power(3))),
        HeavyBall(1, Geometry(others=(("W1", Power(2)),))),
        HeavyBall(1, BURG, "position"),
    ]
    assert [find_burg_laws(training(network), FIELD, generator(1)) for training in none] == [[]] * 5
    assert len(find_burg_laws(HeavyBall(1, BURG)(network), FIELD, generator(1))) == 1


def test_a_planted_wrong_base_is_dropped(monkeypatch):
    find = burg.structured_laws

    def wrong(*arguments):
        return [replace(law, parts=(law.parts[0], (law.parts[1][0], 2))) for law in find(*arguments)]

    monkeypatch.setattr(burg, "structured_laws", wrong)
    assert_count_is(gl.count("linear 2-2-2", flow="momentum:mirror:burg"), 0, 2)
