"""The search over axes, parts and folds, against the search over single entries."""

import pytest
import torch
from torch import nn

from gradlaws.flows.gradient import GradientFlow
from gradlaws.laws import proof
from gradlaws.laws.blocks import find_block_laws
from gradlaws.laws.independence import independent
from gradlaws.laws.sparse import find_sparse_laws
from gradlaws.models.module import from_module
from tests.models.zoo import Attention, Gated, mlp
from tests.samplers import FIELD, generator


class Fused(nn.Module):
    """Attention of two heads whose three projections are one matrix, with biases."""

    def __init__(self, width=5, heads=2, head=3):
        super().__init__()
        self.qkv = nn.Linear(width, 3 * heads * head)
        self.out = nn.Linear(heads * head, width, bias=False)
        self.heads, self.head = heads, head

    def forward(self, x):
        q, k, v = (part.view(len(x), self.heads, self.head).transpose(0, 1) for part in self.qkv(x).chunk(3, -1))
        mixed = (q @ k.mT).softmax(-1) @ v
        return self.out(mixed.transpose(0, 1).flatten(1))


class Normed(nn.Module):
    """Queries and keys of two heads, each divided by its norm."""

    def __init__(self, width=5, heads=2, head=3):
        super().__init__()
        self.q, self.k = (nn.Linear(width, heads * head, bias=False) for _ in range(2))
        self.heads, self.head = heads, head

    def forward(self, x):
        q, k = (self.unit(p(x).view(len(x), self.heads, self.head)) for p in (self.q, self.k))
        return torch.einsum("ihd,jhd->hij", q, k)

    def unit(self, x):
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6)


def flow_of(module, inputs, **options):
    return GradientFlow(from_module(module, inputs, **options).relaxed())


def found(flow):
    return find_block_laws(flow, FIELD, generator(1), flow.family.tables)


CASES = {
    "relu": (lambda: mlp((3, 5, 4, 2), nn.ReLU, bias=True), (3,), {}),
    "linear": (lambda: mlp((3, 5, 4, 2)), (3,), {}),
    "swiglu": (lambda: Gated(4, 6), (4,), {}),
    "heads": (lambda: Attention(5, 3, 2), (3, 5), {}),
    "grouped heads": (lambda: Attention(5, 3, 4, 2), (3, 5), {}),
    "rotated grouped heads": (lambda: Attention(5, 4, 4, 2, frequencies=(1.0, 0.1)), (3, 5), {}),
    "fused heads": (Fused, (3, 5), {}),
    "normalised heads": (Normed, (2, 5), {"eps": "zero"}),
    "convolutions": (lambda: nn.Sequential(nn.Conv1d(2, 4, 3), nn.ReLU(), nn.Conv1d(4, 3, 2)), (1, 2, 5), {}),
}


@pytest.mark.parametrize("case", CASES)
def test_it_finds_as_many_laws_as_the_search_over_entries_and_no_false_one(case):
    make, shape, options = CASES[case]
    flow = flow_of(make(), torch.zeros(shape), **options)
    laws = found(flow)
    assert all(trial.held for trial in proof.tested_together(flow, laws, [FIELD], generator(2)))
    entries = independent(find_sparse_laws(flow, FIELD, generator(3)), flow, FIELD, generator(4))
    assert independent(laws, flow, FIELD, generator(4)).rank == entries.rank > 0


def test_a_fused_projection_is_taken_apart_and_its_heads_are_counted():
    laws = [law for law in found(flow_of(Fused(), torch.zeros(3, 5))) if law.kind == "matrix"]
    weights, biases = ("<qkv.weight[{0}i,:], qkv.weight[{0}j,:]>", "<qkv.bias[{0}i], qkv.bias[{0}j]>")
    assert [law.text for law in laws] == [
        f"blocks of {weights.format('')} + {biases.format('')} - {weights.format('6+')}",
        f"blocks of {weights.format('12+')} + {biases.format('12+')} - out.weight^T out.weight",
    ]
    assert [law.count for law in laws] == [12, 12]


def test_heads_that_share_a_key_are_folded():
    laws = found(flow_of(Attention(5, 3, 4, 2), torch.zeros(3, 5)))
    folds = {part.tensor: part.fold for law in laws for part, _ in law.parts}
    assert folds == {"q.weight": (2, 2, 3), "k.weight": None, "v.weight": None, "o.weight": (2, 2, 3)}


def test_a_normalised_head_keeps_its_norm():
    laws = found(flow_of(Normed(), torch.zeros(2, 5), eps="zero"))
    assert [law.text for law in laws] == ["|q.weight[3*k + 0..2,:]|^2", "|k.weight[3*k + 0..2,:]|^2"]
    assert found(flow_of(Normed(), torch.zeros(2, 5))) == []


def test_no_law_is_invented_where_there_is_none():
    assert found(flow_of(mlp((3, 4, 2), nn.GELU, bias=True), torch.zeros(3))) == []
