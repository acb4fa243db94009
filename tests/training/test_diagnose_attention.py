"""What is done to queries and keys is named: a clean run of attention, and QK-clip."""

import copy

import pytest
import torch
from torch import nn

from gradlaws.laws.contraction import Contraction
from gradlaws.laws.gram import GramLaw
from gradlaws.training.diagnose import SURGERY
from tests.training.runs import ALL, Loop
from tests.training.test_diagnose import found, named, several


class Attention(nn.Module):
    """One head over the rows of a picture."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(3)
        self.query, self.key, self.value = (nn.Linear(8, 6, bias=False) for _ in range(3))
        self.out = nn.Linear(8 * 6, 10)

    def forward(self, x):
        rows = x.unflatten(-1, (8, 8))
        q, k, v = self.query(rows), self.key(rows), self.value(rows)
        return self.out(((q @ k.mT).softmax(-1) @ v).flatten(1))


HEAD_LAW = GramLaw(((Contraction("query.weight", 0, 2), 1), (Contraction("key.weight", 0, 2), -1)), 6, "matrix")


@several
@pytest.mark.parametrize("every", [1, 4])
def test_the_clipping_of_queries_and_keys(optimizer, every):
    """QK-clip multiplies both by the root of what the largest logit is to shrink by."""
    model, calls = Attention(), []
    loop = Loop(model, ALL[optimizer](list(model.parameters())))

    @torch.no_grad()
    def clip():
        calls.append(1)
        if len(calls) == 6:
            model.query.weight.mul_(0.81**0.5)
            model.key.weight.mul_(0.81**0.5)

    assert found(copy.deepcopy(loop), steps=9, every=every, laws=[HEAD_LAW]) == []
    findings = found(loop, steps=9, every=every, laws=[HEAD_LAW], between=clip)
    assert named(findings, SURGERY) == {"query.weight", "key.weight"}
    assert all("multiplied by 0.9, as QK-clip" in finding.text for finding in findings)
    assert all("after step 6" in finding.text for finding in findings)
