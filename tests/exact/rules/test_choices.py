"""Rules that draw gates, weights or an order: what holds whatever is drawn."""

import pytest
import torch
from torch.nn import functional as F

from gradlaws.errors import UnsupportedError
from gradlaws.exact.jet import Jet, constant
from tests.exact.rules.cases import Case
from tests.exact.rules.program import BATCH, context_of, run
from tests.samplers import GUARDED, residues

SIGNAL = (1, 1, 6)
IMAGE = (1, 1, 4, 4)


def topk_twice(w):
    values, places = w.topk(2, -1)
    return w.gather(-1, places) - values


def places_of_maxima(w):
    values, places = w.max(-1)
    return w.gather(-1, places.unsqueeze(-1)).squeeze(-1) - values


LINEAR = [
    Case("relu", torch.relu, (3,)),
    Case("leaky relu", F.leaky_relu, (3,)),
    Case("abs", torch.abs, (3,)),
    Case("clamp at zero", lambda w: w.clamp(min=0), (3,)),
    Case("clamp below zero", lambda w: w.clamp(max=0.0), (3,)),
    Case("threshold at zero", lambda w: F.threshold(w, 0.1, 0.0), (3,)),
    Case("dropout", F.dropout, (3,)),
    Case("dropout of channels", F.dropout1d, (2, 3)),
    Case("max pool 1d", lambda w: F.max_pool1d(w, 2), SIGNAL),
    Case("max pool 2d", lambda w: F.max_pool2d(w, 2, 1, 1), IMAGE),
    Case("max pool 3d", lambda w: F.max_pool3d(w, 2), (1, 1, 2, 2, 4)),
    Case("adaptive max pool 2d", lambda w: F.adaptive_max_pool2d(w, 3), IMAGE),
    Case("amax", lambda w: w.amax(-1), (2, 3)),
    Case("max", torch.max, (2, 3)),
    Case("max along an axis", lambda w: w.max(0, keepdim=True).values, (2, 3)),
    Case("min along an axis", lambda w: w.min(1)[0], (2, 3)),
    Case("maximum", lambda w: torch.maximum(w[0], w[1]), (2, 3)),
    Case("top two", lambda w: w.topk(2).values, (2, 3)),
    Case("sorted", lambda w: w.sort(0).values, (3, 2)),
    Case("sorted by places", lambda w: w.gather(0, w.argsort(0)), (3, 2)),
    Case("best", lambda w: F.one_hot(w.argmax(-1), 3) * w, (2, 3)),
]
"""Linear for every choice."""

AVERAGES = [
    Case("ones: max pool 1d", lambda w: F.max_pool1d(0 * w + 1, 3, 2, 1) - 1, SIGNAL),
    Case("ones: max pool, dilated", lambda w: F.max_pool1d(0 * w + 1, 2, 1, 1, 2, True) - 1, SIGNAL),
    Case("ones: max pool 2d", lambda w: F.max_pool2d(0 * w + 1, 2, 1, 1) - 1, IMAGE),
    Case("ones: max pool 3d", lambda w: F.max_pool3d(0 * w + 1, 2, 1) - 1, (1, 1, 2, 2, 3)),
    Case("ones: adaptive max pool", lambda w: F.adaptive_max_pool1d(0 * w + 1, 4) - 1, SIGNAL),
    Case("shift: amax", lambda w: (w + 1 - w).amax(-1) - 1, (2, 3)),
    Case("shift: maximum", lambda w: torch.maximum(w, w) - w, (3,)),
    Case("sum: sort", lambda w: w.sort(-1).values.sum(-1) - w.sum(-1), (2, 3)),
    Case("places: topk", topk_twice, (2, 3)),
    Case("places: max", places_of_maxima, (2, 3)),
    Case("one: argmax", lambda w: F.one_hot(w.argmax(), 6).sum() - w / w, (2, 3)),
    Case("identity: dropout that is off", lambda w: F.dropout(w, training=False) - w, (3,)),
    Case("identity: a clamp that guards a division", lambda w: w.clamp(min=1e-12) - w, (3,)),
    Case("equal pieces: prelu", lambda w: F.prelu(w, w.new_ones(1)) - w, (1, 3)),
]
"""Zero for every choice."""


PIECES = [
    Case("relu6", F.relu6, (3,)),
    Case("hardtanh", F.hardtanh, (3,)),
    Case("clamp", lambda w: w.clamp(-1, 2), (3,)),
    Case("threshold", lambda w: F.threshold(w, 0.1, 20.0), (3,)),
    Case("hardsigmoid", F.hardsigmoid, (3,)),
    Case("noisy dropout", lambda w: F.alpha_dropout(w, 0.5, True), (3,)),
]
"""Affine for every choice, and constant on some cell."""

CURVED = [
    Case("elu", F.elu, (3,)),
    Case("celu", lambda w: F.celu(w, 0.7), (3,)),
    Case("selu", F.selu, (3,)),
    Case("hardswish", F.hardswish, (3,)),
]
EVERY = (*LINEAR, *AVERAGES, *PIECES, *CURVED)


def outputs(case, order=2, seed=3, w=None):
    """Coefficients of the output at random jets."""
    w = residues((2**order, BATCH, *case.shape), 1, GUARDED) if w is None else w
    out = run(EVERY, case, Jet(w, GUARDED), context_of(EVERY, GUARDED, seed=seed))
    c = out.coefficients.expand(-1, BATCH, *out.shape)
    return torch.cat([c, c.new_zeros(len(w) - len(c), *c.shape[1:])])


def shifted(case):
    """f(w) + f(w') - f(w + w') - f(0): zero for affine maps."""
    first, second = (residues((1, BATCH, *case.shape), seed, GUARDED) for seed in (1, 2))
    points = (first, second, GUARDED.reduce(first + second), torch.zeros_like(first))
    a, b, both, none = (outputs(case, 0, w=point) for point in points)
    return GUARDED.reduce(a + b - both - none), none


@pytest.mark.parametrize("case", LINEAR, ids=str)
def test_piecewise_linear_units_are_linear_once_the_gates_are_drawn(case):
    difference, at_zero = shifted(case)
    assert not bool(difference.any())
    assert not bool(at_zero.any())
    assert bool(outputs(case).any())


@pytest.mark.parametrize("case", PIECES, ids=str)
def test_saturated_units_are_affine_and_not_linear(case):
    difference, at_zero = shifted(case)
    assert not bool(difference.any())
    assert bool(at_zero.any())


@pytest.mark.parametrize("case", CURVED, ids=str)
def test_curved_pieces_are_curved(case):
    difference, _ = shifted(case)
    assert bool(difference.any())


@pytest.mark.parametrize("case", [*LINEAR, *PIECES, *CURVED], ids=str)
def test_other_choices_give_other_values(case):
    assert not torch.equal(outputs(case, seed=3), outputs(case, seed=4))


@pytest.mark.parametrize("case", AVERAGES, ids=str)
def test_what_holds_for_every_choice_holds(case):
    for seed in (3, 4):
        assert not bool(outputs(case, seed=seed).any())


@pytest.mark.parametrize("case", [c for c in LINEAR if "pool" in c.name or c.name in ("amax", "max")], ids=str)
def test_every_entry_of_a_window_counts(case):
    """The value of a maximum moves with each entry that can be the largest."""
    w = torch.zeros(1, BATCH, *case.shape, dtype=torch.float64)
    flat = w.flatten(2)
    for i in range(flat.shape[-1]):
        flat.zero_()
        flat[..., i] = 1.0
        assert bool(outputs(case, 0, w=w).any())


def test_values_of_topk_are_distinct_entries():
    case = next(case for case in LINEAR if case.name == "top two")
    w = residues((1, BATCH, 2, 3), 5, GUARDED)
    for found, row in zip(outputs(case, 0, w=w).flatten(0, 2).tolist(), w.flatten(0, 2).tolist(), strict=True):
        assert len(set(found)) == 2
        assert set(found) <= set(row)


def test_prelu_mixes_the_identity_and_the_slope():
    w = residues((1, BATCH, 3, 2), 5, GUARDED)
    context = context_of(PRELU, GUARDED)
    (gate,) = context.choices.values()
    out = run(PRELU, PRELU[0], Jet(w, GUARDED), context)
    slope = constant(w[0, :, :1, :], GUARDED)
    one = constant(torch.ones(1, 1, 1, dtype=torch.float64), GUARDED)
    expected = constant(w[0, :, 1:], GUARDED) * (gate + (one - gate) * slope)
    assert torch.equal(out.coefficients, expected.coefficients)


PRELU = (Case("prelu of channels", lambda w: F.prelu(w[1:], w[0]), (3, 2)),)


def test_clamps_between_tensors_are_refused():
    case = (Case("clamp between tensors", lambda w: w.clamp(min=torch.zeros(3)), (3,)),)
    with pytest.raises(
        UnsupportedError, match=r"the limits of a clamp must be numbers \(aten.clamp at program.py:\d+: return"
    ):
        run(case, case[0], Jet(residues((1, BATCH, 3), 1, GUARDED), GUARDED))
