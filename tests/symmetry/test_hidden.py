"""Hidden units of modules that nobody here wrote: what is planted goes, in the MLPs of transformers too."""

import copy

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from torch import nn
from typer.testing import CliRunner

from gradlaws.cli import app
from gradlaws.errors import InputError, UnsupportedError
from gradlaws.symmetry.compress import compress
from tests.models.zoo import Gated as GatedBlock
from tests.modules import Block, Gated, Head
from tests.samplers import generator


def randomised(module, seed=0):
    """In float64 and evaluation mode, no parameter at a special value."""
    module, random = module.double().eval(), generator(seed)
    with torch.no_grad():
        for p in module.parameters():
            p.copy_(torch.randn(p.shape, generator=random, dtype=torch.float64) / max(1, p[0].numel()) ** 0.5)
    return module


def gpt2():
    config = transformers.GPT2Config(
        n_embd=8,
        n_layer=2,
        n_head=2,
        n_inner=12,
        vocab_size=11,
        n_positions=6,
        attn_pdrop=0,
        resid_pdrop=0,
        embd_pdrop=0,
    )
    return randomised(transformers.GPT2Model(config))


def llama():
    config = transformers.LlamaConfig(
        hidden_size=8, intermediate_size=12, num_hidden_layers=1, num_attention_heads=2, vocab_size=11
    )
    return randomised(transformers.LlamaModel(config))


TOKENS = {"input_ids": torch.tensor([[1, 4, 9, 2]])}


def outputs(module, x):
    found = module(**x) if isinstance(x, dict) else module(x)
    return found.last_hidden_state if hasattr(found, "last_hidden_state") else found


def agree(module, found, x):
    with torch.no_grad():
        torch.testing.assert_close(outputs(found.module, x), outputs(module, x), rtol=1e-11, atol=1e-12)
    assert found.error <= 1e-11 * max(1.0, found.scale)
    return found


def test_the_mlps_of_gpt2():
    module = gpt2()
    first, second = (module.h[i].mlp for i in range(2))
    with torch.no_grad():
        first.c_fc.weight[:, 3], first.c_fc.bias[3] = first.c_fc.weight[:, 5], first.c_fc.bias[5]  # a copy
        first.c_proj.weight[7] = 0  # unseen
        second.c_fc.weight[:, 1], second.c_fc.bias[1] = 0, 0  # zero, for gelu(0) = 0
        second.c_fc.weight[:, 2] = 0  # constant but not zero: it stays
    found = agree(module, compress(module, TOKENS), TOKENS)
    assert {name: (found.before[name], n) for name, n in found.after.items()} == {
        "h.0.mlp.c_fc": (12, 10),
        "h.1.mlp.c_fc": (12, 11),
    }
    assert found.notes == (
        "h.0.mlp.c_fc: 1 unseen by what follows, 1 copies",
        "h.1.mlp.c_fc: 1 dead or constant",
    )
    assert found.parameters[0] - found.parameters[1] == 3 * (8 + 1 + 8)
    assert (found.module.h[0].mlp.c_fc.nf, found.module.h[0].mlp.c_proj.nx) == (10, 10)
    assert found.transformation["h.0.mlp.c_fc"].shape == (12, 10)


def test_gated_units_of_llama_need_both_halves_equal():
    module = llama()
    mlp = module.layers[0].mlp
    with torch.no_grad():
        mlp.gate_proj.weight[3] = mlp.gate_proj.weight[5]
    assert agree(module, compress(module, TOKENS), TOKENS).after["layers.0.mlp.gate_proj"] == 12
    with torch.no_grad():
        mlp.up_proj.weight[3] = mlp.up_proj.weight[5]
    found = agree(module, compress(module, TOKENS), TOKENS)
    assert found.after["layers.0.mlp.gate_proj"] == 11
    assert found.module.layers[0].mlp.down_proj.in_features == 11


@pytest.mark.parametrize(("make", "layer"), [(Gated, "gate"), (Block, "a"), (lambda: GatedBlock(3, 4), "gate")])
def test_small_modules(make, layer):
    module = randomised(make())
    units = module.get_submodule(layer).out_features
    width = module.get_submodule(layer).in_features
    x = torch.randn(5, width, generator=generator(1), dtype=torch.float64)
    assert agree(module, compress(module, x), x).after[layer] == units
    with torch.no_grad():
        for part in (p for p in module.modules() if isinstance(p, nn.Linear) and p.out_features == units):
            part.weight[0] = part.weight[1]
            if part.bias is not None:
                part.bias[0] = part.bias[1]
    kept = copy.deepcopy(module.state_dict())
    assert agree(module, compress(module, x), x).after[layer] == units - 1
    assert all(torch.equal(kept[name], value) for name, value in module.state_dict().items())


def test_attention_fixes_its_widths_and_is_left_alone():
    module = randomised(Head())
    with torch.no_grad():
        module.o.weight[:, 0] = 0
        module.q.weight[0] = module.q.weight[1]
        module.q.bias[0] = module.q.bias[1]
    x = torch.randn(1, 4, 3, generator=generator(1), dtype=torch.float64)
    found = agree(module, compress(module, x), x)
    assert found.after["v"] == 1
    assert found.module.q.out_features == module.q.out_features  # its square root is in the scores


FACTORY = """
import torch
from tests.modules import Gated

def make():
    return Gated().double(), (torch.zeros(2, 2, dtype=torch.float64),)
"""


def test_on_the_command_line(tmp_path):
    """A gated unit that nobody reads goes from a file of weights."""
    module, path = randomised(Gated()), tmp_path / "in.safetensors"
    module.down.weight.data[:, 1] = 0
    save_file(module.state_dict(), path)
    (tmp_path / "model.py").write_text(FACTORY)
    out = tmp_path / "out.safetensors"
    result = CliRunner().invoke(app, ["compress", str(path), str(out), "--model", f"{tmp_path}/model.py:make"])
    assert result.exit_code == 0, result.output
    assert "gate: 1 unseen by what follows" in result.output
    small = load_file(out)
    assert {name: tuple(t.shape) for name, t in small.items()} == {
        "gate.weight": (2, 2),
        "up.weight": (2, 2),
        "down.weight": (2, 2),
    }
    assert torch.equal(small["gate.weight"], module.gate.weight[[0, 2]])


def test_what_has_no_hidden_units_is_refused():
    with pytest.raises(UnsupportedError, match="LayerNorm has no hidden units, in linear layers or convolutions"):
        compress(nn.LayerNorm(4), torch.randn(2, 4))
    with pytest.raises(InputError, match="fails on the example inputs"):
        compress(Gated(), torch.randn(2, 7))
    tied = randomised(Tied())
    with pytest.raises(UnsupportedError, match="Tied has no hidden units"):
        compress(tied, torch.randn(2, 3))


class Tied(nn.Module):
    """One matrix read both ways."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(3, 4), nn.Linear(4, 3)
        self.c = nn.Linear(3, 4, bias=False)
        self.c.weight = self.a.weight

    def forward(self, x):
        return self.b(torch.tanh(self.a(x))) + self.c(x).sum(-1, keepdim=True)
