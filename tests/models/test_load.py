"""``file.py:factory``: what it runs, and one sentence for everything that can be wrong with it."""

import os
import pickle
import sys

import pytest
import torch

import gradlaws as gl
from gradlaws.errors import InputError
from gradlaws.models.load import is_factory, load_factory

GOOD = """
import torch
from torch import nn

def make():
    return nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 1)), torch.ones(2)

def bare():
    return nn.Linear(2, 2)

def broken():
    raise RuntimeError("no data")

number = 3
"""


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "my_model_of_the_test.py"
    path.write_text(GOOD)
    yield path
    sys.modules.pop(path.stem, None)


def test_a_factory_is_called_and_its_laws_are_found(file):
    module, inputs = load_factory(f"{file}:make")
    assert torch.equal(inputs, torch.ones(2))
    assert gl.count(module, inputs).upper == 2


@pytest.mark.parametrize(
    ("text", "yes"), [("a.py:make", True), ("dir/a.py:f", True), ("relu 2-3-2", False), ("a.py", False)]
)
def test_a_factory_is_known_by_its_form(text, yes):
    assert is_factory(text) is yes


WRONG = {
    "no function": (":mak", r"has no function 'mak': expected one that returns \(module, example_inputs\)"),
    "no callable": (":number", "has no function 'number'"),
    "a failure": (":broken", r"broken\(\) in .* failed: RuntimeError: no data"),
    "no inputs": (":bare", r"bare\(\) in .* returned Linear: expected \(module, example_inputs\)"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_factory_is_refused(file, name):
    suffix, sentence = WRONG[name]
    with pytest.raises(InputError, match=sentence):
        load_factory(f"{file}{suffix}")


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"no file '.*none.py': expected a Python file with a function that returns"):
        load_factory(f"{tmp_path / 'none.py'}:make")


def test_a_file_that_fails_is_refused(tmp_path):
    path = tmp_path / "fails_in_the_test.py"
    path.write_text("import nothing_of_that_name")
    with pytest.raises(InputError, match=r"fails_in_the_test.py failed: ModuleNotFoundError: No module named"):
        load_factory(f"{path}:make")


class Trap:
    """Makes a folder when it is unpickled."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path,)


def test_nothing_is_unpickled(tmp_path):
    path, trap = tmp_path / "pickled_in_the_test.py", tmp_path / "sprung"
    path.write_bytes(pickle.dumps(Trap(trap)))
    with pytest.raises(InputError, match=r"pickled_in_the_test.py failed"):
        load_factory(f"{path}:make")
    assert not trap.exists()
    pickle.loads(path.read_bytes())
    assert trap.exists()
