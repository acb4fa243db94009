"""How a network is written down: the one thing that the twins take from the library."""

from __future__ import annotations

from itertools import islice
from typing import Any

from gradlaws.models.network import Network


def forward(network: Network, theta: list[Any], x: list[Any], gates: list[list[Any]]) -> list[Any]:
    """The outputs, unit by unit, from a flat list of parameters: any numbers that add and multiply."""
    numbers = iter(theta)
    hidden = list(x)
    last = len(network.widths) - 2
    for layer, width in enumerate(network.widths[1:]):
        rows = [list(islice(numbers, len(hidden))) for _ in range(width)]
        hidden = [sum(w * h for w, h in zip(row, hidden, strict=True)) for row in rows]
        if network.output_bias if layer == last else network.bias:
            hidden = [value + next(numbers) for value in hidden]
        if layer < last:
            hidden = _activate(network.activation, hidden, gates[layer] if gates else [])
    assert next(numbers, None) is None
    return hidden


def _activate(kind: str, hidden: list[Any], gates: list[Any]) -> list[Any]:
    if kind == "linear":
        return hidden
    if kind == "square":
        return [z * z for z in hidden]
    return [gate * z for gate, z in zip(gates, hidden, strict=True)]
