"""What is kept of gradients."""

import pytest
import torch
from torch import nn

from gradlaws.flows.gradient import GradientFlow
from gradlaws.laws.contraction import Contraction
from gradlaws.laws.observe import observe
from gradlaws.laws.structured import probe
from gradlaws.models.module import from_module
from tests.samplers import FIELD, generator


def seen_of(module, inputs, tables=frozenset()):
    family = from_module(module, inputs)
    seen, _ = observe(GradientFlow(family.relaxed()), FIELD, generator(), None)
    return seen.frozen_and_moving(family.tables | tables)


class Positions(nn.Module):
    """A table of ten positions of which two are used, and a table of tokens."""

    def __init__(self):
        super().__init__()
        self.positions, self.tokens = nn.Embedding(10, 3), nn.Embedding(50, 3)

    def forward(self, tokens):
        return self.tokens(tokens) + self.positions(torch.arange(3, 5))


def test_rows_that_never_moved_are_found_and_the_rest_goes_on():
    frozen, moving = seen_of(Positions(), torch.tensor([0, 1]))
    assert [law.text for law in frozen] == [
        "positions.weight[0:3,:] never moves",
        "positions.weight[5:10,:] never moves",
    ]
    assert [law.count for law in frozen] == [9, 15]
    assert Contraction("positions.weight", 0, 2, 3, 5) in moving


def test_rows_of_a_table_that_were_not_drawn_are_not_called_frozen():
    frozen, moving = seen_of(Positions(), torch.tensor([0, 1]))
    assert not any(law.slices.tensor == "tokens.weight" for law in frozen)
    assert Contraction("tokens.weight", 0, 2) in moving


def test_a_tensor_that_never_moves_is_one_law():
    class Shifted(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner, self.idle = nn.Linear(2, 3, bias=False), nn.Parameter(torch.ones(3))

        def forward(self, x):
            return self.inner(x) + 0 * self.idle

    frozen, moving = seen_of(Shifted(), torch.zeros(2))
    assert [law.text for law in frozen] == ["idle never moves"]
    assert {piece.tensor for piece in moving} == {"inner.weight"}


@pytest.mark.parametrize("axis", [0, 1])
def test_columns_are_sums_over_the_other_axes(axis):
    flow = GradientFlow(from_module(nn.Linear(3, 4, bias=False), torch.zeros(3)))
    seen, last = observe(flow, FIELD, generator(), None)
    piece = Contraction("weight", axis, 2)
    theta, moved = last.theta["weight"][0], last.velocity["weight"][0]
    length = theta.shape[axis]
    norms = seen.columns(seen.norms, [piece], FIELD)[-length:, 0]
    sums = seen.columns(seen.sums, [piece], FIELD)[-length:, 0]
    assert norms.tolist() == [
        sum((theta * moved % FIELD.prime).select(axis, k).tolist()) % FIELD.prime for k in range(length)
    ]
    assert sums.tolist() == [sum(moved.select(axis, k).tolist()) % FIELD.prime for k in range(length)]


def test_samples_outnumber_the_unknowns_of_every_index():
    flow = GradientFlow(from_module(nn.Sequential(*[nn.Linear(2, 2) for _ in range(4)]), torch.zeros(2)))
    seen, _ = observe(flow, FIELD, generator(), None)
    assert len(seen.norms["0.weight", 0]) * 2 >= 12 + 2


def test_progress_is_heard():
    heard = []
    flow = GradientFlow(from_module(nn.Linear(2, 2), torch.zeros(2)))
    observe(flow, FIELD, generator(), lambda stage, done: heard.append((stage, done)))
    assert heard[0] == ("exact gradients", 0.0)
    assert all(0 <= done < 1 for _, done in heard)
    assert probe(flow, 1, FIELD, generator()).velocity["weight"].shape == (1, 2, 2)
