"""Fully connected networks with a positively homogeneous activation, in PyTorch's layout."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import prod
from typing import Any, Literal, get_args

import numpy as np

from gradlaws.models.family import Family, Shapes

Activation = Literal["linear", "relu", "leaky", "square"]
ACTIVATIONS: tuple[str, ...] = get_args(Activation)

_FREE_GATES = (
    "free gates: on each cell a {0} unit multiplies by a gate that does not depend on the parameters; every pattern of "
    "gates is taken to be reachable (path lifting; Marcotte, Gribonval, Peyre 2023)"
)


@dataclass(frozen=True, slots=True)
class Network(Family):
    """``W_q act( ... act(W_1 x + b_1) ... )``, with ``W_l`` of shape ``[widths[l], widths[l - 1]]``.

    Args:
        activation: linear, relu, leaky (any slope) or square (x -> x**2).
        widths: input width first, output width last.
        bias: biases on the hidden layers.
        output_bias: a bias on the output too.
    """

    activation: Activation
    widths: tuple[int, ...]
    bias: bool = False
    output_bias: bool = False

    @property
    def name(self) -> str:
        """The spec that reads back as this network."""
        words = [self.activation, "-".join(map(str, self.widths))]
        return " ".join(words + ["bias"] * self.bias + ["output-bias"] * self.output_bias)

    @property
    def depth(self) -> int:
        """Number of weight matrices."""
        return len(self.widths) - 1

    @property
    def parameters(self) -> Shapes:
        """``W1, b1, W2, ...`` layer by layer."""
        shapes: dict[str, tuple[int, ...]] = {}
        for layer in range(1, self.depth + 1):
            shapes[f"W{layer}"] = (self.widths[layer], self.widths[layer - 1])
            if self.has_bias(layer):
                shapes[f"b{layer}"] = (self.widths[layer],)
        return shapes

    @property
    def power(self) -> int:
        """The degree of homogeneity r of the activation: ``act(t z) = t**r act(z)`` for t > 0."""
        return 2 if self.activation == "square" else 1

    @property
    def gated(self) -> bool:
        """Whether the activation is piecewise linear with gates."""
        return self.activation in ("relu", "leaky")

    @property
    def instance(self) -> Shapes:
        """Input x, cotangent c on the output, and one gate per hidden unit where there are gates."""
        shapes: dict[str, tuple[int, ...]] = {"x": (self.widths[0],), "c": (self.widths[-1],)}
        if self.gated:
            shapes |= {f"gate{layer}": (self.widths[layer],) for layer in range(1, self.depth)}
        return shapes

    @property
    def degree(self) -> int:
        """Total degree of psi in parameters, input, cotangent and gates."""
        degree = 1
        for layer in range(1, self.depth + 1):
            degree += 1
            if layer < self.depth:
                degree = self.power * degree + self.gated
        return degree + 1

    @property
    def assumptions(self) -> tuple[str, ...]:
        """Free gates, where there are gates."""
        return (_FREE_GATES.format(self.activation),) if self.gated else ()

    @property
    def monomials(self) -> int:
        """How many monomials psi has at most."""
        paths = 1
        for layer in range(1, self.depth + 1):
            paths = paths * self.widths[layer - 1] + self.has_bias(layer)
            paths **= self.power if layer < self.depth else 1
        return paths * self.widths[-1]

    def has_bias(self, layer: int) -> bool:
        """Whether layer 1 <= layer <= depth has a bias."""
        return self.output_bias if layer == self.depth else self.bias

    def potential(self, theta: Mapping[str, Any], s: Mapping[str, Any]) -> Any:
        """``<c, f(theta, x)>``."""
        hidden = s["x"]
        for layer in range(1, self.depth + 1):
            hidden = theta[f"W{layer}"] @ hidden
            if self.has_bias(layer):
                hidden = hidden + theta[f"b{layer}"]
            if layer < self.depth:
                hidden = self._activate(hidden, s, layer)
        return (s["c"] * hidden).sum()

    def shrunk(self, parameters: int) -> Network:
        """A network of the same shape, widths in proportion but at least 2 (or 1), of about so many parameters."""
        scale = 1.0
        small = self
        while small.dimension > parameters and max(small.widths) > 2:
            scale *= 0.9
            small = replace(self, widths=tuple(max(min(w, 2), round(w * scale)) for w in self.widths))
        return small

    def sign_changes(self) -> list[list[int]]:
        """One for each unit: incoming weights and bias, and the outgoing weights where a sign passes the activation."""
        numbers: dict[str, np.ndarray] = {}
        start = 0
        for name, shape in self.parameters.items():
            numbers[name] = np.arange(start, start + prod(shape)).reshape(shape)
            start += prod(shape)
        changes = []
        for layer, width in enumerate(self.widths):
            for unit in range(width):
                flips = [numbers[f"W{layer}"][unit]] if layer else []
                if f"b{layer}" in numbers:
                    flips.append(numbers[f"b{layer}"][unit : unit + 1])
                if layer < self.depth and (self.power == 1 or layer == 0):
                    flips.append(numbers[f"W{layer + 1}"][:, unit])
                changes.append(np.concatenate(flips).tolist())
        return changes

    def _activate(self, z: Any, s: Mapping[str, Any], layer: int) -> Any:
        if self.activation == "square":
            return z * z
        return s[f"gate{layer}"] * z if self.gated else z
