"""The callbacks in the trainers of Lightning and Hugging Face: the same weights to the last bit, every step told."""

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("real_trainers.py")


@pytest.mark.parametrize("name", ["lightning", "transformers"])
def test_a_real_trainer_is_watched_and_not_disturbed(tmp_path, name):
    store = tmp_path / "run.db"
    command = [sys.executable, "-W", "ignore", SCRIPT, name, store]
    run = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300, cwd=tmp_path)
    assert run.returncode == 0, run.stderr[-2000:]
    assert "4 laws in 1 formulas, 16 steps, 16 recorded" in run.stdout
    assert "|body.0.weight[k,:]|^2 + body.0.bias[k]^2 - |body.2.weight[:,k]|^2" in run.stdout
    assert "nothing unexpected was found" in run.stdout
    assert store.exists()
