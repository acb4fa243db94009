"""Tracking leaves training as it is, to the last bit, and never ends it; and it records what really happened."""

import copy
import random

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

import gradlaws as gl
from gradlaws.errors import InputError
from gradlaws.training import store as stores
from tests.training.runs import ALL, KNOWN, LAWS, Loop, classifier, start


def noisy(dropout=0.3):
    torch.manual_seed(3)
    return nn.Sequential(
        nn.Linear(64, 16),
        nn.BatchNorm1d(16),
        nn.ReLU(),
        nn.Dropout(dropout),
        nn.Linear(16, 12),
        nn.ReLU(),
        nn.Linear(12, 10),
    )


def bits(model, optimizer):
    """Everything that a run is made of, as bytes."""
    tensors = [*model.state_dict().values(), *(p.grad for p in model.parameters() if p.grad is not None)]
    tensors += [x for state in optimizer.state.values() for x in state.values() if isinstance(x, torch.Tensor)]
    blob = [x.detach().reshape(-1).view(torch.uint8).numpy().tobytes() for x in tensors if x.numel()]
    modes = [part.training for part in model.modules()]
    return blob, torch.get_rng_state().tolist(), random.getstate(), str(np.random.get_state()), modes


def trained(model, make, tracked, **options):
    torch.manual_seed(4)
    random.seed(4)
    np.random.seed(4)
    loop = Loop(model, make(list(model.parameters())))
    if tracked:
        with gl.track(model, loop.optimizer, torch.zeros(2, 64), **options) as tracker:
            loop.run(12)
        assert tracker.recorded
        assert tracker.laws
    else:
        loop.run(12)
    return bits(model, loop.optimizer)


@pytest.mark.parametrize("make", [noisy, lambda: classifier(torch.float32)], ids=["noisy", "plain"])
@pytest.mark.parametrize("optimizer", ["all of torch", "nesterov foreach", "adamw", "lion"])
def test_training_is_the_same_to_the_last_bit(optimizer, make, tmp_path):
    plain = trained(make(), ALL[optimizer], tracked=False)
    for every in (1, 5):
        assert trained(make(), ALL[optimizer], tracked=True, every=every, store=tmp_path / "run.db") == plain


def test_a_planted_difference_is_seen():
    model = classifier()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    before = bits(model, optimizer)
    assert bits(model, optimizer) == before
    torch.rand(1)
    assert bits(model, optimizer) != before


@pytest.mark.parametrize("optimizer", [*KNOWN])
def test_the_long_run_is_the_sum_of_the_predictions(optimizer):
    """Tier (c), every step recorded: the drift of 60 steps is the forecast."""
    loop = start(optimizer)
    before = [law.value(dict(loop.model.named_parameters())).detach() for law in LAWS]
    with gl.track(loop.model, loop.optimizer, laws=LAWS, every=1) as tracker:
        loop.run(60)
    for law, old, record in zip(LAWS, before, tracker.latest, strict=True):
        new = law.value(dict(loop.model.named_parameters())).detach()
        assert record.drift == pytest.approx(float((new - old).norm()) / record.scale, rel=1e-6, abs=1e-13)
        assert record.gap < 1e-12
        assert record.unexplained < 1e-12
    assert tracker.latest[0].drift > 1e-5
    assert tracker.findings == []


def test_with_gaps_the_forecast_is_an_estimate():
    loop = start("sgd")
    with gl.track(loop.model, loop.optimizer, laws=LAWS, every=10) as tracker:
        loop.run(191)
    assert tracker.recorded == 20
    record = tracker.latest[0]
    assert 0.3 < record.forecast / record.drift < 3
    assert record.gap > 1e-12


def test_float32_is_explained_to_single_precision():
    loop = start("nesterov", torch.float32)
    with gl.track(loop.model, loop.optimizer, laws=LAWS, every=1) as tracker:
        loop.run(50)
    assert max(record.unexplained for record in tracker.latest) < 1e-5
    assert max(record.gap for record in tracker.latest) < 1e-4


def test_laws_are_found_with_the_loss():
    loop = start("sgd")
    inputs = torch.zeros(2, 64, dtype=torch.float64)
    plain = gl.track(loop.model, loop.optimizer, inputs)
    classes = gl.track(loop.model, loop.optimizer, inputs, loss="cross_entropy")
    assert sum(law.count for law in plain.laws) == 24
    assert sum(law.count for law in classes.laws) == 24 + 13


class Tokens(nn.Module):
    """A table of tokens before two layers."""

    def __init__(self):
        super().__init__()
        self.table, self.one, self.two = nn.Embedding(9, 4), nn.Linear(4, 5), nn.Linear(5, 3)

    def forward(self, tokens):
        return self.two(torch.relu(self.one(self.table(tokens))))


def test_laws_of_rows_that_the_example_does_not_use_are_left_out():
    model, tokens = Tokens(), torch.tensor([[0, 1]])
    every = gl.laws(model, tokens, lower_only=True).laws
    tracker = gl.track(model, torch.optim.SGD(model.parameters(), lr=0.1), tokens)
    left = [law.text for law in every if law not in tracker.laws]
    assert all("table" in text for text in left)
    assert not any("table" in law.text for law in tracker.laws if law.kind == "frozen")
    assert tracker.laws


def test_what_is_recorded_is_stored(tmp_path):
    path = tmp_path / "run.db"
    loop = start("adamw")
    for name in ("one", "two"):
        with gl.track(loop.model, loop.optimizer, laws=LAWS, every=4, store=path, name=name) as tracker:
            loop.run(10)
            assert stores.runs(path)[-1].finished is None
    first, second = stores.runs(path)
    assert (first.name, second.name, second.optimizer, second.every) == ("one", "two", "AdamW", 4)
    assert second.finished >= second.started
    assert [law.text for law in stores.laws(path, 1)] == [law.text for law in LAWS]
    assert [step.step for step in stores.steps(path, 2)] == [step for step in (1, 5, 9) for _ in LAWS]
    assert stores.steps(path, 2)[-3:] == tracker.latest
    assert tracker.steps == 10


def test_findings_are_stored_once(tmp_path):
    path = tmp_path / "run.db"
    loop = start("sgd")
    loop.model[0].bias.requires_grad_(False)
    with gl.track(loop.model, loop.optimizer, laws=LAWS, every=1, store=path) as tracker:
        loop.run(5)
    assert list(stores.findings(path, 1)) == tracker.findings
    assert len(tracker.findings) == 1


def test_the_hooks_are_gone_afterwards():
    loop = start()
    with gl.track(loop.model, loop.optimizer, laws=LAWS) as tracker:
        loop.run(1)
    loop.run(1)
    assert tracker.steps == 1
    assert not loop.optimizer._optimizer_step_pre_hooks
    assert not loop.optimizer._optimizer_step_post_hooks


def test_an_error_in_the_loop_is_the_loops_own(tmp_path):
    loop = start()

    def stumble():
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), gl.track(loop.model, loop.optimizer, laws=LAWS, store=tmp_path / "a.db"):
        loop.run(1, between=stumble)
    assert stores.runs(tmp_path / "a.db")[0].finished


def test_a_closure_is_looked_at_when_it_has_run():
    """As Lightning steps: the gradient of this step does not exist before the optimizer asks for it."""
    model = classifier()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    twin = copy.deepcopy(model)
    loop, plain = Loop(model, optimizer), Loop(twin, torch.optim.SGD(twin.parameters(), lr=0.05, momentum=0.9))

    def closure():
        loop.backward()
        return torch.tensor(1.5)

    with gl.track(model, optimizer, laws=LAWS, every=1) as tracker:
        for step in range(8):
            result = optimizer.step(closure) if step % 2 else optimizer.step(closure=closure)
            assert float(result) == 1.5
            assert max(record.unexplained for record in tracker.latest) < 1e-12
    plain.run(8)
    assert all(torch.equal(p, q) for p, q in zip(model.parameters(), twin.parameters(), strict=True))
    assert tracker.findings == []


def test_a_step_that_fails_is_not_the_last_one_seen():
    """As when a step runs out of memory and the loop tries again."""
    loop = start()
    failing = [True]

    def fail(*_):
        if failing.pop():
            raise MemoryError

    with gl.track(loop.model, loop.optimizer, laws=LAWS, every=1) as tracker:
        loop.optimizer.register_step_pre_hook(fail)
        with pytest.raises(MemoryError):
            loop.run(1)
        for _ in range(3):
            failing.append(False)
            loop.run(1)
    assert (tracker.steps, tracker.recorded) == (4, 3)
    assert tracker.findings == []


def test_what_happens_after_the_last_record_is_told_at_the_end(tmp_path):
    loop = start()
    with gl.track(loop.model, loop.optimizer, laws=LAWS, every=50, store=tmp_path / "run.db") as tracker:
        loop.run(5)
        loop.model[0].weight.data.mul_(0.5)
        loop.run(5)
        assert tracker.findings == []
    (finding,) = tracker.findings
    assert "after step 5, 0.weight changed" in finding.text
    assert finding.cause == "surgery on the weights"
    assert stores.findings(tmp_path / "run.db", 1) == (finding,)


def test_a_subclass_with_a_state_of_its_own_is_taken_as_unknown():
    class Other(torch.optim.Adam):
        @torch.no_grad()
        def step(self, closure=None):
            for p in self.param_groups[0]["params"]:
                p.sub_(p.grad, alpha=0.01)

    model = classifier()
    loop = Loop(model, Other(model.parameters()))
    with gl.track(model, loop.optimizer, laws=LAWS, every=1) as tracker:
        loop.run(3)
    assert all(record.unexplained is None for record in tracker.latest)
    assert tracker.findings == []


def test_gradient_scaling():
    model = classifier(torch.float32)
    loop = Loop(model, torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9))
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**10)
    with gl.track(model, loop.optimizer, laws=LAWS, every=1) as tracker:
        for step in range(6):
            model.zero_grad()
            scaler.scale(loop.loss() * (float("inf") if step == 3 else 1)).backward()
            scaler.step(loop.optimizer)
            scaler.update()
    assert tracker.steps == 5
    assert tracker.findings == []
    assert max(record.unexplained for record in tracker.latest) < 1e-5


def test_a_summary_says_what_happened():
    loop = start("sgd")
    with gl.track(loop.model, loop.optimizer, laws=LAWS, every=5) as tracker:
        loop.run(11)
    lines = tracker.summary().splitlines()
    assert lines[0] == "36 laws in 3 formulas, 11 steps, 3 recorded"
    assert lines[-1] == "  nothing unexpected was found"
    assert any(LAWS[0].text in line for line in lines)


@pytest.mark.parametrize("every", [0, -1, 2.5, True])
def test_every_is_a_positive_whole_number(every):
    loop = start()
    with pytest.raises(InputError, match="expected the number of steps between two records"):
        gl.track(loop.model, loop.optimizer, laws=LAWS, every=every)


@pytest.mark.parametrize("turns", [0, 1.0, False])
def test_turns_are_a_positive_whole_number(turns):
    loop = start()
    with pytest.raises(InputError, match="expected in how many records all laws have had their turn"):
        gl.track(loop.model, loop.optimizer, laws=LAWS, turns=turns)


def test_laws_take_turns(tmp_path):
    loop = start("sgd")
    path = tmp_path / "run.db"
    with gl.track(loop.model, loop.optimizer, laws=LAWS, every=1, store=path, turns=2) as tracker:
        loop.run(4)
    assert [(step.step, step.law) for step in stores.steps(path, 1)] == [(1, 0), (1, 1), (2, 2), (3, 0), (3, 1), (4, 2)]
    assert [(record.step, record.law) for record in tracker.latest] == [(3, 0), (3, 1), (4, 2)]
    assert tracker.findings == []


def test_laws_that_take_turns_are_all_diagnosed():
    loop = start("sgd")
    loop.model[4].weight.register_hook(lambda grad: 3 * grad)
    with gl.track(loop.model, loop.optimizer, laws=LAWS, every=1, turns=3) as tracker:
        loop.run(3)
    assert [(finding.step, finding.law) for finding in tracker.findings] == [(2, 1)]


def test_laws_or_example_inputs_are_needed():
    loop = start()
    with pytest.raises(InputError, match="track needs example inputs"):
        gl.track(loop.model, loop.optimizer)


def test_only_the_tensors_of_laws_are_copied():
    loop = start("sgd")
    with gl.track(loop.model, loop.optimizer, laws=LAWS[:1], every=2) as tracker:
        loop.run(2)
        assert set(tracker._live) == {"0.weight", "0.bias", "2.weight"}
        assert tracker._probe is None
    assert cross_entropy(loop.model(loop.x), loop.y).isfinite()
