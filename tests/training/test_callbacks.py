"""The callbacks: Hugging Face's own dispatcher, and a Lightning trainer as far as a callback sees one."""

import sys
import types

import pytest
import torch
from transformers.trainer_callback import CallbackHandler, TrainerControl, TrainerState
from transformers.training_args import TrainingArguments

from gradlaws.errors import InputError
from gradlaws.training import store as stores
from gradlaws.training.callbacks import hugging_face_callback, lightning_callback, unwrapped
from tests.training.runs import LAWS, Both, Loop, classifier


class Wrapper:
    """As Lightning and Accelerate wrap optimizers."""

    def __init__(self, optimizer):
        self.optimizer = optimizer


def start():
    model = classifier()
    return Loop(model, torch.optim.SGD(model.parameters(), lr=0.1))


def dispatcher(loop, callback):
    optimizer = Wrapper(loop.optimizer)
    return CallbackHandler([callback], loop.model, None, optimizer, None)


@pytest.fixture
def arguments(monkeypatch):
    """Without the directories and devices that TrainingArguments looks for."""
    return TrainingArguments.__new__(TrainingArguments)


def test_hugging_face(arguments, tmp_path):
    path = tmp_path / "run.db"
    loop = start()
    callback = hugging_face_callback(laws=LAWS, every=2, store=path)
    handler, state, control = dispatcher(loop, callback), TrainerState(), TrainerControl()
    handler.on_train_begin(arguments, state, control)
    for _ in range(5):
        handler.on_step_begin(arguments, state, control)
        loop.run(1)
        handler.on_step_end(arguments, state, control)
    handler.on_train_end(arguments, state, control)
    assert callback.tracking.tracker.recorded == 3
    assert callback.tracking.findings == []
    assert stores.runs(path)[0].finished
    loop.run(1)
    assert callback.tracking.tracker.steps == 5


@pytest.fixture
def lightning(monkeypatch):
    """The one name that is needed of it."""
    package, module = types.ModuleType("lightning"), types.ModuleType("lightning.pytorch")
    module.Callback = type("Callback", (), {"state_key": property(lambda self: type(self).__qualname__)})
    monkeypatch.setitem(sys.modules, "lightning", package)
    monkeypatch.setitem(sys.modules, "lightning.pytorch", module)
    return module


class Trainer:
    """Calls callbacks as Lightning does, with the closure that its automatic optimization steps with."""

    def __init__(self, loop, callbacks):
        self.loop, self.callbacks, self.optimizers = loop, callbacks, [Wrapper(loop.optimizer)]

    def say(self, event, *more):
        for callback in self.callbacks:
            method = getattr(callback, event, None)
            if method:
                method(self, self.loop.model, *more)

    def fit(self, steps, fail=False):
        self.say("on_train_start")
        try:
            for _ in range(steps):
                self.loop.optimizer.step(self.closure)
            if fail:
                raise ZeroDivisionError
        except ZeroDivisionError as error:
            self.say("on_exception", error)
        else:
            self.say("on_train_end")

    def closure(self):
        self.loop.backward()


@pytest.mark.parametrize("fail", [False, True])
def test_lightning(lightning, tmp_path, fail):
    path = tmp_path / "run.db"
    callback = lightning_callback(laws=LAWS, every=1, store=path)
    assert isinstance(callback, lightning.Callback)
    trainer = Trainer(start(), [callback])
    trainer.fit(4, fail=fail)
    tracker = callback.tracking.tracker
    assert tracker.recorded == 4
    assert max(record.unexplained for record in tracker.latest) < 1e-12
    assert stores.runs(path)[0].finished
    assert not trainer.loop.optimizer._optimizer_step_pre_hooks


def test_lightning_with_two_optimizers(lightning):
    """Steps by hand, each optimizer its own: nothing is missing, nothing unexplained."""
    loop = start()
    weights = list(loop.model.parameters())
    loop.optimizer = Both(torch.optim.SGD(weights[:2], lr=0.1), torch.optim.AdamW(weights[2:], lr=0.01))
    callback = lightning_callback(laws=LAWS, every=1)
    trainer = Trainer(loop, [callback])
    trainer.optimizers = [Wrapper(optimizer) for optimizer in loop.optimizer.optimizers]
    trainer.say("on_train_start")
    loop.run(4)
    trainer.say("on_train_end")
    assert callback.tracking.findings == []
    assert callback.tracking.tracker.recorded == 4
    assert max(record.unexplained for record in callback.tracking.tracker.latest) < 1e-12


def test_a_second_fit_is_a_second_run(lightning, tmp_path):
    path = tmp_path / "run.db"
    callback = lightning_callback(laws=LAWS, every=1, store=path)
    trainer = Trainer(start(), [callback])
    trainer.fit(2)
    trainer.fit(3)
    assert [len(stores.steps(path, run.number)) for run in stores.runs(path)] == [6, 9]


@pytest.mark.parametrize(
    ("make", "library"), [(lightning_callback, "lightning"), (hugging_face_callback, "transformers")]
)
def test_a_library_that_is_not_there(make, library, monkeypatch):
    for name in (library, f"{library}.pytorch"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(InputError, match=f"{library} is not installed: pip install {library}, or use gradlaws.track"):
        make(laws=LAWS)


def test_wrappers_of_wrappers():
    optimizer = torch.optim.SGD(classifier().parameters(), lr=0.1)
    assert unwrapped(Wrapper(optimizer)) is optimizer
    assert unwrapped(optimizer) is optimizer
    with pytest.raises(InputError, match=r"cannot track int: expected a torch\.optim\.Optimizer"):
        unwrapped(3)
