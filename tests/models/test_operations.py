"""Every operation that is supported, in a tiny module, and what is refused: one sentence with the line and a remedy."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional

import gradlaws as gl
from gradlaws.errors import UnsupportedError
from tests.models.operations import OPERATIONS, Apply, between, through
from tests.oracles import module_count


@pytest.mark.parametrize("operation", OPERATIONS, ids=str)
def test_the_count_and_that_it_is_complete(operation):
    count = gl.count(operation.module(), torch.ones(operation.shape))
    assert (count.lower, count.upper) == (operation.laws, operation.laws)


@pytest.mark.parametrize("operation", [operation for operation in OPERATIONS if operation.shadowed], ids=str)
def test_singular_values_agree(operation):
    # a cell of a piecewise linear module may keep more laws
    counts = [module_count.count_laws(operation.module(), operation.shape, seed=seed) for seed in range(2)]
    assert min(counts) == operation.laws


BRANCH = r"branches on values that depend on the parameters.*use torch.relu.* or a mask made of constants instead"
HERE = r"at \w+.py:\d+: return "
REFUSED = {
    "gt": (lambda x: torch.where(x > 0, x, 0.1 * x), BRANCH + r" \(aten.gt " + HERE),
    "sign": (lambda x: x.sign() * x, BRANCH + r" \(aten.sign " + HERE),
    "round": (torch.round, BRANCH + r" \(aten.round "),
    "asin": (torch.asin, r"no exact rule for aten.asin at .*: replace it by operations that have one, or freeze"),
    "matrix exponential": (lambda x: torch.matrix_exp(torch.outer(x, x)).sum(0), "no exact rule for aten.linalg_matr"),
    "inverse": (lambda x: torch.linalg.inv(torch.outer(x, x) + torch.eye(2)) @ x, "no exact rule for aten.linalg_inv"),
    "median": (lambda x: x - x.median(), "no exact rule for aten.median " + HERE),
    "norm of order one": (lambda x: x / x.norm(p=1), "the vector norm of order 1 has no exact rule: only order 2 has"),
    "power of a variable": (lambda x: 2.0**x, r"the exponent of a power must be a number: write exp\(a log\(b\)\)"),
    "odd power": (lambda x: x**0.3, "the power 0.3 is neither whole nor half-whole: no exact rule"),
    "infinity": (lambda x: x * float("inf"), "computes with the number inf: only a mask that a softmax gets"),
    "mask without softmax": (
        lambda x: x.masked_fill(torch.tensor([True, False]), float("-inf")).exp(),
        "a mask of minus infinities was used outside a softmax: apply softmax to it first",
    ),
    "log softmax of a mask": (
        lambda x: x.masked_fill(torch.tensor([True, False]), float("-inf")).log_softmax(0),
        "log_softmax of masked entries is minus infinity: use softmax",
    ),
    "selected by values": (
        lambda x: torch.outer(x, x)[x > 0].sum(0),
        r"the shape of a tensor depends on values \(aten.index .*: index with whole numbers or multiply by a mask",
    ),
    "selected by a mask": (
        lambda x: torch.outer(x, x)[torch.tensor([True, False])].sum(0),
        r"the shape of a tensor depends on values",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_other_operations_are_refused(name):
    function, sentence = REFUSED[name]
    with pytest.raises(UnsupportedError, match=sentence) as caught:
        gl.count(through(function), torch.ones(2))
    assert "\n" not in str(caught.value)


def test_the_larger_of_two_tensors_has_a_rule_under_either_name():
    for function in (torch.max, torch.maximum, torch.min):
        assert gl.count(through(lambda x, f=function: f(x, x.flip(0))), torch.ones(2)).upper == 1


def test_an_epsilon_of_zero_is_no_epsilon():
    """RMSNorm with eps=0 keeps the length of what goes in, whatever the convention."""
    module = nn.Sequential(nn.Linear(2, 3, bias=False), nn.RMSNorm(3, eps=0.0, elementwise_affine=False))
    assert gl.count(module, torch.ones(2)).lower == 1


def test_the_row_of_the_padding_never_moves():
    module = nn.Sequential(nn.Embedding(3, 2, padding_idx=0), nn.Linear(2, 2, bias=False))
    found = gl.laws(module, torch.tensor([0, 1]))
    assert (found.count.lower, found.count.upper) == (3, 3)
    assert found.laws[0].text == "0.weight[0,k]"


@pytest.mark.parametrize(
    ("act", "laws"), [(lambda x: x.clamp(min=0), 2), (lambda x: x.clamp(min=0.5), 0), (lambda x: x.clamp(0, 6), 0)]
)
def test_a_clamp_at_zero_is_a_relu_and_any_other_is_not(act, laws):
    assert gl.count(through(act), torch.ones(2)).upper == laws


def test_assumptions_name_what_the_module_uses():
    module = between(nn.ReLU(), nn.Dropout(0.5)).train()
    assumptions = gl.count(module, torch.ones(2)).evidence.assumptions
    assert "dropout masks are random factors" in assumptions
    assert any(words.startswith("free gates: piecewise linear") for words in assumptions)
    assert not any("normalisations" in words for words in assumptions)


def test_what_is_computed_and_not_used_needs_no_rule():
    module = Apply(lambda m, x: (functional.gelu(m["a"](x)), m["a"](x).asin())[0], a=nn.Linear(2, 2))
    assert gl.count(module, torch.ones(2)).upper == 0
