"""Laws of mirror flows and of momentum: counts of the literature, closed forms, planted faults, a float64 shadow."""

from dataclasses import replace
from fractions import Fraction

import pytest
import torch
from torch import nn

import gradlaws as gl
from gradlaws.errors import InputError
from gradlaws.flows.gradient import GradientFlow
from gradlaws.flows.metric import ENTROPY, Hessian, Hypentropy, Power, mirror, rates
from gradlaws.flows.momentum import Descent, HeavyBall, Nesterov
from gradlaws.laws import momentum, of_flow
from gradlaws.laws.closure import close
from gradlaws.laws.count import Status
from gradlaws.laws.law import unflatten
from gradlaws.models.network import Network
from gradlaws.models.spec import read_spec
from tests.asserts import assert_annihilates_brackets, assert_count_is
from tests.cases import published_flows
from tests.models.zoo import Attention
from tests.oracles import float_flow_count
from tests.oracles.float_flow_count import Setting
from tests.samplers import FIELD, generator

FRICTIONS = ["momentum:tau=0", "momentum:tau=7/10", "nesterov"]
TAUS = {"momentum:tau=0": lambda _: 0.0, "momentum:tau=7/10": lambda _: 0.7, "nesterov": lambda t: 3 / t}

MIRROR_ROWS = [
    ("57", "linear 2-2-2", "mirror:entropy", 2),
    ("57", "linear 2-3-2", "mirror:entropy", 3),
    ("58", "linear 1-2-1", "mirror:entropy", 3),
    ("58", "linear 1-3-1", "mirror:entropy", 5),
    ("59", "relu 2-2-2", "mirror:entropy:W2", 2),
    ("59", "relu 2-2-2 bias", "mirror:entropy:W2", 2),
    ("60", "relu 1-2-1", "mirror:entropy:W2", 2),
]
MOMENTUM_ROWS = [
    ("M1", "linear 1-1-1", 5, 0),
    *[("M2", f"linear 1-{r}-1", 4 * r + 1, 4 * r - 6) for r in (2, 3, 4, 5)],
    *[("M3", f"linear 2-{r}-1", 6 * r + 1, laws) for r, laws in ((2, 1), (3, 3), (4, 6), (6, 15), (7, 21), (8, 27))],
    ("M4", "linear 2-2-2", 17, 1),
    ("M5", "linear 2-5-2", 41, 10),
    ("M6", "linear 2-2-2-2", 25, 2),
    ("M6", "linear 3-3-3-3", 55, 6),
    ("M7", "linear 1-2-2-1", 17, 2),
    ("M7", "linear 2-1-2-1", 13, 2),
    ("M7", "linear 1-3-1-1", 15, 6),
    ("M8", "relu 2-2-2", 17, 0),
    ("M8", "relu 2-2-2 bias", 21, 0),
]


@pytest.mark.parametrize(("row", "spec", "flow", "laws"), MIRROR_ROWS)
def test_rows_of_the_sheet_with_mirror_maps(row, spec, flow, laws):
    assert_count_is(gl.count(spec, flow=flow), laws, laws)


@pytest.mark.parametrize("flow", FRICTIONS)
@pytest.mark.parametrize(("row", "spec", "dimension", "laws"), MOMENTUM_ROWS)
def test_rows_of_the_sheet_with_momentum(row, spec, dimension, laws, flow):
    count = gl.count(spec, flow=flow)
    assert count.parameters == dimension
    assert_count_is(count, laws, laws)


@pytest.mark.parametrize(("row", "spec", "dimension", "laws"), MOMENTUM_ROWS)
def test_any_friction_keeps_as_many(row, spec, dimension, laws):
    count = gl.count(spec, flow="momentum:tau=any")
    assert_count_is(count, laws, laws)
    assert "W' stands for exp(int tau) dW/dt" in count.evidence.assumptions[-1]


def test_any_friction_on_a_real_trajectory():
    """With tau(t) = 1 + sin t, for which no closed form is used: the weight is integrated along."""
    (law,) = gl.laws("linear 2-2-2", flow="momentum:tau=any").laws
    random = torch.Generator().manual_seed(3)
    x, y = (torch.randn(2, 5, generator=random, dtype=torch.float64) for _ in range(2))

    def loss(flat):
        return ((flat[4:].view(2, 2) @ flat[:4].view(2, 2) @ x - y) ** 2).mean()

    def field(t, state):
        p, v, tau = state[:8], state[8:16], 1 + torch.sin(t)
        return torch.cat([v, -tau * v - torch.func.grad(loss)(p), tau.reshape(1)])

    def value(state):
        shapes = {"W1": (2, 2), "W2": (2, 2), "W1'": (2, 2), "W2'": (2, 2)}
        return law.value(unflatten(torch.cat([state[:8], state[8:16] * state[16].exp()]), shapes))

    state = torch.cat([torch.randn(16, generator=random, dtype=torch.float64), torch.zeros(1).double()])
    t, h, first = torch.zeros(()).double(), 2e-3, value(state)
    for _ in range(150):
        a = field(t, state)
        b = field(t + h / 2, state + h / 2 * a)
        c = field(t + h / 2, state + h / 2 * b)
        state = state + h / 6 * (a + 2 * b + 2 * c + field(t + h, state + h * c))
        t = t + h
    assert torch.allclose(value(state), first, rtol=1e-7)
    assert state[16] > 0.3


def test_any_friction_with_a_mirror_map_is_refused():
    with pytest.raises(InputError, match="momentum with any friction and the metric entropy: its laws depend on tau"):
        gl.count("linear 2-2-2", flow="momentum:tau=any:mirror:entropy")
    made = HeavyBall(None, mirror(ENTROPY), "position")
    assert_count_is(gl.count("linear 2-2-2", flow=made), 4, 4)


@pytest.mark.parametrize("flow", FRICTIONS)
@pytest.mark.parametrize("spec", ["linear 2-2-2", "linear 1-2-1", "relu 2-2-2"])
def test_momentum_loses_the_laws_of_mirror_flows(spec, flow):
    metric = "mirror:entropy" + ":W2" * spec.startswith("relu")
    assert gl.count(spec, flow=metric).lower > 0
    assert_count_is(gl.count(spec, flow=f"{flow}:{metric}"), 0, 0)


@pytest.mark.parametrize("case", published_flows(), ids=str)
def test_published_lists(case):
    flow, case = case
    assert_count_is(gl.count(case.spec, flow=flow), case.lower, case.upper)


@pytest.mark.parametrize("flow", FRICTIONS)
def test_a_metric_taken_at_the_position_keeps_two_laws_for_each_linear_one(flow):
    """The published convention, at tau theta + v, keeps none."""
    made = {
        "momentum:tau=0": HeavyBall(0, mirror(ENTROPY), "position"),
        "momentum:tau=7/10": HeavyBall(Fraction(7, 10), mirror(ENTROPY), "position"),
        "nesterov": Nesterov(3, mirror(ENTROPY), "position"),
    }[flow]
    assert_count_is(gl.count("linear 2-2-2", flow=made), 4, 4)


def test_a_fading_friction_of_one_misses_a_logarithm_and_says_so():
    count = gl.count("linear 2-2-2", flow=Nesterov(1, mirror(ENTROPY), "position"))
    assert (count.lower, count.upper, count.status) == (3, 4, Status.BOUNDED)  # two momenta and their rotation
    assert any("1 more independent law exists" in note for note in count.evidence.notes)


MODULES = [
    ("M10", lambda: nn.Linear(2, 3, bias=False), (1, 2), {"loss": "cross_entropy"}, 13, 4),
    ("M11", lambda: Attention(2, 2), (2, 2), {}, 33, 2),
    ("M11", lambda: Attention(2, 3), (2, 2), {}, 49, 6),
    ("M12, and the pair of values and outputs", lambda: Attention(2, 2, frequencies=(1.0,)), (2, 2), {}, 33, 2),
    ("two heads", lambda: Attention(2, 2, 2), (3, 2), {}, 65, 4),
]


@pytest.mark.parametrize("flow", ["momentum", "nesterov"])
@pytest.mark.parametrize(("row", "make", "shape", "options", "dimension", "laws"), MODULES)
def test_modules_under_momentum(row, make, shape, options, dimension, laws, flow):
    torch.manual_seed(0)
    count = gl.count(make(), torch.ones(shape), flow=flow, **options)
    assert count.parameters == dimension
    assert_count_is(count, laws, laws)


METRICS = [
    Hessian("1 + x**2"),
    Hessian("1/(x + 2)"),
    Power(2),
    Power(-1, Fraction(1, 2)),
    Hypentropy(),
    Hypentropy(Fraction(1, 3)),
]


@pytest.mark.parametrize("metric", METRICS, ids=lambda m: m.name)
@pytest.mark.parametrize("spec", ["linear 2-2-2", "linear 2-2-2 bias", "relu 2-3-2"])
def test_other_mirror_maps_keep_one_law_for_each_hidden_unit(spec, metric):
    hidden = read_spec(spec).widths[1]
    assert_count_is(gl.count(spec, flow=Descent(mirror(metric))), hidden, hidden)


def test_learning_rates_weigh_the_laws():
    answer = gl.laws("linear 2-2-2", flow=Descent(rates({"W1": Fraction(1, 10)})))
    assert [law.text for law in answer.laws] == ["10 W1 W1^T - W2^T W2"]
    assert_count_is(answer.count, 3, 3)
    answer = gl.laws("linear 2-2-2", flow="momentum:tau=0:rates:W1=1/10")
    assert answer.laws[0].text == "10 W1 W1'^T - 10 W1' W1^T + W2^T W2' - W2'^T W2"


SHADOWED = [("linear 2-2-2", 1), ("linear 1-2-1", 2), ("linear 2-2-2-2", 2), ("relu 2-2-2", 0), ("linear 3-3-3", 3)]


@pytest.mark.parametrize("flow", FRICTIONS)
@pytest.mark.parametrize(("spec", "laws"), SHADOWED)
def test_float64_counts_as_many_under_momentum(spec, laws, flow):
    assert float_flow_count.count_laws(Setting(read_spec(spec), TAUS[flow])) == laws


@pytest.mark.parametrize(
    ("spec", "metric", "laws"),
    [
        ("linear 2-2-2", lambda x: x, 2),
        ("linear 1-2-1", lambda x: x, 3),
        ("linear 2-3-2", lambda x: (x * x + 1).sqrt(), 3),
    ],
)
def test_float64_counts_as_many_in_mirror_flows(spec, metric, laws):
    assert float_flow_count.count_laws(Setting(read_spec(spec), None, metric)) == laws
    assert float_flow_count.count_laws(Setting(read_spec(spec), lambda _: 0.7, metric)) == 0


@pytest.mark.parametrize("length", [1, 2, 3, 4])
@pytest.mark.parametrize("training", [HeavyBall(0), HeavyBall(Fraction(1, 2)), Nesterov()], ids=str)
def test_laws_of_momentum_annihilate_every_bracket(training, length):
    for spec in ("linear 2-3-2", "linear 1-2-1"):
        flow = training(read_spec(spec))
        for law in gl.laws(flow).laws:
            assert_annihilates_brackets(law, flow, length)


def plant(monkeypatch, change):
    find = momentum.find_skew_laws
    monkeypatch.setattr(of_flow, "find_skew_laws", lambda *a: [change(law) for law in find(*a)])


WRONG = {
    "a sign": lambda law: replace(law, parts=(law.parts[0], (law.parts[1][0], -law.parts[1][1]))),
    "no weight": lambda law: replace(law, weight=0),
    "too much weight": lambda law: replace(law, weight=law.weight + 1),
}


@pytest.mark.parametrize("fault", WRONG)
def test_a_planted_wrong_law_is_dropped(monkeypatch, fault):
    plant(monkeypatch, WRONG[fault])
    answer = gl.laws("linear 2-2-2", flow="momentum")
    assert_count_is(answer.count, 1, 1)  # the right one comes back by the generic search
    assert [law.kind for law in answer.laws] == ["polynomial"]


def test_a_planted_wrong_law_is_dropped_without_expansion(monkeypatch):
    plant(monkeypatch, WRONG["a sign"])
    monkeypatch.setattr(of_flow, "EXPANSION_LIMIT", 0)
    monkeypatch.setattr(of_flow, "_AUTOMATIC", 0)
    answer = gl.laws("linear 2-2-2", flow="momentum")
    assert answer.laws == ()
    assert (answer.count.lower, answer.count.upper, answer.status) == (0, 1, Status.BOUNDED)


def test_without_expansion_laws_are_certain(monkeypatch):
    monkeypatch.setattr(of_flow, "EXPANSION_LIMIT", 0)
    count = gl.count("linear 2-2-2", flow="momentum")
    assert (count.lower, count.upper, count.status) == (1, 1, Status.CERTAIN)
    assert 0 < count.evidence.failure_probability < 1e-9


@pytest.mark.parametrize("flow", FRICTIONS)
def test_the_generic_search_finds_the_timed_law(flow):
    answer = gl.laws("linear 2-2-2", flow=flow, degree=2)
    clock = {"momentum:tau=0": "W1[0,0]", "momentum:tau=7/10": "exp(7/10 t) W1", "nesterov": "t^3 W1"}[flow]
    assert answer.laws[0].text.startswith(clock)
    assert_count_is(answer.count, 1, 1)


def test_wide_layers_have_more_laws_with_momentum_than_without():
    """Marcotte, Gribonval, Peyre 2024: except in sufficiently over-parameterised regimes momentum has fewer."""
    for width, more in ((4, False), (7, True)):
        spec = f"linear 2-{width}-1"
        assert (gl.count(spec, flow="momentum").lower > gl.count(spec).lower) is more


def test_the_same_seed_gives_the_same_answer():
    one, two = (gl.laws("linear 1-2-1", flow="mirror:entropy", seed=3) for _ in range(2))
    assert [law.text for law in one.laws] == [law.text for law in two.laws]


def test_a_flow_speaks_for_itself():
    flow = HeavyBall(1)(Network("linear", (2, 2, 2)))
    assert_count_is(gl.count(flow), 1, 1)
    with pytest.raises(InputError, match=r"heavy ball with tau = 1 says by itself how it moves: leave out flow="):
        gl.count(flow, flow="nesterov")


def test_what_is_no_flow_is_refused():
    for wrong in (3, lambda family: family.name):
        with pytest.raises(InputError, match="is not a flow: expected a text or what turns a Family into a Flow"):
            gl.laws("linear 2-2-2", flow=wrong)
    with pytest.raises(InputError, match="engine knows gradient flow only"):
        gl.laws("linear 2-2-2", flow="momentum", engine="both")
    with pytest.raises(InputError, match="no certificate for heavy ball with tau = 1: the checker knows gradient flow"):
        gl.certify("linear 2-2-2", gl.laws("linear 2-2-2", flow="momentum"))
    with pytest.raises(InputError, match="seed -1 is out of range"):
        gl.laws("linear 2-2-2", flow="momentum", seed=-1)


def test_lower_only_and_large_networks_need_no_closure():
    answer = gl.laws("linear 40-30-40", flow="momentum", lower_only=True)
    assert answer.count.lower == 30 * 29 // 2
    assert answer.evidence.notes[-2] == "no upper bound was asked for"


def test_plain_gradient_flow_takes_the_plain_way():
    assert gl.laws("linear 2-2-2", flow=GradientFlow).laws == gl.laws("linear 2-2-2").laws
    assert close(Descent()(read_spec("linear 2-2-2")), FIELD, generator(1)).upper == 3
