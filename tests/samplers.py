"""Random inputs. What a sampler promises is itself tested, in test_samplers.py."""

from __future__ import annotations

import torch
from hypothesis import strategies as st
from torch import Tensor

from gradlaws.exact.field import DEFAULT_PRIMES, PrimeField
from gradlaws.models.network import ACTIVATIONS, Network

FIELD = PrimeField(DEFAULT_PRIMES[0])
OTHER_FIELD = PrimeField(DEFAULT_PRIMES[1])
GUARDED = PrimeField(DEFAULT_PRIMES[0], guard=True)

SMALL_NETWORKS = (
    Network("linear", (2, 2, 2)),
    Network("linear", (2, 3, 1, 2)),
    Network("linear", (2, 2, 3), bias=True),
    Network("relu", (2, 3, 2)),
    Network("relu", (2, 2, 2, 1), bias=True),
    Network("leaky", (1, 2, 2), bias=True, output_bias=True),
    Network("square", (2, 2, 2)),
    Network("square", (1, 2, 1), bias=True),
)
"""One or two of every kind, small enough to expand."""


def spec_of(network: Network) -> str:
    """How a test of a network is named."""
    return network.name


def generator(seed: int = 0) -> torch.Generator:
    """A fresh source of random numbers."""
    return torch.Generator().manual_seed(seed)


def residues(shape: tuple[int, ...], seed: int = 0, field: PrimeField = FIELD) -> Tensor:
    """Uniform residues."""
    return field.random(shape, generator(seed))


def low_rank(rows: int, columns: int, rank: int, seed: int = 0, field: PrimeField = FIELD) -> Tensor:
    """A product of two thin random matrices: rank exactly `rank`, but for a chance of about 2/p."""
    left, right = residues((rows, rank), seed, field), residues((rank, columns), seed + 1, field)
    return field.matmul(left, right)


@st.composite
def networks(draw: st.DrawFn, largest: int = 30, kinds: tuple[str, ...] = ACTIVATIONS) -> Network:
    """A network with 2 to 4 layers, widths 1 to 4 and at most `largest` parameters."""
    kind = draw(st.sampled_from(kinds))
    depth = draw(st.integers(2, 3 if kind == "square" else 4))
    widths = draw(st.lists(st.integers(1, 4), min_size=depth + 1, max_size=depth + 1))
    network = Network(kind, tuple(widths), bias=draw(st.booleans()), output_bias=draw(st.booleans()))
    while network.dimension > largest:
        widths = [max(1, width - 1) for width in network.widths]
        network = Network(kind, tuple(widths), bias=network.bias, output_bias=network.output_bias)
    return network
