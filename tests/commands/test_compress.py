"""``gradlaws compress``: safetensors in, safetensors out, and nothing lost when it goes wrong."""

import json
import os
import pickle
import re
import stat
from collections import OrderedDict

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import nn
from typer.testing import CliRunner

from gradlaws.cli import app
from gradlaws.models import weights as files
from tests.radials import PROFILES
from tests.radials import mlp as radial
from tests.samplers import generator
from tests.sequentials import mlp

ANSWERED, BAD_REQUEST = 0, 2

FACTORY = """
import torch
from torch import nn

def make():
    net = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 4, 2)).double()
    return net, (torch.zeros(2, 1, 4, 4, dtype=torch.float64),)
"""


def gradlaws(*arguments):
    result = CliRunner().invoke(app, ["compress", *map(str, arguments)])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


@pytest.fixture
def redundant(tmp_path):
    """A ReLU network with two units of layer 0 alike, under names of somebody else's."""
    net = mlp()
    with torch.no_grad():
        net[0].weight[8], net[0].bias[8] = 3 * net[0].weight[7], 3 * net[0].bias[7]
    path = tmp_path / "in.safetensors"
    names = {"0": "model.fc9", "2": "model.fc10", "4": "model.fc11"}
    tensors = {f"{names[n.split('.')[0]]}.{n.split('.')[1]}": p.detach() for n, p in net.named_parameters()}
    save_file(tensors, path, {"trained by": "me"})
    return net, path


def test_a_relu_network_by_its_activation(redundant, tmp_path):
    net, path = redundant
    out = tmp_path / "out.safetensors"
    before = path.read_bytes()
    result = gradlaws(path, out, "--activation", "relu")
    assert result.exit_code == ANSWERED
    assert result.stdout.startswith("4-12-10-3 -> 4-11-10-3\nparameters 223 -> 208\nlargest difference of outputs ")
    assert f"wrote {out}" in result.stdout
    made, x = load_file(out), torch.randn(9, 4, generator=generator(), dtype=torch.float64)
    hidden = torch.relu(x @ made["model.fc9.weight"].T + made["model.fc9.bias"])
    hidden = torch.relu(hidden @ made["model.fc10.weight"].T + made["model.fc10.bias"])
    torch.testing.assert_close(hidden @ made["model.fc11.weight"].T + made["model.fc11.bias"], net(x))
    assert path.read_bytes() == before
    with safe_open(out, "pt") as file:
        assert file.metadata() == {"trained by": "me", "gradlaws.activation": "relu"}
    assert stat.S_IMODE(os.stat(out).st_mode) == 0o644
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in.safetensors", "out.safetensors"]


@pytest.mark.parametrize("profile", PROFILES)
def test_radial_networks(tmp_path, profile):
    net = radial((2, 16, 64, 128, 16, 2), profile)
    save_file(net.state_dict(), tmp_path / "in.safetensors")
    result = gradlaws(tmp_path / "in.safetensors", tmp_path / "out.safetensors", "--activation", f"radial:{profile}")
    assert result.stdout.startswith("2-16-64-128-16-2 -> 2-3-4-5-6-2\nparameters 11,554 -> 100\n")
    assert {n: tuple(t.shape) for n, t in load_file(tmp_path / "out.safetensors").items()}["layers.4.weight"] == (2, 6)


def test_the_activation_is_remembered_and_the_answer_is_json(tmp_path):
    save_file(radial((1, 4, 4, 1), "sigmoid", biases=False).state_dict(), tmp_path / "in.safetensors")
    gradlaws(tmp_path / "in.safetensors", tmp_path / "a.safetensors", "--activation", "radial:sigmoid:0.5", "--quiet")
    result = gradlaws(tmp_path / "a.safetensors", tmp_path / "b.safetensors", "--reveal-rank", "--json")
    answer = json.loads(result.stdout)
    assert answer["before"] == {"0": 1, "1": 2, "2": 3, "3": 1}
    assert answer["after"] == {"0": 1, "1": 1, "2": 1, "3": 1}
    assert answer["parameters"] == [17, 6]
    assert answer["largest_difference"] < 1e-14
    assert answer["notes"] == []


def test_any_other_network_by_its_factory(tmp_path):
    (tmp_path / "net.py").write_text(FACTORY)
    net = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(16, 2)).double()
    net[0].weight.data[2], net[0].bias.data[2] = net[0].weight.data[1], net[0].bias.data[1]
    save_file(net.state_dict(), tmp_path / "in.safetensors")
    result = gradlaws(tmp_path / "in.safetensors", tmp_path / "out.safetensors", "--model", tmp_path / "net.py:make")
    assert "0: 1 copies" in result.stdout
    assert load_file(tmp_path / "out.safetensors")["3.weight"].shape == (2, 12)


QUIVER = """
import gradlaws as gl

def make():
    arrows = [("a", "c"), ("b", "c"), ("c", "d"), ("c", "e")]
    return gl.QuiverNetwork({"a": 1, "b": 2, "c": 8, "d": 2, "e": 6}, arrows, "sigmoid"), None
"""


def test_a_quiver_by_its_factory(tmp_path):
    (tmp_path / "net.py").write_text(QUIVER)
    scope = {}
    exec(QUIVER, scope)
    save_file(scope["make"]()[0].state_dict(), tmp_path / "in.safetensors")
    result = gradlaws(tmp_path / "in.safetensors", tmp_path / "out.safetensors", "--model", tmp_path / "net.py:make")
    assert result.stdout.startswith("a=1 b=2 c=8 d=2 e=6 -> a=1 b=2 c=4 d=2 e=6\nparameters 104 -> 56\n")
    assert load_file(tmp_path / "out.safetensors")["weights.c->e"].shape == (6, 4)


def save(tmp_path, tensors):
    save_file({name: torch.ones(shape) for name, shape in tensors.items()}, tmp_path / "in.safetensors")


RELU = ["--activation", "relu"]
BAD_TENSORS = {
    "gap": ({"0.weight": (3, 2), "1.weight": (2, 4)}, "0.weight has 3 rows, 1.weight 4 columns"),
    "bias": ({"0.weight": (3, 2), "0.bias": (2,)}, r"0.bias has shape \(2,\): expected \(3,\)"),
    "lonely bias": ({"0.bias": (2,)}, "0.weight is missing: expected matrices"),
    "convolution": ({"0.weight": (3, 2, 1, 1)}, r"0.weight has shape \(3, 2, 1, 1\).* --model FILE.py:FACTORY"),
    "other": ({"0.weight": (3, 2), "mean": (3,)}, "the tensor mean: expected weights and biases"),
    "nothing": ({}, "no tensors: expected the weights of a network"),
}


@pytest.mark.parametrize("case", BAD_TENSORS)
def test_tensors_that_are_no_chain_are_refused(tmp_path, case):
    tensors, words = BAD_TENSORS[case]
    save(tmp_path, tensors)
    refused(gradlaws(tmp_path / "in.safetensors", tmp_path / "out.safetensors", *RELU), words)
    assert not (tmp_path / "out.safetensors").exists()


def refused(result, words):
    assert result.exit_code == BAD_REQUEST
    assert result.stdout == ""
    assert result.stderr.startswith("gradlaws: ")
    assert result.stderr.count("\n") == 1
    assert re.search(words, result.stderr), result.stderr


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ([], "expected either --activation, for a fully connected network, or --model"),
        (["--activation", "swish"], "unknown activation 'swish': expected one of linear, relu"),
        (["--activation", "radial:relu"], "relu is not a radial activation: expected one of step_relu"),
        (["--activation", "radial:sigmoid:x"], "the shift 'x': expected a number"),
        (["--activation", "radial:squashing:1"], "squashing has no shift"),
        (["--model", "relu 2-3-4"], "expected FILE.py:FACTORY"),
        (["--model", "missing.py:make"], "no file 'missing.py'"),
    ],
)
def test_bad_options_are_refused(redundant, tmp_path, options, words):
    refused(gradlaws(redundant[1], tmp_path / "out.safetensors", *options), words)
    assert not (tmp_path / "out.safetensors").exists()


def test_weights_that_do_not_fit_the_factory_are_refused(redundant, tmp_path):
    (tmp_path / "net.py").write_text(FACTORY)
    words = "the weights do not fit the module: Missing key"
    refused(gradlaws(redundant[1], tmp_path / "out.safetensors", "--model", tmp_path / "net.py:make"), words)


def test_nan_weights_are_refused(tmp_path):
    save_file({"0.weight": torch.full((3, 2), torch.nan), "1.weight": torch.ones(1, 3)}, tmp_path / "in.safetensors")
    words = "has entries that are not finite: expected numbers"
    refused(gradlaws(tmp_path / "in.safetensors", tmp_path / "out.safetensors", *RELU), words)


class Bomb:
    """Unpickling it would leave a file."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return open, (self.path, "w")


def test_pickles_are_never_opened(tmp_path):
    path = tmp_path / "in.safetensors"
    path.write_bytes(pickle.dumps(Bomb(tmp_path / "boom")))
    refused(gradlaws(path, tmp_path / "out.safetensors", *RELU), "is not a safetensors file .*pickles are not opened")
    torch.save(OrderedDict(a=torch.ones(2)), path)
    refused(gradlaws(path, tmp_path / "out.safetensors", *RELU), "is not a safetensors file")
    assert not (tmp_path / "boom").exists()


def test_what_is_there_stays_unless_it_may_go(redundant, tmp_path):
    _, path = redundant
    out = tmp_path / "out.safetensors"
    out.write_text("precious")
    refused(gradlaws(path, out, *RELU), "exists: choose another name, or say that it may be replaced")
    assert out.read_text() == "precious"
    assert gradlaws(path, out, *RELU, "--force").exit_code == ANSWERED
    assert "model.fc9.weight" in load_file(out)
    refused(gradlaws(path, path, *RELU, "--force"), "is the input: expected another name")
    refused(gradlaws(path, tmp_path / "out.pt", *RELU), "expected NAME.safetensors in a folder that exists")
    refused(gradlaws(path, tmp_path / "no" / "out.safetensors", *RELU), "in a folder that exists")
    refused(gradlaws(tmp_path / "none.safetensors", out, *RELU, "--force"), "no file .*none.safetensors")
    assert "model.fc9.weight" in load_file(out)


def test_a_crash_while_writing_leaves_what_was_there(redundant, tmp_path, monkeypatch):
    def fails(*_):
        raise OSError("no space left")

    _, path = redundant
    out = tmp_path / "out.safetensors"
    out.write_text("precious")
    monkeypatch.setattr(files, "save_file", fails)
    refused(gradlaws(path, out, *RELU, "--force"), "cannot write .*: no space left")
    assert out.read_text() == "precious"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in.safetensors", "out.safetensors"]
