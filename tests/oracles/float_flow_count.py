"""The number of laws of mirror flows and momentum in float64: fields written out by hand, singular values."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.func import grad, vmap

from gradlaws.models.network import Network
from tests.oracles.along import along
from tests.oracles.float_count import extend, potential

_SPARE = 6
_DEEPEST = 6

Field = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Setting:
    """A network and how it is trained.

    Args:
        network: what is trained.
        tau: friction as a function of time; None for gradient flow.
        metric: the diagonal of M at a point; None for the identity.
    """

    network: Network
    tau: Callable[[Tensor], Tensor | float] | None = None
    metric: Callable[[Tensor], Tensor] | None = None

    @property
    def dimension(self) -> int:
        d = self.network.dimension
        return d if self.tau is None else 2 * d + 1

    def force(self, theta: Tensor, s: Tensor, at: Tensor) -> Tensor:
        gradient = grad(lambda x: potential(self.network, x, s))(theta)
        return gradient if self.metric is None else self.metric(at) * gradient

    def field(self, letter: Tensor) -> Field:
        """One control, plus a multiple of the drift where there is momentum."""
        s, multiple = letter[:-1], letter[-1]
        if self.tau is None:
            return lambda theta: self.force(theta, s, theta)
        tau, d = self.tau, self.network.dimension

        def moving(state: Tensor) -> Tensor:
            t, theta, v = state[0], state[1 : 1 + d], state[1 + d :]
            pull = self.force(theta, s, tau(t) * theta + v)
            return torch.cat([multiple.reshape(1), multiple * v, pull - multiple * tau(t) * v])

        return moving


def count_laws(setting: Setting, seed: int = 0) -> int:
    """Dimension minus that of the Lie algebra at a random point; raises AssertionError where it is not clear-cut."""
    random = torch.Generator().manual_seed(seed)
    state = 0.5 + torch.rand(setting.dimension, generator=random, dtype=torch.float64)
    network = setting.network
    numbers = network.widths[0] + network.widths[-1] + (sum(network.widths[1:-1]) if network.gated else 0) + 1
    span = state.new_empty(0, len(state))
    for length in range(1, _DEEPEST + 1):
        words = torch.randn(len(state) - len(span) + _SPARE, length, numbers, generator=random).double()
        grown = extend(span, vmap(lambda word: _bracket(setting, list(word))(state))(words))
        if len(grown) in (len(span), len(state)):
            return len(state) - len(grown)
        span = grown
    raise AssertionError(f"no stagnation up to length {_DEEPEST}")


def _bracket(setting: Setting, word: list[Tensor]) -> Field:
    *shorter, letter = word
    last = setting.field(letter)
    if not shorter:
        return last
    inner = _bracket(setting, shorter)
    return lambda x: along(inner, x, last(x))[1] - along(last, x, inner(x))[1]
