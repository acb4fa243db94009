"""Laws that one might expect and that do not hold, each next to the law that does."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import gradlaws as gl
from gradlaws.flows.gradient import GradientFlow
from gradlaws.laws import proof
from gradlaws.laws.gather import GatherLaw
from gradlaws.models.module import from_module
from tests.models.rows import TWO, attention, softmax, sparse_mixture, swiglu_mixture
from tests.models.zoo import Gated, SoftCap, SquaredRelu, Tied, Watched, mlp, normalised_sigmoid_gate, sigmoid_gate
from tests.samplers import FIELD, OTHER_FIELD, generator

CROSS = {"loss": "cross_entropy"}
ZERO = {"eps": "zero"}


def entries(module):
    """For each parameter the places of its entries among all parameters that move."""
    places, start = {}, 0
    for name, p in module.named_parameters():
        if p.requires_grad:
            places[name] = torch.arange(start, start + p.numel()).view(p.shape)
            start += p.numel()
    return places


def law(module, *parts, selection="diagonal"):
    """``sum of c * (rows of entries)``; every part has as many rows as the others."""
    shapes = tuple((name, tuple(p.shape)) for name, p in module.named_parameters() if p.requires_grad)
    rows = torch.cat([place.reshape(len(place), -1) for _, place in parts], 1)
    coefficients = [c for c, place in parts for _ in range(place[0].numel())]
    return GatherLaw(tuple(map(tuple, rows.tolist())), tuple(coefficients), selection, shapes)


def holds(module, inputs, candidate, **options):
    flow = GradientFlow(from_module(module, inputs, **options))
    return proof.tested(flow, candidate, [FIELD, OTHER_FIELD], generator(1)).held


def squares_of_a_layer(module, first, second, coefficient=-1):
    """``|first[k,:]|^2 + coefficient |second[:,k]|^2``"""
    at = entries(module)
    return law(module, (1, at[first]), (coefficient, at[second].T))


@pytest.mark.parametrize(("act", "truth"), [(nn.ReLU, True), (nn.GELU, False), (nn.SiLU, False), (nn.Tanh, False)])
def test_the_law_of_relu_is_none_of_smooth_units(act, truth):
    module = mlp((2, 3, 2), act)
    assert holds(module, torch.ones(2), squares_of_a_layer(module, "0.weight", "2.weight")) is truth


@pytest.mark.parametrize(("power", "truth"), [(-2, True), (-1, False)])
def test_squared_relu_counts_twice(power, truth):
    module = mlp((2, 3, 2), SquaredRelu)
    assert holds(module, torch.ones(2), squares_of_a_layer(module, "0.weight", "2.weight", power)) is truth


@pytest.mark.parametrize(("matrix", "truth"), [("up.weight", True), ("gate.weight", False)])
def test_of_swiglu_the_up_matrix_enters_and_the_gate_does_not(matrix, truth):
    module = Gated(2, 3)
    assert holds(module, torch.ones(2), squares_of_a_layer(module, matrix, "down.weight")) is truth


def test_single_entries_of_swiglu_are_not_balanced():
    module = Gated(2, 3)
    at = entries(module)
    wrong = law(module, (1, at["down.weight"][:1, :1]), (-1, at["up.weight"][:1, :1]))
    assert not holds(module, torch.ones(2), wrong)


@pytest.mark.parametrize(("bias", "truth"), [(True, True), (False, False)])
def test_the_law_of_swiglu_needs_its_bias(bias, truth):
    module = Gated(2, 3, bias=True)
    at = entries(module)
    parts = [(1, at["up.weight"]), (-1, at["down.weight"].T)] + [(1, at["up.bias"].unsqueeze(1))] * bias
    assert holds(module, torch.ones(2), law(module, *parts)) is truth


def query_key(module, selection="matrix"):
    at = entries(module)
    return law(module, (1, at["q.weight"]), (-1, at["k.weight"]), selection=selection)


@pytest.mark.parametrize(("frequencies", "truth"), [((), True), ((1.0,), False)])
def test_the_gram_law_does_not_survive_rotations(frequencies, truth):
    module = attention(2, 2, frequencies=frequencies)()
    assert holds(module, torch.ones(3, 2), query_key(module)) is truth


def blocks(module, pairs):
    """Squares of pairs of query columns minus those of the key."""
    at = entries(module)
    return law(
        module, *[(c, at[f"{name}.weight"][torch.tensor(pairs)].flatten(1)) for c, name in ((1, "q"), (-1, "k"))]
    )


@pytest.mark.parametrize(("pairs", "truth"), [([[0, 2], [1, 3]], True), ([[0, 1], [2, 3]], False)])
def test_rotated_columns_pair_with_their_other_half(pairs, truth):
    module = attention(3, 4, frequencies=TWO)()
    assert holds(module, torch.ones(3, 3), blocks(module, pairs)) is truth


@pytest.mark.parametrize(("norm", "truth"), [(False, True), (True, False)])
def test_the_block_law_does_not_survive_a_norm_of_queries_and_keys(norm, truth):
    module = attention(3, 4, frequencies=TWO, qk_norm=norm)()
    assert holds(module, torch.ones(2, 3), blocks(module, [[0, 2], [1, 3]]), **ZERO) is truth


def test_one_head_of_a_group_is_not_balanced_alone():
    module = attention(2, 2, 2, 1)()
    at = entries(module)
    heads = at["q.weight"].view(2, 2, 2)
    together = law(module, (1, heads[0]), (1, heads[1]), (-1, at["k.weight"]), selection="matrix")
    alone = law(module, (1, heads[0]), (-1, at["k.weight"]), selection="matrix")
    assert holds(module, torch.ones(2, 2), together)
    assert not holds(module, torch.ones(2, 2), alone)


@pytest.mark.parametrize(("frequencies", "truth"), [((), True), ((1.0,), False)])
def test_key_biases_move_only_under_rotations(frequencies, truth):
    module = attention(2, 2, bias=True, frequencies=frequencies)()
    frozen = law(module, (1, entries(module)["k.bias"].unsqueeze(1)), selection="linear")
    assert holds(module, torch.ones(3, 2), frozen) is truth


def router_sum(module, name="router.weight"):
    return law(module, (1, entries(module)[name].T), selection="linear")


@pytest.mark.parametrize(
    ("module", "truth"),
    [
        (swiglu_mixture(2, 2, 1, softmax), True),
        (sparse_mixture(3, 2, softmax), True),
        (swiglu_mixture(2, 2, 1, sigmoid_gate), False),
        (swiglu_mixture(2, 2, 1, normalised_sigmoid_gate), False),
        (sparse_mixture(3, 2, normalised_sigmoid_gate), False),
    ],
    ids=["softmax", "sparse softmax", "sigmoid", "normalised sigmoid", "sparse normalised sigmoid"],
)
def test_routers_conserve_their_sum_under_softmax_only(module, truth):
    assert holds(module, torch.ones(2), router_sum(module)) is truth


@pytest.mark.parametrize(
    ("watch", "truth"), [(softmax, True), (lambda z: z.logsumexp(-1) ** 2, False)], ids=["load balance", "z-loss"]
)
def test_a_z_loss_breaks_the_sum_of_the_router_and_a_load_balance_does_not(watch, truth):
    module = Watched(swiglu_mixture(2, 2, 1, softmax), watch)
    assert holds(module, torch.ones(2), router_sum(module, "mixture.router.weight")) is truth


@pytest.mark.parametrize(("options", "truth"), [(CROSS, True), ({}, False), ({"loss": "bce"}, False)])
def test_columns_of_a_head_add_up_under_cross_entropy_only(options, truth):
    module = nn.Linear(2, 3, bias=False)
    assert holds(module, torch.ones(2), router_sum(module, "weight"), **options) is truth


def test_capped_logits_and_tied_heads_do_not_keep_the_sum():
    capped, tied = SoftCap(2, 3), Tied(3, 2)
    assert not holds(capped, torch.ones(2), router_sum(capped, "head.weight"), **CROSS)
    assert not holds(tied, torch.tensor([0, 1]), router_sum(tied, "table.weight"), **CROSS)


@pytest.mark.parametrize(("eps", "truth"), [("zero", True), ("generic", False)])
def test_what_goes_into_a_norm_keeps_its_length_without_epsilon_only(eps, truth):
    module = nn.Sequential(nn.Linear(2, 3, bias=False), nn.RMSNorm(3, elementwise_affine=False))
    whole = law(module, (1, entries(module)["0.weight"].reshape(1, -1)))
    assert holds(module, torch.ones(2), whole, eps=eps) is truth


def counterexample(gate):
    """The two experts of section 1.8 of the sheet on modern architectures, and one sample with target zero."""
    module = swiglu_mixture(2, 3, 1, gate).double()
    log3 = float(torch.tensor(3.0, dtype=torch.float64).log())
    with torch.no_grad():
        for p in module.parameters():
            p.zero_()
        module.router.weight[1, 0] = log3
        second = module.experts[1]
        second.gate.weight[0, 0], second.up.weight[0, 0] = log3, 1.0
        second.down.weight[0, 0] = 4 / (3 * log3)
    return module, torch.tensor([1.0, 0.0, 0.0], dtype=torch.float64)


@pytest.mark.parametrize(("gate", "drift"), [(normalised_sigmoid_gate, 9 / 250), (softmax, 0.0)])
def test_row_35_the_counterexample_to_a_published_law(gate, drift):
    """Theorem 4.7 of arXiv 2606.17816 says that normalised sigmoid routers conserve the sum of their rows.

    The sheet holds against it one sample at which that sum moves at the rate 9/250, while a softmax router keeps it.
    """
    module, x = counterexample(gate)
    (0.5 * module(x).square().sum()).backward()
    velocity = -module.router.weight.grad.sum(0)
    assert torch.allclose(velocity, torch.tensor([drift, 0.0, 0.0], dtype=torch.float64), atol=1e-15)


def test_row_35_the_engine_finds_the_laws_of_the_experts_and_no_others():
    """n d1 = 2 laws for the router of row 35, where the theorem claims n d1 + d = 5; the upper bound is proved."""
    module, x = counterexample(normalised_sigmoid_gate)
    found = gl.laws(module, x)
    assert (found.count.lower, found.count.upper) == (2, 2)
    assert all("router" not in law.text for law in found.laws)
