"""Samples of the weights, and what a change between two steps looks like."""

import pytest
import torch
from torch import nn

from gradlaws.training.names import Live
from gradlaws.training.outside import changed, cosine, same, sample, sample_gradients
from tests.samplers import generator


def live(*shape, seed=0):
    values = torch.randn(shape, generator=generator(seed), dtype=torch.float64)
    return {"w": Live("w", nn.Parameter(values), (), False)}


@pytest.mark.parametrize("shape", [(1,), (512,), (513,), (40, 64), (300, 256), ()])
def test_a_sample_is_small_and_reaches_every_part(shape):
    tensors = live(*shape)
    size = tensors["w"].parameter.numel()
    with torch.no_grad():
        tensors["w"].parameter.copy_(torch.arange(size).view(shape))
    taken = sample(tensors)["w"]
    assert min(size, 170) <= len(taken) <= 512
    assert float(taken[-1]) > 0.9 * (size - 1) or size == 1
    if len(shape) == 2:
        assert len({int(i) % shape[1] for i in taken}) > shape[1] // 2


def test_samples_are_copies():
    tensors = live(4)
    before = sample(tensors)
    with torch.no_grad():
        tensors["w"].parameter.add_(1)
    assert not torch.equal(before["w"], sample(tensors)["w"])
    assert sample_gradients(tensors) == {}


def test_equal_gradients():
    one, zero = {"w": torch.ones(3)}, {"w": torch.zeros(3)}
    assert same(one, {"w": torch.ones(3)})
    assert not same(zero, {"w": torch.zeros(3)})
    assert not same(one, zero)
    assert not same(one, {})


def seen(delta, seed=0):
    """A change by delta(weights, last update) after one update along the gradient."""
    origin, grad = (torch.randn(64, generator=generator(s), dtype=torch.float64) for s in (seed, seed + 1))
    earlier = origin + 1e-3 * grad
    left = earlier - 0.1 * grad
    found = left + delta(left, left - earlier)
    events = changed(*({"w": x} for x in (origin, earlier, grad, left, found)))
    return events[0] if events else None


def test_no_change_is_no_event():
    assert seen(lambda theta, update: 0 * theta) is None


def test_a_diverged_run_is_no_event():
    assert seen(lambda theta, update: theta * float("nan")) is None


def test_shapes_of_changes():
    twice = seen(lambda theta, update: update)
    assert twice.along == pytest.approx(1)
    assert twice.entries == 64
    back = seen(lambda theta, update: -0.5 * update)
    assert back.back == pytest.approx(1)
    scaled = seen(lambda theta, update: -0.25 * theta)
    assert (scaled.scaled, scaled.factor, scaled.size) == pytest.approx((-1, 0.75, 0.25))


def test_the_cosine_of_nothing_is_zero():
    assert cosine(torch.zeros(3), torch.ones(3)) == 0
