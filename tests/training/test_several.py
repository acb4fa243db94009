"""Several optimizers on one model, as with the embedding on one and the rest on another."""

import pytest
import torch

import gradlaws as gl
from gradlaws.training import store as stores
from gradlaws.training.diagnose import MISSING, TWICE
from tests.training.runs import ALL, LAWS, Both, Loop, classifier


def started(first, second, split=2, seed=0):
    """The first parameters on one optimizer, the others on another: the first law is on both."""
    model = classifier(seed=seed)
    parameters = list(model.parameters())
    optimizers = [ALL[first](parameters[:split]), ALL[second](parameters[split:])]
    return Loop(model, Both(*optimizers)), optimizers


@pytest.mark.parametrize(("first", "second"), [("heavy ball", "sgd"), ("adamw", "nesterov decay"), ("rmsprop", "adam")])
def test_nothing_is_unexplained(first, second, tmp_path):
    loop, optimizers = started(first, second)
    twin, _ = started(first, second)
    with gl.track(loop.model, optimizers, laws=LAWS, every=1, store=tmp_path / "run.db") as tracker:
        loop.run(20)
    twin.run(20)
    assert all(torch.equal(p, q) for p, q in zip(loop.model.parameters(), twin.model.parameters(), strict=True))
    assert (tracker.steps, tracker.recorded) == (20, 20)
    assert tracker.findings == []
    assert max(record.unexplained for record in tracker.latest) < 1e-12
    assert max(record.gap for record in tracker.latest) < 1e-12
    names = [type(optimizer).__name__ for optimizer in optimizers]
    assert stores.runs(tmp_path / "run.db")[0].optimizer == " and ".join(names)


def test_matrices_on_muon_and_the_rest_on_adamw():
    model = classifier()
    parts = [[p for p in model.parameters() if (p.dim() == 2) == matrix] for matrix in (True, False)]
    optimizers = [torch.optim.Muon(parts[0], lr=0.01), torch.optim.AdamW(parts[1], lr=0.01)]
    with gl.track(model, optimizers, laws=LAWS, every=1) as tracker:
        Loop(model, Both(*optimizers)).run(5)
    assert tracker.findings == []
    assert tracker.latest[0].unexplained < 1e-12
    assert tracker.latest[0].first > 0


def test_one_of_them_alone_says_what_it_lacks():
    loop, optimizers = started("sgd", "sgd")
    with gl.track(loop.model, optimizers[0], laws=LAWS, every=1) as tracker:
        loop.run(3)
    assert {finding.cause for finding in tracker.findings} == {MISSING}


def test_a_parameter_on_both():
    loop, optimizers = started("sgd", "sgd")
    optimizers[1].add_param_group({"params": [loop.model[0].weight]})
    with gl.track(loop.model, optimizers, laws=LAWS, every=1) as tracker:
        loop.run(3)
    assert [(f.cause, f.tensors) for f in tracker.findings] == [(TWICE, "0.weight")]


def test_a_parameter_on_none():
    model = classifier()
    optimizers = [ALL["sgd"]([model[0].weight]), ALL["sgd"]([p for n, p in model.named_parameters() if n[0] != "0"])]
    with gl.track(model, optimizers, laws=LAWS, every=1) as tracker:
        Loop(model, Both(*optimizers)).run(3)
    assert {(f.cause, f.tensors) for f in tracker.findings} == {(MISSING, "0.bias")}


def test_a_step_that_one_of_them_skips_is_not_recorded():
    """As when gradient scaling finds an overflow in the gradients of one."""
    loop, optimizers = started("sgd", "heavy ball")
    with gl.track(loop.model, optimizers, laws=LAWS, every=1) as tracker:
        loop.run(2)
        loop.backward()
        optimizers[0].step()
        loop.run(2)
    assert (tracker.steps, tracker.recorded) == (5, 4)
    assert tracker.findings == []
    assert max(record.unexplained for record in tracker.latest) < 1e-12


def test_the_order_of_the_optimizers_does_not_matter():
    found = []
    for reverse in (False, True):
        loop, optimizers = started("sgd", "heavy ball")
        loop.optimizer = Both(*(optimizers[::-1] if reverse else optimizers))
        with gl.track(loop.model, optimizers, laws=LAWS, every=1) as tracker:
            loop.run(4)
        found.append([record.drift for record in tracker.latest])
    assert found[0] == found[1]
