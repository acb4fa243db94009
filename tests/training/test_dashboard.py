"""What is recorded arrives in TensorBoard and in W&B, both real, and neither harms training or the user's own rows."""

import importlib
import warnings
from pathlib import Path

import pytest

import gradlaws as gl
from gradlaws.errors import InputError
from gradlaws.training.dashboard import KINDS
from gradlaws.training.find import TrackingWarning
from tests.training.runs import LAWS, start


def quietly(name):
    """Imports of others may warn."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return importlib.import_module(name)


def test_tensorboard(tmp_path):
    writer = quietly("torch.utils.tensorboard").SummaryWriter(str(tmp_path))
    loop = start("sgd")
    loop.model[0].bias.requires_grad_(False)
    with gl.track(loop.model, loop.optimizer, laws=LAWS, every=2, log_to=writer) as tracker:
        loop.run(5)
    events = quietly("tensorboard.backend.event_processing.event_accumulator").EventAccumulator(str(tmp_path))
    events.Reload()
    tags = {f"gradlaws/{kind}{end}" for kind in KINDS for end in ("", "/across modules", "/4")}
    assert set(events.Tags()["scalars"]) == tags
    drift = events.Scalars("gradlaws/drift")
    assert [event.step for event in drift] == [1, 3, 5]
    assert drift[-1].value == pytest.approx(max(record.drift for record in tracker.latest), rel=1e-6)
    assert events.Scalars("gradlaws/drift/4")[-1].value == pytest.approx(tracker.latest[2].drift, rel=1e-6)
    (text,) = events.Tensors("gradlaws/findings/text_summary")
    assert text.step == 1
    assert b"frozen parameter: 0.bias" in text.tensor_proto.string_val[0]
    writer.close()


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A real run of W&B, offline."""
    for name, value in {"WANDB_SILENT": "true", "WANDB_DIR": str(tmp_path), "WANDB_MODE": "offline"}.items():
        monkeypatch.setenv(name, value)
    wandb = quietly("wandb")
    settings = wandb.Settings(console="off", x_disable_stats=True, x_disable_meta=True, disable_git=True)
    run = wandb.init(project="laws", settings=settings)
    yield run
    wandb.teardown()


def written(run):
    """The file of an offline run, as bytes."""
    run.finish()
    quietly("wandb").teardown()  # or some of it is not written yet
    (file,) = Path(run.dir).parent.glob("*.wandb")
    return file.read_bytes()


def test_wandb_keeps_its_rows_and_ours(run):
    loop = start("sgd")
    rows = []
    with gl.track(loop.model, loop.optimizer, laws=LAWS, every=1, log_to=[run]) as tracker:
        for step in range(4):
            loop.run(1)
            run.log({"loss": 10.5 + step}, step=step)
            rows.append(run.step)
    assert rows == [0, 1, 2, 3]  # completed by the user's next row, or at the end
    contents = written(run)
    assert all(f"{10.5 + step}".encode() in contents for step in range(4))
    assert contents.count(b"gradlaws/identity/4") >= 4
    assert str(max(record.drift for record in tracker.latest)).encode() in contents


def test_wandb_without_rows_of_the_user_keeps_all_of_ours(run):
    loop = start("sgd")
    with gl.track(loop.model, loop.optimizer, laws=LAWS, every=2, log_to=run):
        loop.run(7)
    assert run.step == 3
    assert written(run).count(b"gradlaws/unexplained/4") >= 4


class Failing:
    """A dashboard whose disk is full."""

    def __init__(self):
        self.calls = 0

    def add_scalar(self, *_):
        self.calls += 1
        raise OSError(28, "No space left on device")


def test_a_dashboard_that_fails_is_left_alone():
    loop, writer = start("sgd"), Failing()
    with (
        pytest.warns(TrackingWarning, match="No space left.*Training and tracking go on without the dashboard") as seen,
        gl.track(loop.model, loop.optimizer, laws=LAWS, every=1, log_to=writer) as tracker,
    ):
        loop.run(4)
    assert (len(seen), writer.calls, tracker.recorded) == (1, 1, 4)


def test_something_else_is_refused():
    loop = start("sgd")
    with pytest.raises(InputError, match=r"log_to=str: expected a SummaryWriter of TensorBoard"):
        gl.track(loop.model, loop.optimizer, laws=LAWS, log_to=["run"])
