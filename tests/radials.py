"""Radial networks for tests: random, of a size at which their activations do something."""

from __future__ import annotations

import torch

from gradlaws.models.quiver import QuiverNetwork
from gradlaws.models.radial import PROFILES, RadialMLP
from tests.samplers import generator

__all__ = ["PROFILES", "mlp", "quiver", "randomise"]

QUIVERS = {
    "skip over b": (
        {"a": 2, "b": 4, "c": 8, "d": 2},
        [("a", "b"), ("a", "c"), ("b", "c"), ("c", "d")],
        {"b": 3, "c": 6},
        (86, 59),
    ),
    "two inputs, two outputs": (
        {"a": 1, "b": 2, "c": 8, "d": 2, "e": 6},
        [("a", "c"), ("b", "c"), ("c", "d"), ("c", "e")],
        {"c": 4},
        (104, 56),
    ),
    "two paths": (
        {"a": 2, "b": 4, "c": 4, "d": 8, "e": 2},
        [("a", "b"), ("a", "c"), ("b", "d"), ("c", "d"), ("d", "e")],
        {"b": 3, "c": 3, "d": 7},
        (114, 83),
    ),
    "skip in the middle": (
        {"x": 2, "h1": 10, "h2": 10, "h3": 20, "y": 1},
        [("x", "h1"), ("h1", "h2"), ("h2", "h3"), ("h3", "y"), ("h1", "h3")],
        {"h1": 3, "h2": 4, "h3": 8},
        (581, 98),
    ),
}
"""Dimensions, arrows, reduced dimensions with biases and parameter counts: reference sheet 6.1."""


def randomise(net, seed=0, size=1.0, biases=True):
    """Normal weights of this size over the root of the incoming width; normal biases or zero ones."""
    random = generator(seed)
    with torch.no_grad():
        for p in net.parameters():
            drawn = torch.randn(p.shape, generator=random, dtype=torch.float64)
            p.copy_(drawn * size / p.shape[1] ** 0.5 if p.dim() > 1 else drawn * biases)
    return net


def mlp(widths, activation="squashing", seed=0, dtype=torch.float64, biases=True, **options):
    """A random `RadialMLP`."""
    return randomise(RadialMLP(widths, activation, dtype=dtype, **options), seed, biases=biases)


def quiver(dimensions, arrows, activation="squashing", seed=0, **options):
    """A random `QuiverNetwork` in float64."""
    return randomise(QuiverNetwork(dimensions, arrows, activation, dtype=torch.float64, **options), seed)
