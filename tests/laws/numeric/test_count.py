"""Counts of the float64 engine: against the exact engine, at given weights, on given data, and its refusals."""

import random
from functools import cache

import pytest
import torch
from torch import nn

import gradlaws as gl
from gradlaws.errors import InputError, UnclearError, UnsupportedError
from gradlaws.laws.count import Status
from gradlaws.laws.numeric import count, elementary
from gradlaws.laws.numeric.compare import compare
from gradlaws.laws.numeric.count import numeric_count
from tests.modules import Block, Gated, Head, Through, WrongSecond, WrongThird, mlp

VECTOR = torch.zeros(1, 2)

CASES = {
    "relu": (lambda: mlp(nn.ReLU, 2, 3, 2, bias=False), VECTOR),
    "relu with bias": (lambda: mlp(nn.ReLU, 2, 3, 2), VECTOR),
    "deep relu with bias": (lambda: mlp(nn.ReLU, 2, 3, 3, 2), VECTOR),
    "narrow deep relu": (lambda: mlp(nn.ReLU, 2, 2, 2, 2, 2, bias=False), VECTOR),
    "leaky relu": (lambda: mlp(nn.LeakyReLU, 2, 2, 2), VECTOR),
    "prelu": (lambda: mlp(nn.PReLU, 2, 2, 2, bias=False), VECTOR),
    "linear": (lambda: mlp(nn.Identity, 2, 2, 2, bias=False), VECTOR),
    "deep linear": (lambda: mlp(nn.Identity, 2, 3, 3, 2, bias=False), VECTOR),
    "tanh": (lambda: mlp(nn.Tanh, 2, 3, 2), VECTOR),
    "gated": (Gated, VECTOR),
    "attention": (Head, torch.zeros(1, 2, 3)),
    "norm": (lambda: nn.Sequential(nn.LayerNorm(3), nn.Linear(3, 2)), torch.zeros(1, 3)),
    "norm between": (lambda: nn.Sequential(nn.Linear(2, 3), nn.RMSNorm(3), nn.Linear(3, 2)), VECTOR),
    "residual block": (Block, torch.zeros(1, 3)),
    "max pool": (
        lambda: nn.Sequential(nn.Conv2d(1, 2, 2), nn.MaxPool2d(2), nn.Conv2d(2, 1, 1)),
        torch.zeros(1, 1, 3, 3),
    ),
    "tokens": (lambda: nn.Sequential(nn.Embedding(3, 2), nn.Linear(2, 2, bias=False)), torch.tensor([[0, 1]])),
}


@cache
def exact_count(name, **options):
    make, inputs = CASES[name]
    return gl.count(make(), inputs, **options)


@pytest.mark.parametrize("name", CASES)
def test_both_engines_count_the_same(name):
    make, inputs = CASES[name]
    numeric = numeric_count(make(), inputs)
    assert numeric.of_the_architecture
    exact = exact_count(name)
    compare(exact, numeric)
    assert (exact.lower, exact.upper, exact.parameters) == (numeric.count, numeric.count, numeric.parameters)
    assert numeric.gap.ratio > 1e6


@pytest.mark.parametrize("name", ["relu", "linear", "attention"])
def test_cross_entropy_adds_the_sums_of_the_head(name):
    make, inputs = CASES[name]
    numeric = numeric_count(make(), inputs, loss="cross_entropy")
    compare(exact_count(name, loss="cross_entropy"), numeric)
    assert numeric.count > exact_count(name).upper


def test_a_part_of_a_module_and_frozen_parameters_leave_the_others_fixed():
    part = numeric_count(mlp(nn.ReLU, 2, 3, 2), VECTOR, parameters="2")
    compare(gl.count(mlp(nn.ReLU, 2, 3, 2), VECTOR, parameters="2"), part)
    frozen = mlp(nn.ReLU, 2, 3, 2)
    frozen[0].requires_grad_(False)
    assert (part.parameters, part.count) == (8, 0) == (numeric_count(frozen, VECTOR).parameters, 0)
    bias = mlp(nn.ReLU, 2, 3, 2)
    bias[0].bias.requires_grad_(False)
    numeric = numeric_count(bias, VECTOR)
    assert (numeric.parameters, numeric.count) == (14, 0)
    compare(gl.count(bias, VECTOR), numeric)


def one_dead_one_always():
    """Unit 0 never opens on inputs of length below 1, unit 1 always is, units 2 and 3 do both; one more layer."""
    module = mlp(nn.ReLU, 2, 4, 2)
    with torch.no_grad():
        module[0].weight[:2].clamp_(-0.5, 0.5)
        module[0].bias[:] = torch.tensor([-3.0, 3.0, 0.1, -0.1])
    return module


def many_inputs(count=60):
    x = torch.randn(count, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    return x / x.norm(dim=1, keepdim=True) * torch.linspace(0.1, 1, count, dtype=torch.float64)[:, None]


@pytest.mark.parametrize("as_data", [False, True])
def test_a_dead_unit_freezes_its_weights(as_data):
    inputs = {"data": many_inputs()} if as_data else {}
    numeric = numeric_count(one_dead_one_always(), many_inputs(3) if as_data else many_inputs(), at="weights", **inputs)
    assert (numeric.units.total, numeric.units.off, numeric.units.on) == (4, 1, 1)
    assert [str(f) for f in numeric.frozen] == [
        "0.weight[0,:] never moves",
        "0.bias[0] never moves",
        "2.weight[:,0] never moves",
    ]
    # five frozen entries in place of the law of unit 0, and one law for each of the other three
    assert numeric.count == 5 + 3
    assert len(numeric.laws) == 3
    assert not numeric.of_the_architecture
    compare(gl.count(one_dead_one_always(), VECTOR), numeric)


def test_units_that_are_always_active_are_linear():
    module = mlp(nn.ReLU, 2, 3, 2)
    with torch.no_grad():
        module[0].bias[:] = torch.tensor([5.0, 4.0, 0.0])
    numeric = numeric_count(module, many_inputs(), at="weights")
    assert (numeric.units.off, numeric.units.on) == (0, 2)
    assert numeric.count == 4, "three norms and the inner product of the two that are always active"
    assert "of 3 units 0 never open and 2 always are" in str(numeric)


def test_inputs_on_a_line_give_more_laws():
    """x = t (1, 2): the first layer moves along (1, 2) only, so each of its rows keeps the product with (2, -1)."""
    line = torch.linspace(-2, 2, 9)[:, None] * torch.tensor([1.0, 2.0])
    everywhere = numeric_count(mlp(nn.Tanh, 2, 3, 2), VECTOR)
    on_line = numeric_count(mlp(nn.Tanh, 2, 3, 2), VECTOR, data=line)
    assert (everywhere.count, on_line.count) == (0, 3)
    assert on_line.narrowed
    compare(gl.count(mlp(nn.Tanh, 2, 3, 2), VECTOR), on_line)


def test_data_come_with_or_without_a_batch_axis():
    rows = torch.linspace(-2, 2, 9)[:, None] * torch.tensor([1.0, 2.0])
    counts = {
        numeric_count(mlp(nn.Tanh, 2, 2, 2), x, data=d).count
        for x, d in [(VECTOR, rows), (rows[0], rows), (VECTOR, (rows[:, None],))]
    }
    assert counts == {2}


def test_a_padding_token_never_moves():
    module = nn.Sequential(nn.Embedding(3, 2, padding_idx=1), nn.Linear(2, 2, bias=False))
    numeric = numeric_count(module, torch.tensor([[0, 1]]))
    assert [str(f) for f in numeric.frozen] == ["0.weight[1,:] never moves"]


def test_the_module_and_torch_are_left_as_they_are():
    module = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2), nn.Dropout(0.3), nn.ReLU(inplace=True), nn.Linear(2, 1))
    module[0].bias.requires_grad_(False)
    inputs = torch.zeros(3, 2)
    tensors = {**dict(module.named_parameters()), **dict(module.named_buffers()), "x": inputs}
    before = {name: t.detach().clone() for name, t in tensors.items()}
    torch.manual_seed(3)
    random.seed(3)
    state, plain = torch.get_rng_state(), random.getstate()
    numeric_count(module, inputs)
    assert torch.equal(torch.get_rng_state(), state)
    assert random.getstate() == plain
    assert torch.get_default_dtype() == torch.float32
    assert torch.backends.cuda.flash_sdp_enabled()
    assert module.training
    assert not module[0].bias.requires_grad
    for name, t in tensors.items():
        assert t.dtype == before[name].dtype
        assert torch.equal(t, before[name])
        assert t.grad is None


def test_the_seed_fixes_everything():
    first, again, other = (numeric_count(Head(), torch.zeros(1, 2, 3), seed=s) for s in (4, 4, 5))
    assert (first.gap, first.levels, first.laws) == (again.gap, again.levels, again.laws)
    assert first.gap.last != other.gap.last
    assert first.count == other.count


def test_what_it_says():
    heard = []
    numeric = numeric_count(mlp(nn.ReLU, 2, 3, 2), VECTOR, on_progress=lambda stage, done: heard.append((stage, done)))
    text = str(numeric)
    assert text.startswith(
        "Sequential: 3 NUMERIC independent laws, 17 parameters\n  rank by bracket length: 14 + 0, seed 0"
    )
    assert "rank 14, singular values" in text
    assert "|0.weight[1,:]|^2 + |0.bias[1]|^2 - |2.weight[:,1]|^2" in text
    assert heard[-1] == ("real brackets of length 2", 1.0)
    assert (numeric.as_count.lower, numeric.as_count.upper) == (3, 3)
    assert numeric.as_count.status is numeric.status is Status.NUMERIC
    assert str(numeric.as_count) == "3 NUMERIC"


class Tiny(nn.Linear):
    """Sees its last input through a factor of 1e-9."""

    def forward(self, x):
        return super().forward(x * torch.tensor([1.0, 1e-9]))


def test_a_direction_that_hardly_moves_is_refused():
    sentence = (
        r"the rank of brackets of Tiny up to length 1 \(seed 0\) is not clear.*far above rounding.*try another seed"
    )
    with pytest.raises(UnclearError, match=sentence):
        numeric_count(Tiny(2, 2), VECTOR)


def test_a_ratio_that_is_asked_for_is_kept():
    with pytest.raises(UnclearError, match=r"singular values fall most from .* only, expected 1e\+15 or more"):
        numeric_count(mlp(nn.ReLU, 2, 3, 2), VECTOR, ratio=1e15)


class Stopped(nn.Linear):
    """A part of its output is held back from the backward pass."""

    def forward(self, x):
        return super().forward(x) + super().forward(x).detach() ** 2


@pytest.mark.parametrize(
    ("module", "order"), [(Stopped(2, 2), 1), (Through(WrongSecond.apply), 2), (Through(WrongThird.apply), 3)]
)
def test_wrong_derivatives_are_noticed(module, order):
    with pytest.raises(UnclearError, match=f"derivatives of order {order} of .* contradict finite differences"):
        numeric_count(module, VECTOR)


def test_the_third_derivative_of_a_fused_norm_would_be_noticed(monkeypatch):
    """Planted: torch's own layer_norm, whose third derivative is off by 1%."""
    monkeypatch.setattr(elementary, "NORMS", {})
    with pytest.raises(UnclearError, match="derivatives of order 3 of Sequential contradict finite differences"):
        numeric_count(nn.Sequential(nn.Linear(2, 3), nn.LayerNorm(3), nn.Linear(3, 2)), VECTOR)


def test_a_rank_that_keeps_growing_is_refused(monkeypatch):
    monkeypatch.setattr(count, "MAX_LEVEL", 2)
    with pytest.raises(UnclearError, match=r"the rank still grows with brackets of length 2 \(now 8 of 21\)"):
        numeric_count(mlp(nn.Identity, 2, 3, 3, 2, bias=False), VECTOR)


class Whole(nn.Module):
    """Returns whole numbers."""

    def __init__(self):
        super().__init__()
        self.w = nn.Parameter(torch.ones(2))

    def forward(self, x):
        return (self.w * x).long()


@pytest.mark.parametrize(
    ("module", "inputs", "options", "error", "sentence"),
    [
        (nn.Linear(2, 2), VECTOR, {"loss": "hinge"}, InputError, "unknown loss 'hinge': expected one of any, mse"),
        (nn.Linear(2, 2), VECTOR, {"at": "home"}, InputError, "unknown point 'home': expected one of generic, weights"),
        (nn.Linear(2, 2), VECTOR, {"seed": -1}, InputError, "seed -1 is out of range"),
        (nn.Linear(2, 2), VECTOR, {"ratio": 0.5}, InputError, "a ratio of 0.5 is no gap"),
        (nn.Linear(2, 2), VECTOR, {"parameters": "h"}, InputError, "no trainable parameter of Linear is under 'h'"),
        (
            nn.Linear(2, 2),
            VECTOR,
            {"data": torch.zeros(5, 3)},
            InputError,
            r"data of shapes \[\(5, 3\)\] do not go with",
        ),
        (nn.Linear(2, 2), VECTOR, {"data": [1.0]}, InputError, r"data of shapes \['float'\] do not go with"),
        (nn.Linear(2, 2), torch.zeros(1, 3), {}, InputError, "Linear fails on the example inputs in float64: "),
        (nn.ReLU(), VECTOR, {}, InputError, "ReLU has no parameters that require a gradient"),
        (Whole(), VECTOR, {}, UnsupportedError, "Whole returns no floating point tensor"),
    ],
)
def test_what_cannot_be_answered_is_refused(module, inputs, options, error, sentence):
    with pytest.raises(error, match=sentence):
        numeric_count(module, inputs, **options)


def test_a_module_that_cannot_be_copied_is_refused():
    module = nn.Linear(2, 2)
    module.lines = (line for line in ())
    with pytest.raises(UnsupportedError, match="cannot copy Linear to float64: cannot pickle 'generator' object"):
        numeric_count(module, VECTOR)


def test_outputs_that_no_parameter_reaches_conserve_everything():
    class Idle(nn.Linear):
        def forward(self, x):
            return x

    numeric = numeric_count(Idle(2, 2), VECTOR)
    assert (numeric.count, numeric.parameters, numeric.gap.rank) == (6, 6, 0)
    assert [str(f) for f in numeric.frozen] == ["weight never moves", "bias never moves"]
