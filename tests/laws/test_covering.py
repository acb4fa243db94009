"""Every discrete case is tried: a law that only one token or one row of data breaks does not pass."""

import pytest
import torch
from torch import nn

from gradlaws.flows.gradient import GradientFlow
from gradlaws.laws import proof
from gradlaws.laws.contraction import Contraction
from gradlaws.laws.sums import FrozenLaw
from gradlaws.models.module import from_module
from tests.samplers import FIELD, generator

VOCABULARY = 300


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.table, self.head = nn.Embedding(VOCABULARY, 2), nn.Linear(2, 2)

    def forward(self, tokens):
        return self.head(self.table(tokens)).sum(0)


def row(k):
    return FrozenLaw(Contraction("table.weight", 0, 2, k, k + 1), 2)


def test_one_token_in_hundreds_breaks_a_law():
    """Six random draws would see it with probability 1/50; no token may be called frozen."""
    flow = GradientFlow(from_module(Model(), torch.tensor([0, 1])).relaxed())
    assert flow.cases == VOCABULARY
    trials = proof.tested_together(flow, [row(k) for k in range(VOCABULARY)], [FIELD], generator())
    assert not any(trial.held for trial in trials)


def test_every_token_comes_at_every_place():
    family = from_module(Model(), torch.tensor([0, 1])).covering(0)
    drawn = family.draw(family.draw_parameters(VOCABULARY, FIELD, generator()), FIELD, generator())
    tokens = next(values for name, values in drawn.items() if name.startswith("input"))
    assert torch.equal(tokens.sort(0).values, torch.arange(VOCABULARY).double().view(-1, 1).expand(-1, 2))


def test_one_row_of_data_breaks_a_law():
    data = torch.zeros(500, 2)
    data[:, 0] = torch.arange(1.0, 501.0)
    data[317, 1] = 1.0
    frozen = FrozenLaw(Contraction("weight", 1, 2, 1, 2), 3)
    module = nn.Linear(2, 3, bias=False)
    for rows, held in ((data, False), (data[:317], True)):
        flow = GradientFlow(from_module(module, torch.zeros(1, 2), data=rows).relaxed())
        (trial,) = proof.tested_together(flow, [frozen], [FIELD], generator())
        assert trial.held is held


def test_rows_beyond_a_chunk_are_tried_too(monkeypatch):
    """In chunks of 7 the last rows still come."""
    flow = GradientFlow(from_module(Model(), torch.tensor([0, 1])).relaxed())
    monkeypatch.setattr(proof, "_NUMBERS", 7 * flow.footprint)
    trials = proof.tested_together(flow, [row(VOCABULARY - 1)], [FIELD], generator())
    assert not trials[0].held


@pytest.mark.parametrize("limit", [0, 2**40])
def test_what_is_too_much_is_said(monkeypatch, limit):
    monkeypatch.setattr(proof, "_COVERED", limit)
    flow = GradientFlow(from_module(Model(), torch.tensor([0, 1])).relaxed())
    assert proof.covers(flow) is bool(limit)
