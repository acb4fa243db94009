"""Permutations and signs that nobody named: heads, the residual stream, units; found, tried, and refused when wrong."""

from dataclasses import replace

import pytest
import torch
from benchmarks import transformers_table
from torch import nn

from gradlaws.symmetry.couple import couplings
from gradlaws.symmetry.distance import orbit_distance
from gradlaws.symmetry.permute import _Trial, permutations, signs
from gradlaws.symmetry.precise import Precise
from tests.modules import mlp
from tests.symmetry.test_balance import moved_copy
from tests.symmetry.test_coupling import GROUPS, change, made

ATTENTION = "model.layers.0.self_attn"


def heads_and_stream(orders, stream):
    """The group that moves a tensor along its width, and those of blocks of coordinates."""
    along = [g for g in orders if any(p.tensor == stream and p.whole for p, _ in g.parts)]
    heads = [g for g in orders if any(p.fold and p.fold[1] > 1 for p, _ in g.parts)]
    return along, heads


def tensors(group):
    return {(p.tensor, p.axis) for p, _ in group.parts}


def test_the_heads_and_the_stream_of_gpt2():
    """Queries, keys and values are fused: three blocks for each head."""
    model, _, inputs = made("gpt2")
    orders = permutations(model, inputs)
    (stream,), (heads,) = heads_and_stream(orders, "transformer.wte.weight")
    assert (stream.width, heads.width) == (4, 2)
    fused = [(p.tensor, p.start) for p, _ in heads.parts if "c_attn.weight" in p.tensor]
    assert sorted(start for _, start in fused) == [0, 4, 8]
    assert any("c_attn.bias" in name for name, _ in tensors(heads))
    moved = {name.removeprefix("transformer.") for name, _ in tensors(stream)}
    expected = {"wte.weight", "wpe.weight", "ln_f.weight", "ln_f.bias", "lm_head.weight"}
    expected |= {f"h.0.{norm}.{kind}" for norm in ("ln_1", "ln_2") for kind in ("weight", "bias")}
    expected |= {"h.0.attn.c_attn.weight", "h.0.mlp.c_fc.weight"}
    expected |= {f"h.0.{name}.c_proj.{kind}" for name in ("attn", "mlp") for kind in ("weight", "bias")}
    assert moved == expected
    assert [flip.width for flip in signs(model, inputs, orders)] == [2]  # of heads: the stream loses its mean


def grouped():
    """Four query heads, two key heads, of width four."""
    sizes = {"hidden_size": 16, "num_attention_heads": 4, "head_dim": 4, "num_key_value_heads": 2, "vocab_size": 9}
    config = transformers_table.transformers.LlamaConfig(intermediate_size=5, **transformers_table.DECODER | sizes)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = transformers_table.transformers.LlamaForCausalLM(config).double().eval()
    return model, {"input_ids": torch.tensor([[3, 1, 4]]), "use_cache": False}


def test_grouped_heads_are_permuted_together_and_within_their_group():
    model, inputs = grouped()
    orders = permutations(model, inputs)
    (stream,), heads = heads_and_stream(orders, "model.embed_tokens.weight")
    names = [{name.removeprefix(ATTENTION + ".") for name, _ in tensors(group)} for group in heads]
    four = {f"{x}_proj.weight" for x in "qkvo"}
    assert names == [four, {"q_proj.weight", "o_proj.weight"}, {"q_proj.weight", "o_proj.weight"}]
    assert stream.width == 16
    odd = signs(model, inputs, orders)
    (flips,) = (flip for flip in odd if flip.width == 16)
    assert tensors(stream) - tensors(flips) == {
        (f"model.{name}.weight", 0)
        for name in ("norm", "layers.0.input_layernorm", "layers.0.post_attention_layernorm")
    }
    with Precise():
        assert change(model, (), inputs, [*orders, *odd]) < 1e-12
    assert orbit_distance(model, moved_copy(model, [*couplings(model, inputs), *orders, *odd]), inputs) < 1e-7


@pytest.mark.parametrize("name", GROUPS)
def test_models_that_people_train(name):
    model, args, kwargs = made(name)
    inputs = kwargs or args
    orders = permutations(model, inputs)
    odd = signs(model, inputs, orders)
    assert orders
    with Precise():
        assert change(model, args, kwargs, [*orders, *odd]) < 1e-12


@pytest.mark.parametrize("name", ["gpt2", "llama", "mixtral", "resnet"])
def test_networks_of_one_orbit_have_distance_zero(name):
    model, args, kwargs = made(name)
    inputs = kwargs or args
    orders = permutations(model, inputs)
    groups = [*couplings(model, inputs), *orders, *signs(model, inputs, orders)]
    assert orbit_distance(model, moved_copy(model, groups), inputs) < 1e-7


def test_a_stream_that_is_the_output_is_not_permuted():
    model, args, kwargs = made("bert")
    assert heads_and_stream(permutations(model, kwargs or args), "embeddings.word_embeddings.weight")[0] == []


class Turned(nn.Module):
    """Both axes of one tensor are the same index."""

    def __init__(self):
        super().__init__()
        self.enter, self.turn, self.leave = nn.Linear(2, 4), nn.Linear(4, 4), nn.Linear(4, 3)

    def forward(self, x):
        h = torch.tanh(self.enter(x))
        return self.leave(torch.tanh(self.turn(h) + self.enter(x)))


def test_both_axes_of_a_tensor_are_permuted_together():
    """Adding the first layer again ties the two hidden layers."""
    model, x = Turned().double(), torch.randn(5, 2, dtype=torch.float64)
    (group,) = permutations(model, x)
    assert {("turn.weight", 0), ("turn.weight", 1)} <= tensors(group)
    (odd,) = signs(model, x, [group])
    assert change(model, (x,), {}, [group, odd]) < 1e-12


def test_units_before_a_flattened_image_are_blocks_of_pixels():
    model = nn.Sequential(nn.Conv2d(1, 3, 2), nn.GELU(), nn.Flatten(), nn.Linear(12, 2)).double()
    x = torch.randn(5, 1, 3, 3, dtype=torch.float64)
    (group,) = permutations(model, x)
    assert [p.fold for p, _ in group.parts if p.tensor == "3.weight"] == [(3, 4, 1)]
    assert change(model, (x,), {}, [group]) < 1e-12


def test_a_group_that_lacks_an_axis_is_refused():
    model, x = mlp(nn.Tanh, 3, 5, 2), torch.randn(6, 3)
    (group,) = permutations(model, x)
    trial = _Trial.of(model, x, 0)
    assert trial.permutes(group)
    for part in group.parts:
        assert not trial.permutes(replace(group, parts=tuple(p for p in group.parts if p != part)))


def test_casts_to_lower_precision_are_left_out():
    x = torch.ones(2, dtype=torch.float64)
    low = x.to(torch.float32)
    with Precise():
        casts = [x.float(), x.half(), x.bfloat16(), x.to(torch.bfloat16), x.to(low), x.type(torch.float32)]
        casts += [x.to("cpu", torch.float32), x.to(dtype=torch.float16)]
        assert {cast.dtype for cast in casts} == {torch.float64}
        assert (low.half().dtype, x.to(torch.int64).dtype) == (torch.float16, torch.int64)
    assert x.float().dtype == torch.float32
