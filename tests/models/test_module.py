"""Any torch module as a family: its options, its samples, and answers that are refused."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import gradlaws as gl
from gradlaws.errors import InputError, UnsupportedError
from gradlaws.exact.execute import Context
from gradlaws.exact.formal import is_square
from gradlaws.models.module import from_module
from tests.asserts import assert_residues
from tests.models.operations import between
from tests.models.zoo import Attention, Tied
from tests.samplers import FIELD, generator


def bounds(module, inputs, **options):
    count = gl.count(module, inputs, **options)
    return count.lower, count.upper


@pytest.mark.parametrize(("loss", "laws"), [("any", 0), ("mse", 0), ("bce", 0), ("cross_entropy", 3)])
def test_a_loss_restricts_cotangents(loss, laws):
    assert bounds(nn.Linear(2, 3), torch.ones(2), loss=loss) == (laws, laws)


def test_cotangents_of_cross_entropy_add_up_to_zero():
    family = from_module(nn.Linear(2, 3), torch.ones(4, 2), loss="cross_entropy")
    theta = family.draw_parameters(5, FIELD, generator(1))
    drawn = family.draw(theta, FIELD, generator(2))
    assert drawn["cotangent 0"].shape == (5, 4, 3)
    assert not bool(FIELD.reduce(drawn["cotangent 0"].sum(-1)).any())
    assert bool(FIELD.reduce(drawn["input input"].sum(-1)).any())


@pytest.mark.parametrize(("eps", "laws"), [("zero", 1), ("generic", 0)])
def test_epsilon_decides_whether_a_norm_forgets_lengths(eps, laws):
    module = nn.Sequential(nn.Linear(2, 3, bias=False), nn.RMSNorm(3, eps=1e-6, elementwise_affine=False))
    assert bounds(module, torch.ones(2), eps=eps) == (laws, laws)


def test_a_part_of_a_model_moves_and_the_rest_holds_still():
    module = nn.Sequential(Attention(2, 2), Attention(2, 1))
    answer = gl.laws(module, torch.ones(2, 2), parameters="1")
    assert (answer.count.lower, answer.count.upper) == (2, 2)
    assert answer.count.parameters == 8
    assert all("1." in law.text and "0.q" not in law.text for law in answer.laws)
    assert any("4 parameter tensors are held fixed" in words for words in answer.evidence.assumptions)


def test_a_prefix_is_a_path_and_not_a_beginning():
    assert set(from_module(Chain(), torch.ones(2), parameters="a").parameters) == {"a.weight"}
    assert set(from_module(Chain(), torch.ones(2), parameters="ab.").parameters) == {"ab.weight"}


class Chain(nn.Module):
    """Two linear maps, the name of one of which begins the name of the other."""

    def __init__(self):
        super().__init__()
        self.a, self.ab = nn.Linear(2, 2, bias=False), nn.Linear(2, 2, bias=False)

    def forward(self, x):
        return self.ab(self.a(x))


def test_frozen_parameters_leave_theta():
    module = Chain()
    module.ab.weight.requires_grad_(False)
    answer = gl.laws(module, torch.ones(2))
    assert answer.count.parameters == 4
    assert bounds(module, torch.ones(2)) == (0, 0)


OPTIONS = {
    "loss": ({"loss": "hinge"}, "unknown loss 'hinge': expected one of any, mse, bce, cross_entropy"),
    "eps": ({"eps": "tiny"}, "unknown eps 'tiny': expected one of generic, zero"),
    "prefix": (
        {"parameters": "head"},
        "no trainable parameter of Chain is under 'head': names are like a.weight, ab.we",
    ),
}


@pytest.mark.parametrize("name", OPTIONS)
def test_wrong_options_are_refused(name):
    options, sentence = OPTIONS[name]
    with pytest.raises(InputError, match=sentence):
        gl.count(Chain(), torch.ones(2), **options)


def test_a_module_needs_inputs_and_a_spec_takes_none():
    with pytest.raises(InputError, match=r"Chain needs example inputs: pass laws\(module, example_inputs\)"):
        gl.count(Chain())
    with pytest.raises(InputError, match="example inputs and options go with a torch module only"):
        gl.count("relu 2-3-2", torch.ones(2))


def test_too_many_square_roots_are_refused_with_a_remedy():
    module = nn.Sequential(nn.Linear(2, 3), nn.LayerNorm(3))
    family = from_module(module, torch.ones(30, 2))
    theta = FIELD.random((1, family.dimension), generator(1))
    with pytest.raises(
        UnsupportedError, match="takes too many square roots at once for exact sampling: use example inp"
    ):
        family.draw(theta, FIELD, generator(2))


def test_samples_have_square_radicands():
    family = from_module(nn.RMSNorm(2, eps=1e-6), torch.ones(2))
    theta = family.draw_parameters(50, FIELD, generator(1))
    x = family.draw(theta, FIELD, generator(2))["input x" if "input x" in family.instance else "input input"]
    assert_residues(x, FIELD)
    mean = FIELD.reduce(FIELD.reduce((FIELD.reduce(x * x)).sum(-1)) * float((FIELD.prime + 1) // 2))
    epsilon = from_epsilon(family)
    assert bool(is_square(FIELD.reduce(mean + epsilon), FIELD).all())
    plain = FIELD.random((50, 2), generator(3))
    mean = FIELD.reduce(FIELD.reduce((FIELD.reduce(plain * plain)).sum(-1)) * float((FIELD.prime + 1) // 2))
    assert not bool(is_square(FIELD.reduce(mean + epsilon), FIELD).all())


def from_epsilon(family):
    return Context(FIELD, {}, family.eps).epsilon(1e-6).coefficients.flatten()


def test_tokens_are_drawn_from_the_table_that_they_look_up():
    family = from_module(Tied(3, 2), torch.tensor([0, 1]))
    assert family.vocabularies == {"tokens": 3}
    drawn = family.draw(family.draw_parameters(60, FIELD, generator(1)), FIELD, generator(2))["input tokens"]
    assert set(drawn.flatten().tolist()) == {0.0, 1.0, 2.0}


def test_the_same_seed_gives_the_same_answer():
    first, second = (gl.laws(Attention(2, 2), torch.ones(2, 2), seed=5) for _ in range(2))
    assert (first.laws, first.count.upper) == (second.laws, second.count.upper)


def test_weights_of_the_module_do_not_matter():
    zero, module = between(nn.ReLU()), between(nn.ReLU())
    with torch.no_grad():
        for p in zero.parameters():
            p.zero_()
    assert gl.laws(zero, torch.ones(2)).laws == gl.laws(module, torch.ones(2)).laws


class Both(Chain):
    """Returns what is hidden as well."""

    def forward(self, x):
        return super().forward(x), {"hidden": self.a(x).exp(), "places": x.argmax(-1)}


def test_several_outputs_all_count():
    assert bounds(Chain(), torch.ones(2)) == (3, 3)
    assert bounds(Both(), torch.ones(2)) == (0, 0)


def test_a_forward_that_uses_another_module_is_refused():
    """Its parameters are not those of the module that is asked about, so nothing is trained."""
    other, module = Chain(), Chain()
    module.forward = other.forward
    with pytest.raises(UnsupportedError, match="no output of Chain depends on a parameter that moves"):
        gl.count(module, torch.ones(2))


def test_the_attention_of_gpt_2():
    """Nobody here wrote it: 2 heads of width 2, one matrix for queries, keys and values, biases, a causal mask.

    Each head has 3 laws of queries and keys, 2 key biases that never move, and 3 laws of values and outputs (row 15).
    """
    from transformers import GPT2Config  # noqa: PLC0415
    from transformers.models.gpt2.modeling_gpt2 import GPT2Attention  # noqa: PLC0415

    config = GPT2Config(n_positions=2, n_embd=4, n_layer=1, n_head=2)
    config._attn_implementation = "eager"
    assert bounds(GPT2Attention(config, layer_idx=0).eval(), torch.ones(1, 2, 4)) == (16, 16)
