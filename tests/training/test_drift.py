"""The step identity on real runs, for every optimizer that it claims to know; and what it says where it does not."""

from dataclasses import replace

import pytest
import torch
from torch import nn

import gradlaws as gl
from gradlaws.laws.law import unflatten
from gradlaws.training.drift import change, step_drift
from gradlaws.training.formula import Signs, formula_of
from gradlaws.training.names import entering, home, live_parameters, touched
from gradlaws.training.step import copies, move
from tests.samplers import generator
from tests.training.runs import ALL, KNOWN, LAWS, ORTHOGONAL, UNFORESEEN, Lion, Loop, SignSGD, classifier

EXACTLY = 1e-12
BOUND = {torch.float64: EXACTLY, torch.float32: 1e-5}
precisions = pytest.mark.parametrize("dtype", BOUND)


class Watched(Loop):
    """Takes one step and returns the drift of every law over it."""

    def drifts(self, before_step=lambda: None, laws=LAWS):
        live = live_parameters(self.model)
        formula = formula_of(self.optimizer)
        self.backward()
        before_step()
        before = copies(self.optimizer, formula, live.values())
        self.optimizer.step()
        moves = {name: move(b, self.optimizer, formula) for name, b in before.items()}
        return [step_drift(law, moves, touched(law)) for law in laws]


def watched(make, dtype=torch.float64):
    model = classifier(dtype)
    return Watched(model, make(list(model.parameters())))


def worst(run, steps=12, **options):
    return max(drift.residual for _ in range(steps) for drift in run.drifts(**options))


def total(drift):
    return drift.predicted + (0 if drift.unexplained is None else drift.unexplained)


@precisions
@pytest.mark.parametrize("name", [*KNOWN, *ORTHOGONAL])
def test_nothing_is_unexplained(name, dtype):
    assert worst(watched((KNOWN | ORTHOGONAL)[name], dtype)) < BOUND[dtype]


@pytest.mark.parametrize("name", [*ALL, *ORTHOGONAL])
def test_the_parts_add_up_to_the_change_of_the_values(name):
    run = watched((ALL | ORTHOGONAL)[name])
    run.run(3)
    before = [law.value(dict(run.model.named_parameters())).detach() for law in LAWS]
    drifts = run.drifts()
    for law, old, drift in zip(LAWS, before, drifts, strict=True):
        new = law.value(dict(run.model.named_parameters())).detach()
        torch.testing.assert_close(drift.observed, new - old, rtol=0, atol=1e-12)
        torch.testing.assert_close(total(drift), drift.observed, rtol=0, atol=1e-12)
        torch.testing.assert_close(drift.value, old, rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", [*ALL, *ORTHOGONAL])
def test_the_gradient_identity_holds_under_every_optimizer(name):
    run = watched((ALL | ORTHOGONAL)[name])
    assert max(drift.identity for _ in range(5) for drift in run.drifts()) < EXACTLY


def test_plain_descent_moves_a_quadratic_law_by_the_square_of_the_step():
    run = watched(ALL["sgd"])
    run.run(2)
    drifts = run.drifts()
    grads = {name: p.grad for name, p in run.model.named_parameters()}
    for law, drift in zip(LAWS[:2], drifts, strict=False):
        assert float(drift.gradient.norm()) > 1e-6
        torch.testing.assert_close(drift.gradient, 0.01 * law.value(grads), rtol=0, atol=1e-14)
    assert float(drifts[2].gradient.abs().max()) < 1e-15
    assert float(drifts[2].momentum.abs().max() + drifts[2].decay.abs().max()) == 0


@pytest.mark.parametrize(("name", "shrinks"), [("coupled decay", 0.005), ("decoupled decay", 0.005)])
def test_decay_shrinks_a_law_by_its_degree(name, shrinks):
    for law, drift in zip(LAWS, watched(ALL[name]).drifts(), strict=True):
        expected = ((1 - shrinks) ** law.degree - 1) * drift.value
        torch.testing.assert_close(drift.decay, expected, rtol=1e-12, atol=1e-15)


def test_the_recursion_of_heavy_ball():
    """h+ = h + 2 beta p + q with p = theta^T A u and q = u+^T A u+ (u the displacement)."""
    run = watched(ALL["heavy ball"])
    run.run(4)
    state, named = run.optimizer.state, dict(run.model.named_parameters())
    theta = {n: p.detach().clone() for n, p in named.items()}
    old = {n: -0.05 * state[p]["momentum_buffer"] for n, p in named.items()}
    drifts = run.drifts()
    new = {n: p.detach() - theta[n] for n, p in named.items()}
    for law, drift in zip(LAWS[:2], drifts, strict=False):
        expected = 0.9 * law.derivative(theta, old) + law.value(new)
        torch.testing.assert_close(drift.gradient + drift.momentum, expected, rtol=0, atol=1e-13)
        assert float(drift.momentum.norm()) > 1e-5


def test_different_rates_move_a_law_at_first_order():
    run = watched(ALL["rates"])
    (first, *_), (same, *_) = run.drifts(), watched(ALL["sgd"]).drifts()
    assert float(first.gradient.norm()) > 3 * float(same.gradient.norm())
    assert first.residual < EXACTLY


@precisions
def test_schedules_clipping_and_accumulation_are_seen_through(dtype):
    run = watched(ALL["heavy ball"], dtype)
    schedule = torch.optim.lr_scheduler.StepLR(run.optimizer, 1, 0.8)

    def accumulate_and_clip():
        for _ in range(2):
            run.loss().backward()
        nn.utils.clip_grad_norm_(run.model.parameters(), 0.05)
        schedule.step()

    with pytest.warns(UserWarning, match="lr_scheduler.step"):
        run.drifts(accumulate_and_clip)
    for _ in range(5):
        for drift in run.drifts(accumulate_and_clip):
            assert drift.residual < BOUND[dtype]
            assert drift.identity < 100 * BOUND[dtype]


@pytest.mark.parametrize("name", ["adam", "adamw", "lion", "sign sgd", "sign", "rmsprop", "muon"])
def test_adaptive_methods_break_laws_at_first_order(name):
    run = watched((ALL | ORTHOGONAL)[name])
    run.run(2)
    drift = run.drifts()[0]
    assert float(drift.first.norm()) > 1e-4
    assert 0 < float(drift.second.norm()) < float(drift.first.norm())
    assert float(drift.gradient.norm()) == 0


@pytest.mark.parametrize("name", UNFORESEEN)
def test_an_optimizer_that_is_not_known_leaves_nothing_to_say(name):
    run = watched(UNFORESEEN[name])
    assert all(drift.residual is None for drift in run.drifts())


def test_the_decay_of_lion_is_known():
    drift = watched(ALL["lion"]).drifts()[0]
    torch.testing.assert_close(drift.decay, ((1 - 1e-4) ** 2 - 1) * drift.value, rtol=1e-10, atol=1e-15)


class Cautious(Lion):
    """A kin of Lion that says so in its options; the step is that of Lion, for what it says counts."""

    def __init__(self, params, lr, **option):
        super().__init__(params, lr)
        self.param_groups[0].update(option)


def named(base, name):
    return type(name, (base,), {})


@pytest.mark.parametrize("option", [{"cautious_factor": 0.5}, {"caution": True}])
def test_a_kin_of_lion_is_not_taken_for_lion(option):
    assert watched(lambda ps: named(Cautious, "Lion")(ps, 0.001)).drifts()[0].residual is not None
    assert watched(lambda ps: named(Cautious, "Lion")(ps, 0.001, **option)).drifts()[0].residual is None


def test_nor_is_one_that_divides_its_decay_or_keeps_its_mean_elsewhere():
    run = watched(lambda ps: Lion(ps, 0.001))
    run.optimizer.decoupled_wd = True
    assert run.drifts()[0].residual is None
    run = watched(lambda ps: named(Hidden, "SignSGD")(ps, 0.001, 0.9))
    assert run.drifts()[0].residual is None


class Hidden(SignSGD):
    """Keeps its mean to itself."""

    @torch.no_grad()
    def step(self):
        for p in self.param_groups[0]["params"]:
            p.sub_(p.grad.sign(), alpha=self.param_groups[0]["lr"])


def test_a_wrong_sign_is_unexplained():
    """Plant a fault: one entry moves the other way."""

    class Turned(Lion):
        @torch.no_grad()
        def step(self):
            super().step()
            self.param_groups[0]["params"][0][0, 0] += 2 * self.param_groups[0]["lr"]

    assert watched(lambda ps: named(Turned, "Lion")(ps, 0.001)).drifts()[0].residual > 1e-9


def test_a_sign_that_rounding_decides_is_left_open():
    mean, grad = torch.tensor([1.0, 1.0, 0.0]), torch.tensor([-9.0, -8.9, 0.0])
    options = {"lr": 0.1, "betas": (0.9, 0.99)}
    parts = Signs().parts(torch.zeros(3), grad, options, {"exp_avg": mean}, {"exp_avg": mean})
    assert parts.open.tolist() == [True, False, False]
    assert parts.direction[1:].tolist() == [pytest.approx(-0.1), 0]


def test_muon_in_low_precision_is_not_followed():
    run = watched(ORTHOGONAL["muon"], torch.bfloat16)
    assert [drift.residual for drift in run.drifts()] == [None] * len(LAWS)


def test_a_change_that_is_no_update_is_unexplained():
    class Sneaky(torch.optim.SGD):
        @torch.no_grad()
        def step(self, closure=None):
            super().step(closure)
            self.param_groups[0]["params"][0].mul_(1.001)

    assert worst(watched(lambda ps: Sneaky(ps, lr=0.1)), steps=1) > 1e-6


def test_what_is_not_a_law_fails_the_gradient_identity():
    wrong = replace(LAWS[0], parts=tuple((part, abs(c)) for part, c in LAWS[0].parts))
    drift = watched(ALL["sgd"]).drifts(laws=[wrong])[0]
    assert drift.identity > 1e-3
    assert drift.residual < EXACTLY


@pytest.mark.parametrize("degree", [1, 2, 3, 4, 5])
def test_changes_are_exact_at_every_degree(degree):
    monomials = [tuple(range(degree)), (0,) * degree, (1,), (2,) * (degree - 1) + (3,)]
    law = gl.laws("linear 1-2-1", degree=2).laws[0]
    law = replace(law, monomials=tuple(map(tuple, map(sorted, monomials))), coefficients=(3, 1, -2, 5))
    law = replace(law, shapes=(("a", (2, 3)),))
    start, step = torch.randn(2, 6, generator=generator(degree), dtype=torch.float64)
    start, step = (unflatten(x, dict(law.shapes)) for x in (start, step))
    end = {name: start[name] + step[name] for name in start}
    torch.testing.assert_close(change(law, start, step), law.value(end) - law.value(start), rtol=1e-12, atol=1e-12)


def test_small_changes_do_not_drown_in_large_values():
    start = {n: p.detach() for n, p in classifier().named_parameters()}
    step = {n: 1e-14 * torch.sin(torch.arange(p.numel()).double()).view_as(p) for n, p in start.items()}
    doubled = {n: 2 * s for n, s in step.items()}
    once, twice = (change(LAWS[0], start, s) for s in (step, doubled))
    torch.testing.assert_close(twice, 2 * once, rtol=1e-9, atol=0)


def test_names():
    assert touched(LAWS[0]) == entering(LAWS[0]) == ("0.weight", "0.bias", "2.weight")
    found = gl.laws("linear 1-2-1", degree=2).laws[0]
    assert touched(found) == ("W1", "W2")
    assert set(entering(found)) <= {"W1", "W2"}
    assert home(["a.b.w", "a.b.c.w"]) == "a.b"
    assert home(["w", "a.w"]) == ""


def test_live_parameters_know_their_twins_and_gains():
    model = nn.Sequential(nn.Linear(3, 3, bias=False), nn.LayerNorm(3), nn.Linear(3, 3, bias=False))
    model[2].weight = model[0].weight
    live = live_parameters(nn.DataParallel(model))
    assert live["0.weight"].twins == ("2.weight",)
    assert live["1.weight"].gain
    assert not live["1.bias"].gain
    model[2].weight = nn.Parameter(model[0].weight.data)
    assert live_parameters(model)["2.weight"].twins == ("0.weight",)


@pytest.mark.parametrize("option", [{"weight_decouple": False}, {"fixed_decay": True}, {"cautious": True}])
def test_lion_of_another_package_with_other_steps_is_not_followed(option):
    assert watched(lambda ps: named(Cautious, "Lion")(ps, 0.001, **option)).drifts()[0].residual is None
