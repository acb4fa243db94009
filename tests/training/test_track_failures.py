"""Whatever goes wrong with tracking is one sentence, and training goes on as it would have."""

import copy
import resource
import warnings

import pytest
import torch
from torch import nn

import gradlaws as gl
from gradlaws.training import store as stores
from gradlaws.training.find import TrackingWarning
from tests.training.runs import LAWS, Loop, classifier, start


class Odd(nn.Module):
    """A model with no rule, and one without laws."""

    def __init__(self, operation):
        super().__init__()
        self.layer, self.operation = nn.Linear(64, 10), operation

    def forward(self, x):
        return self.operation(self.layer(x))


@pytest.mark.parametrize(
    ("operation", "sentence"),
    [(torch.lgamma, "lgamma"), (lambda y: y, "has no structured laws to track: training goes on unwatched")],
)
def test_a_model_without_laws_is_trained_nevertheless(operation, sentence):
    model = Odd(operation)
    loop = Loop(model, torch.optim.SGD(model.parameters(), lr=0.1))
    loop.loss = lambda: model(loop.x).square().mean()
    with pytest.warns(TrackingWarning, match=sentence):
        tracker = gl.track(model, loop.optimizer, torch.zeros(2, 64))
    before = model.layer.weight.detach().clone()
    with tracker:
        loop.run(3)
    assert not torch.equal(before, model.layer.weight)
    assert tracker.recorded == 0


def goes_on(sentence, loop, **options):
    """Tracking says one sentence; training gives what it gives without."""
    plain = copy.deepcopy(loop)
    plain.run(4)
    with (
        pytest.warns(TrackingWarning, match=sentence) as seen,
        gl.track(loop.model, loop.optimizer, **options) as tracker,
    ):
        loop.run(4)
    assert len(seen) == 1
    assert all(torch.equal(p, q) for p, q in zip(loop.model.parameters(), plain.model.parameters(), strict=True))
    return tracker


def test_the_law_of_another_model():
    other = gl.laws("relu 2-5-3").laws
    tracker = goes_on("1 of 4 laws are not of this model", start(), laws=[*LAWS, *other], every=1)
    assert (len(tracker.laws), tracker.recorded) == (3, 4)
    tracker = goes_on("1 of 1 laws are not of this model", start(), laws=other, every=1)
    assert tracker.recorded == 0


def test_a_store_that_cannot_be_written(tmp_path):
    tracker = goes_on("Training and tracking go on", start(), laws=LAWS, every=1, store=tmp_path / "no" / "run.db")
    assert tracker.recorded == 4


def test_a_store_of_another_version(tmp_path):
    path = tmp_path / "run.db"
    with gl.track(start().model, start().optimizer, laws=LAWS, store=path):
        pass
    connection = stores.sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    tracker = goes_on("is a store of version 99", start(), laws=LAWS, every=1, store=path)
    assert tracker.recorded == 4


def test_a_disk_that_fills_up(tmp_path):
    path = tmp_path / "run.db"
    loop = start()
    with gl.track(loop.model, loop.optimizer, laws=LAWS * 40, every=1, store=path) as tracker:
        pages = tracker._store.connection.execute("PRAGMA page_count").fetchone()[0]
        tracker._store.connection.execute(f"PRAGMA max_page_count = {pages}")
        with pytest.warns(TrackingWarning, match="the disk is full") as seen:
            loop.run(3)
    assert len(seen) == 1
    assert tracker.recorded == 3
    assert stores.runs(path)[0].finished is None


@pytest.mark.parametrize("place", ["/dev/full", "/proc/run.db", "."])
def test_places_that_take_no_store(place, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tracker = goes_on(
        "(cannot write the store|is not a store).*Training and tracking go on", start(), laws=LAWS, every=1, store=place
    )
    assert tracker.recorded == 4


def test_a_file_that_may_not_grow(tmp_path):
    """A limit of the system that a write meets in the middle of the run, as a full disk is met."""
    path, limit = tmp_path / "run.db", resource.getrlimit(resource.RLIMIT_FSIZE)
    loop = start()
    with gl.track(loop.model, loop.optimizer, laws=LAWS * 200, every=1, store=path) as tracker:
        loop.run(1)
        size = max(file.stat().st_size for file in tmp_path.iterdir())
        resource.setrlimit(resource.RLIMIT_FSIZE, (size + 1000, limit[1]))
        try:
            with pytest.warns(TrackingWarning, match="cannot write the store.*Training and tracking go on") as seen:
                loop.run(3)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    assert len(seen) == 1
    assert (tracker.recorded, tracker.steps) == (4, 4)
    assert {record.step for record in stores.steps(path, 1)} == {1}


def test_whatever_fails_within_is_one_sentence(monkeypatch):
    def fail(*_):
        raise MemoryError("no room")

    monkeypatch.setattr("gradlaws.training.track.diagnose", fail)
    tracker = goes_on("MemoryError: no room. Tracking stops, training goes on", start(), laws=LAWS, every=1)
    assert tracker.steps == 1


def test_a_diverged_run_goes_on():
    model = classifier(torch.float32)
    loop = Loop(model, torch.optim.SGD(model.parameters(), lr=1e20))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TrackingWarning)
        with gl.track(model, loop.optimizer, laws=LAWS, every=1) as tracker:
            loop.run(5)
    assert tracker.steps
    assert not model[0].weight.isfinite().all()
