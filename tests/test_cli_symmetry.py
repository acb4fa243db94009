"""The commands about symmetries: answers, files written whole or not at all, one sentence for every bad request."""

import json

import pytest
import safetensors.torch
import torch
from torch import nn
from typer.testing import CliRunner

from gradlaws.cli import app
from gradlaws.models.weights import read_weights

FACTORY = """
import torch
from torch import nn

def make():
    return nn.Sequential(nn.Linear(3, 5), nn.ReLU(), nn.Linear(5, 2)), torch.randn(4, 3, dtype=torch.DTYPE)

def make_tanh():
    return nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2)), torch.randn(4, 3)
"""


def gradlaws(*arguments):
    return CliRunner().invoke(app, [str(a) for a in arguments])


@pytest.fixture(params=["float32", "float64"])
def network(request, tmp_path):
    """A factory, and weights in a file made by the library that everyone uses."""
    source = tmp_path / "model.py"
    source.write_text(FACTORY.replace("DTYPE", request.param))
    model = nn.Sequential(nn.Linear(3, 5), nn.ReLU(), nn.Linear(5, 2)).to(getattr(torch, request.param))
    weights = tmp_path / "weights.safetensors"
    safetensors.torch.save_file(model.state_dict(), weights, metadata={"format": "pt"})
    return model, f"{source}:make", weights


def test_symmetries_of_a_network():
    result = gradlaws("symmetries", "linear 2-3-2", "--generators")
    assert result.exit_code == 0
    assert "gl(3, R) on W1, W2    dimension 9, 6 carry laws" in result.stdout
    assert "W1[0,:]' = W1[1,:]; W2[:,1]' = -W2[:,0]" in result.stdout
    assert "linear 2-3-2: linear symmetries of dimension 9 PROVED" in result.stdout
    assert gradlaws("symmetries", "relu 2-3-2", "-q").stdout.splitlines()[1] == (
        "  (R_>0)^3 on W1, W2    dimension 3, 3 carry laws"
    )


def test_symmetries_as_json():
    found = json.loads(gradlaws("symmetries", "linear 2-2-2 bias", "--json").stdout)
    assert (found["lower"], found["upper"], found["status"]) == (4, 4, "PROVED")
    assert [block["name"] for block in found["blocks"]] == ["gl(2, R)"]
    assert len(found["generators"]) == 4


def test_a_balanced_file_computes_the_same(network, tmp_path):
    model, factory, weights = network
    kept, out = weights.read_bytes(), tmp_path / "balanced.safetensors"
    result = gradlaws("balance", weights, out, "--model", factory)
    assert result.exit_code == 0, result.output
    assert "1 groups balanced" in result.stdout
    balanced = safetensors.torch.load_file(out)
    assert list(balanced) == list(safetensors.torch.load_file(weights))
    x = torch.randn(6, 3, dtype=model[0].weight.dtype)
    before = model(x)
    model.load_state_dict(balanced)
    assert torch.allclose(model(x), before, atol=1e-6)
    rows = torch.cat([model[0].weight, model[0].bias.unsqueeze(1)], 1).square().sum(1)
    assert torch.allclose(rows, model[2].weight.square().sum(0), rtol=1e-5)
    assert weights.read_bytes() == kept
    assert read_weights(out)[1] == {"format": "pt"}
    assert sorted(p.name for p in tmp_path.glob("balanced*")) == ["balanced.safetensors"]


def test_bad_requests_write_nothing(network, tmp_path):
    _, factory, weights = network
    out = tmp_path / "out.safetensors"
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(weights.read_bytes()[:-4])
    short = tmp_path / "short.safetensors"
    safetensors.torch.save_file({"0.weight": torch.zeros(5, 3)}, short)
    for arguments, words in (
        ((weights, "--model", "relu 2-3-2"), "expected FILE.py:FACTORY"),
        ((tmp_path / "none.safetensors", "--model", factory), "none.safetensors"),
        ((broken, "--model", factory), "safetensors"),
        ((tmp_path / "model.py", "--model", factory), "safetensors"),
        ((short, "--model", factory), "lacks the parameter"),
        ((weights, "--model", factory.replace(":make", ":make_tanh")), "has shape"),
    ):
        result = gradlaws("balance", arguments[0], out, *arguments[1:])
        assert result.exit_code == 2
        assert words in result.stderr
        assert len(result.stderr.splitlines()) == 1
        assert not out.exists()


def test_what_cannot_be_written_is_said(network, tmp_path):
    _, factory, weights = network
    result = gradlaws("balance", weights, tmp_path / "nowhere" / "out.safetensors", "--model", factory)
    assert result.exit_code == 2
    assert "nowhere" in result.stderr


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ("relu 200-100-20", "22000 parameters are too many"),
        ("relu", "expected a kind and widths"),
        ("examples/reactions.toml", "expected a spec string, a torch module or a Family"),
    ],
)
def test_what_has_no_answer_is_one_sentence(model, words):
    result = gradlaws("symmetries", model)
    assert result.exit_code == 2
    assert words in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_balance_for_a_softmax(network, tmp_path):
    """Sums over the classes become zero, the probabilities stay; an unknown loss is one sentence."""
    model, factory, weights = network
    out = tmp_path / "balanced.safetensors"
    result = gradlaws("balance", weights, out, "--model", factory, "--loss", "cross_entropy")
    assert result.exit_code == 0, result.output
    assert "shifts taken out" in result.stdout
    x = torch.randn(6, 3, dtype=model[0].weight.dtype)
    before = model(x).softmax(1)
    model.load_state_dict(safetensors.torch.load_file(out))
    assert torch.allclose(model(x).softmax(1), before, atol=1e-6)
    assert float(model[2].bias.detach().sum().abs()) < 1e-6
    refused = gradlaws("balance", weights, out, "--force", "--model", factory, "--loss", "hinge")
    assert refused.exit_code == 2
    assert "unknown loss 'hinge': expected 'any' or 'cross_entropy'" in refused.stderr


@pytest.mark.parametrize("command", ["balance", "compress"])
@pytest.mark.parametrize("kind", ["bfloat16", "float32", "float64"])
def test_weights_keep_their_precision(command, kind, tmp_path):
    """Whatever the factory makes: module and inputs take the precision of the file."""
    source, weights, out = tmp_path / "model.py", tmp_path / "weights.safetensors", tmp_path / "out.safetensors"
    source.write_text(FACTORY.replace("DTYPE", "float32"))
    model = nn.Sequential(nn.Linear(3, 5), nn.ReLU(), nn.Linear(5, 2)).to(getattr(torch, kind))
    safetensors.torch.save_file(model.state_dict(), weights)
    result = gradlaws(command, weights, out, "--model", f"{source}:make")
    assert result.exit_code == 0, result.output
    assert {x.dtype for x in safetensors.torch.load_file(out).values()} == {getattr(torch, kind)}
