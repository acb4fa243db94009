"""A stored run in the terminal."""

from dataclasses import replace

import pytest
from rich.console import Console
from typer.testing import CliRunner

import gradlaws as gl
from gradlaws import cli
from gradlaws.commands.terminal import INTERRUPTED
from gradlaws.errors import InputError
from gradlaws.report.watch import watch_view
from tests.training.runs import EXACT, LAWS, Loop, classifier


def run(path, name, laws=LAWS, freeze=False):
    model = classifier()
    loop = Loop(model, EXACT["sgd"](list(model.parameters())))
    model[0].bias.requires_grad_(not freeze)
    with gl.track(model, loop.optimizer, laws=laws, every=2, store=path, name=name):
        loop.run(4)


def text(*arguments, width=200):
    console = Console(width=width, record=True, quiet=False)
    with console.capture() as capture:
        console.print(watch_view(*arguments))
    return capture.get()


def test_the_last_run_or_any(tmp_path):
    path = tmp_path / "run.db"
    run(path, "sound")
    run(path, "frozen", freeze=True)
    assert "run 2, frozen: SGD, every 2, finished, step 3" in text(path)
    assert "frozen parameter: 0.bias is frozen" in text(path)
    first = text(path, 1)
    assert "run 1, sound" in first
    assert "nothing unexpected was found" in first
    assert all(law.text in first for law in LAWS)


def test_a_long_list_is_cut(tmp_path):
    path = tmp_path / "run.db"
    run(path, "many", [replace(LAWS[0]) for _ in range(25)])
    assert "and 5 that went less far" in text(path)


def test_a_run_that_is_not_there(tmp_path):
    path = tmp_path / "run.db"
    run(path, "one")
    with pytest.raises(InputError, match="has no run 7: it holds 1"):
        watch_view(path, 7)


def test_the_command(tmp_path):
    path = tmp_path / "run.db"
    run(path, "one")
    result = CliRunner().invoke(cli.app, ["watch", str(path)])
    assert result.exit_code == 0
    assert "run 1, one" in result.stdout
    assert LAWS[0].text in result.stdout.replace("\n", "")
    missing = CliRunner().invoke(cli.app, ["watch", str(tmp_path / "none.db")])
    assert missing.exit_code == 2
    assert "there is no store" in missing.stderr


def test_live_refreshes_until_interrupted(tmp_path, monkeypatch):
    path = tmp_path / "run.db"
    run(path, "one")
    naps = []

    def nap(seconds):
        naps.append(seconds)
        if len(naps) == 3:
            raise KeyboardInterrupt
        run(path, f"number {len(naps) + 1}")

    monkeypatch.setattr("gradlaws.commands.watch.time.sleep", nap)
    result = CliRunner().invoke(cli.app, ["watch", str(path), "--live"])
    assert result.exit_code == INTERRUPTED
    assert "number 3" in result.stdout
    assert "interrupted" in result.stderr
