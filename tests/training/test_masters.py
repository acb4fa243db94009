"""Weights in low precision that are trained by copies in higher precision: the copies are what is read."""

import pytest
import torch

import gradlaws as gl
from gradlaws.training.diagnose import ROUNDING
from gradlaws.training.names import live_parameters
from tests.training.runs import LAWS, Loop, classifier
from tests.training.test_diagnose import causes, found, named


def low_precision(held):
    """Weights in bfloat16, trained by copies in float32."""
    torch.manual_seed(0)
    model = classifier(torch.bfloat16)
    masters = [torch.nn.Parameter(p.detach().float()) for p in model.parameters()]
    optimizer = torch.optim.SGD(masters if held else model.parameters(), lr=1e-3, momentum=0.9)
    loop = Loop(model, optimizer)

    def upwards():
        for master, p in zip(masters, model.parameters(), strict=True):
            master.grad = p.grad.float()

    def downwards():
        for master, p in zip(masters, model.parameters(), strict=True):
            p.data.copy_(master)

    options = {"before_step": upwards, "between": downwards} if held else {}
    with gl.track(model, optimizer, laws=LAWS, every=1) as tracker:
        loop.run(5, **options)
    return tracker


def test_master_copies_of_the_optimizer_are_read():
    masters, plain = low_precision(held=True), low_precision(held=False)
    assert {finding.cause for finding in plain.findings} >= {"low precision rounding"}
    exact, rounded = (max(record.unexplained for record in t.latest) for t in (masters, plain))
    assert exact < rounded / 10
    assert not any("missing" in finding.cause or "frozen" in finding.cause for finding in masters.findings)


def test_a_tensor_that_only_looks_like_a_master_is_none():
    model = classifier(torch.bfloat16)
    other = [torch.nn.Parameter(p.detach().float() + 1) for p in model.parameters()]
    live = live_parameters(model, [torch.optim.SGD(other, lr=0.1)])
    assert all(one.parameter is p for one, p in zip(live.values(), model.parameters(), strict=True))


class Keeping(torch.optim.SGD):
    """Keeps the master copies in its state."""

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            for p in group["params"]:
                master = self.state[p].setdefault("copy", p.detach().float())
                master.sub_(p.grad.float(), alpha=group["lr"])
                p.copy_(master)


def test_masters_in_the_state_are_read():
    model = classifier(torch.bfloat16)
    loop = Loop(model, Keeping(model.parameters(), lr=1e-3))
    loop.run(1)
    with gl.track(model, loop.optimizer, laws=LAWS, every=1) as tracker:
        loop.run(4)
    assert max(record.unexplained for record in tracker.latest) < 1e-7
    assert not any("update" in finding.text for finding in tracker.findings)


@pytest.mark.parametrize("shift", [0.0, 1.0])
def test_what_only_looks_like_a_master_in_the_state_is_none(shift):
    class Shifted(Keeping):
        def step(self, closure=None):
            super().step()
            for state in self.state.values():
                state["copy"].add_(shift)

    model = classifier(torch.bfloat16)
    loop = Loop(model, Shifted(model.parameters(), lr=1e-3))
    loop.run(1)
    with gl.track(model, loop.optimizer, laws=LAWS, every=1) as tracker:
        loop.backward()
        loop.optimizer.register_step_pre_hook(lambda *_: seen.append(tracker._probe.before["0.weight"].master))
        seen = []
        loop.optimizer.step()
    assert set(seen) == ({None} if shift else {"copy"})


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_weights_in_low_precision(dtype):
    model = classifier(dtype)
    loop = Loop(model, torch.optim.SGD(model.parameters(), lr=1e-3))
    findings = found(loop)
    assert ROUNDING in causes(findings)
    assert causes(findings) == {ROUNDING}
    assert "0.weight" in named(findings, ROUNDING)
