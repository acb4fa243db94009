"""Faults planted in real runs are named, and sound runs are left alone."""

import copy
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn.functional import linear, relu

import gradlaws as gl
from gradlaws.laws.contraction import Contraction
from gradlaws.laws.gram import GramLaw
from gradlaws.training.diagnose import (
    ASYMMETRIC,
    AVERAGED,
    CAUSES,
    CLIPPED,
    DIVERGED,
    FROZEN,
    GAIN,
    MISSING,
    ROUNDING,
    SURGERY,
    TIED,
    TWICE,
)
from tests.training.runs import ALL, LAWS, ORTHOGONAL, Loop, classifier

FOLLOWED = ["sgd", "heavy ball", "nesterov", "coupled decay", "decoupled momentum", "adam", "adamw", "rmsprop"]
several = pytest.mark.parametrize("optimizer", ["sgd", "heavy ball", "adamw", "rmsprop", "lion"])
followed = pytest.mark.parametrize("optimizer", ["sgd", "heavy ball", "decoupled momentum", "adamw"])


def start(optimizer, dtype=torch.float32):
    model = classifier(dtype)
    return Loop(model, ALL[optimizer](list(model.parameters())))


def found(loop, steps=6, every=1, laws=LAWS, **hooks):
    with gl.track(loop.model, loop.optimizer, laws=laws, every=every) as tracker:
        loop.run(steps, **hooks)
    assert tracker.recorded == -(-steps // every)
    return tracker.findings


def causes(findings):
    return {finding.cause for finding in findings}


def named(findings, cause):
    """The tensors that a cause is said of, and nothing but that cause."""
    assert causes(findings) == {cause}
    return {name for finding in findings for name in finding.tensors.split(", ")}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("optimizer", sorted(ALL))
def test_a_sound_run_raises_no_alarm(optimizer, dtype):
    assert found(start(optimizer, dtype), steps=40) == []


@pytest.mark.parametrize("optimizer", ["sgd", "heavy ball", "adamw"])
def test_a_longer_sound_run_raises_no_alarm(optimizer):
    assert found(start(optimizer), steps=300, every=50) == []


def test_clipping_by_one_norm_accumulation_and_a_schedule_raise_no_alarm():
    loop = start("heavy ball")

    def clip():
        loop.loss().backward()
        nn.utils.clip_grad_norm_(loop.model.parameters(), 0.1)

    def cool():
        loop.optimizer.param_groups[0]["lr"] *= 0.95

    assert found(loop, steps=40, before_step=clip, between=cool) == []


def test_muon_without_its_biases_is_told_so():
    loop = Loop(model := classifier(torch.float32), ORTHOGONAL["muon"](list(model.parameters())))
    assert named(found(loop), MISSING) == {"0.bias", "2.bias"}


@several
def test_clipping_tensor_by_tensor(optimizer):
    loop = start(optimizer)

    def clip():
        for p in loop.model.parameters():
            nn.utils.clip_grad_norm_([p], 0.05)

    findings = found(loop, before_step=clip)
    assert "0.weight" in named(findings, CLIPPED)
    assert findings[0].step == 1
    assert findings[0].law == 0
    assert "tensor by tensor (0.weight by" in findings[0].text


@several
def test_a_hook_on_one_gradient(optimizer):
    loop = start(optimizer)
    loop.model[2].weight.register_hook(lambda grad: 3 * grad)
    (first, *_) = findings = found(loop)
    assert causes(findings) == {CLIPPED}
    assert "2.weight by 1" in first.text
    assert "0.weight by 0.33" in first.text


@several
def test_weights_tied_after_the_laws_were_found(optimizer):
    model = nn.Sequential(
        nn.Linear(64, 12), nn.ReLU(), nn.Linear(12, 12), nn.ReLU(), nn.Linear(12, 12), nn.ReLU(), nn.Linear(12, 10)
    )
    laws = gl.laws(model, torch.zeros(2, 64), lower_only=True).laws
    assert len(laws) == 3
    model[4].weight = model[2].weight
    loop = Loop(model, ALL[optimizer](list(model.parameters())))
    findings = found(loop, laws=laws)
    assert causes(findings) == {TIED}
    assert "2.weight is tied to 4.weight" in findings[0].text


@followed
def test_two_parameters_in_one_memory(optimizer):
    model = nn.Sequential(
        nn.Linear(64, 12), nn.ReLU(), nn.Linear(12, 12), nn.ReLU(), nn.Linear(12, 12), nn.ReLU(), nn.Linear(12, 10)
    )
    laws = gl.laws(model, torch.zeros(2, 64), lower_only=True).laws
    model[4].weight.data = model[2].weight.data
    loop = Loop(model, ALL[optimizer](list(model.parameters())))
    assert {"2.weight", "4.weight"} <= named(found(loop, laws=laws), TIED)


class UsedTwice(nn.Module):
    """The same square matrix in two layers, which no name tells."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(1)
        self.a, self.b, self.c = nn.Linear(64, 12), nn.Linear(12, 12, bias=False), nn.Linear(12, 10)
        self.again = True

    def forward(self, x):
        hidden = relu(self.b(relu(self.a(x))))
        return self.c(relu(linear(hidden, self.b.weight)) if self.again else hidden)


def test_a_weight_used_in_a_second_place():
    model = UsedTwice()
    model.again = False
    laws = gl.laws(model, torch.zeros(2, 64), lower_only=True).laws
    model.again = True
    loop = Loop(model, ALL["sgd"](list(model.parameters())))
    findings = found(loop, laws=laws)
    assert "b.weight" in named(findings, ASYMMETRIC)
    assert "used in a second place (tied weights)" in findings[0].text


def test_a_penalty_in_the_loss():
    loop = start("sgd")
    plain = loop.loss
    loop.loss = lambda: plain() + 0.01 * loop.model[0].weight.square().sum()
    assert "0.weight" in named(found(loop), ASYMMETRIC)


def test_the_laws_are_tied_when_the_model_was():
    """The laws of a tied model hold for it: no alarm."""
    model = nn.Sequential(
        nn.Linear(64, 12), nn.ReLU(), nn.Linear(12, 12), nn.ReLU(), nn.Linear(12, 12), nn.Linear(12, 10)
    )
    model[4].weight = model[2].weight
    loop = Loop(model, ALL["sgd"](list(model.parameters())))
    laws = gl.laws(model, torch.zeros(2, 64), lower_only=True).laws
    assert laws
    assert found(loop, laws=laws) == []


@several
@pytest.mark.parametrize("every", [1, 5])
def test_a_second_optimizer_on_the_same_weights(optimizer, every):
    loop = start(optimizer)
    second = torch.optim.SGD([loop.model[0].weight], lr=0.05)
    findings = found(loop, steps=12, every=every, between=second.step)
    assert named(findings, TWICE) == {"0.weight"}
    assert "a second optimizer" in findings[0].text


@several
@pytest.mark.parametrize("every", [1, 5])
def test_two_steps_for_each_backward(optimizer, every):
    loop = start(optimizer)
    findings = found_with_extra(loop, every)
    assert "0.weight" in named(findings, TWICE)
    assert "optimizer.step() runs twice for each backward pass" in findings[0].text


def found_with_extra(loop, every):
    with gl.track(loop.model, loop.optimizer, laws=LAWS, every=every) as tracker:
        loop.run(8, between=loop.optimizer.step)
    return tracker.findings


@pytest.mark.parametrize("base", [torch.optim.SGD, torch.optim.AdamW])
def test_a_step_that_updates_twice(base):
    class Twice(base):
        def step(self, closure=None):
            super().step(closure)
            return super().step()

    model = classifier(torch.float32)
    loop = Loop(model, Twice(model.parameters(), lr=0.01))
    findings = found(loop)
    assert "0.weight" in named(findings, TWICE)
    assert "times what the optimizer's formula says" in findings[0].text


def test_a_parameter_listed_twice():
    model = classifier(torch.float32)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    optimizer.param_groups[0]["params"].append(model[0].weight)
    findings = found(Loop(model, optimizer))
    assert named(findings, TWICE) == {"0.weight"}
    assert "holds 0.weight 2 times" in findings[0].text


@several
def test_a_parameter_that_the_optimizer_lacks(optimizer):
    model = classifier(torch.float32)
    kept = [p for name, p in model.named_parameters() if name != "2.weight"]
    findings = found(Loop(model, ALL[optimizer](kept)))
    assert named(findings, MISSING) == {"2.weight"}
    assert {finding.law for finding in findings} <= {0, 1}
    assert "is in no group of this optimizer" in findings[0].text


@several
def test_a_frozen_parameter(optimizer):
    loop = start(optimizer)
    loop.model[0].bias.requires_grad_(False)
    findings = found(loop)
    assert named(findings, FROZEN) == {"0.bias"}
    assert "requires_grad=False" in findings[0].text


def test_a_detached_parameter():
    loop = start("sgd")
    model = loop.model
    loop.loss = lambda: linear(model[:4](loop.x), model[4].weight.detach(), model[4].bias).square().mean()
    findings = found(loop)
    assert "4.weight" in named(findings, FROZEN)
    assert "has no gradient" in findings[0].text


@several
@pytest.mark.parametrize("every", [1, 5])
def test_a_rescaling_between_steps(optimizer, every):
    """As QK-clip rescales queries and keys; seen although the steps around it are not recorded."""
    loop = start(optimizer)
    calls = []

    def clip():
        calls.append(1)
        if len(calls) == 3:
            with torch.no_grad():
                loop.model[2].weight.mul_(0.9)

    findings = found(loop, steps=11, every=every, between=clip)
    assert named(findings, SURGERY) == {"2.weight"}
    assert "after step 3, 2.weight changed by" in findings[0].text
    assert "multiplied by 0.9" in findings[0].text


@followed
def test_a_rescaling_within_the_step(optimizer):
    loop = start(optimizer)
    weight = loop.model[0].weight

    def clip(*_):
        weight.data.mul_(0.98)

    loop.optimizer.register_step_post_hook(clip)
    findings = found(loop)
    assert named(findings, SURGERY) == {"0.weight"}
    assert "during the step 0.weight is multiplied by 0.98" in findings[0].text


@several
def test_an_average_of_weights_copied_in(optimizer):
    loop = start(optimizer)
    average = copy.deepcopy(loop.model)
    calls = []

    @torch.no_grad()
    def swap():
        calls.append(1)
        for mean, p in zip(average.parameters(), loop.model.parameters(), strict=True):
            mean.lerp_(p, 0.05)
            if len(calls) == 15:
                p.copy_(mean)

    findings = found(loop, steps=21, every=10, between=swap)
    assert "0.weight" in named(findings, AVERAGED)
    assert "after step 15" in findings[0].text


def test_something_else_that_writes_to_the_weights():
    loop = start("sgd")

    @torch.no_grad()
    def noise():
        loop.model[0].weight.add_(torch.randn(12, 64), alpha=0.01)

    assert named(found(loop, between=noise), SURGERY) == {"0.weight"}


def test_one_entry_that_no_sample_holds_is_seen_by_its_law():
    loop = start("sgd")

    @torch.no_grad()
    def poke():
        loop.model[0].weight[3, 2] += 0.1

    findings = found(loop, between=poke)
    assert causes(findings) == {SURGERY}
    assert "0.weight" in findings[0].tensors


class Normed(nn.Module):
    """An RMSNorm with a gain, before a matrix."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(2)
        self.embed, self.norm, self.out = nn.Linear(64, 12), nn.RMSNorm(12), nn.Linear(12, 10)

    def forward(self, x):
        return self.out(self.norm(self.embed(x)))


GAIN_LAW = GramLaw(((Contraction("norm.weight", 0, 1), 1), (Contraction("out.weight", 1, 2), -1)), 12, "diagonal")


@pytest.mark.parametrize("make", [torch.optim.SGD, torch.optim.AdamW])
def test_decay_on_a_gain(make):
    model = Normed()
    findings = found(Loop(model, make(model.parameters(), lr=0.01, weight_decay=0.1)), laws=[GAIN_LAW])
    assert named(findings, GAIN) == {"norm.weight"}
    assert "put gains into a group with weight_decay=0" in findings[0].text


def test_no_decay_on_a_gain():
    model = Normed()
    matrices = [p for p in model.parameters() if p.dim() > 1]
    others = [p for p in model.parameters() if p.dim() < 2]
    groups = [{"params": matrices, "weight_decay": 0.1}, {"params": others, "weight_decay": 0.0}]
    assert found(Loop(model, torch.optim.AdamW(groups, lr=0.01)), laws=[GAIN_LAW]) == []


def test_autocast_is_the_likely_cause_of_a_small_breach():
    loop = start("sgd")
    plain = loop.loss

    def low():
        with torch.autocast("cpu", torch.bfloat16):
            return plain()

    loop.loss = low
    assert ROUNDING in causes(found(loop))
    assert causes(found(loop)) == {ROUNDING}


@several
@pytest.mark.parametrize("at", [2, 4])
def test_a_run_that_diverges(optimizer, at):
    """Weights that are not numbers are neither frozen nor operated on."""
    loop, calls = start(optimizer), []

    def explode():
        calls.append(1)
        if len(calls) == at:
            loop.model[2].weight.grad.fill_(float("inf" if at == 2 else "nan"))

    findings = found(loop, before_step=explode)
    assert [(finding.cause, finding.step) for finding in findings] == [(DIVERGED, at)]
    assert "is not finite any more" in findings[0].text


def test_every_cause_is_planted_above():
    text = Path(__file__).read_text()
    names = {name for name, value in globals().items() if isinstance(value, str) and value in CAUSES}
    assert len(names) == len(CAUSES)
    assert all(text.count(name) > 1 for name in names)
