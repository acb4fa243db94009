"""A radial network in 60 decimal digits, entry by entry."""

from __future__ import annotations

from typing import Any

from mpmath import mp, mpf

PROFILES = {
    "step_relu": lambda r: r if r >= 1 else mpf(0),
    "squashing": lambda r: r**2 / (r**2 + 1),
    "shifted_relu": lambda r: max(mpf(0), r - mpf("0.5")),
    "sigmoid": lambda r: 1 / (1 + mp.exp(-r)),
}


def forward(layers: list[tuple[Any, Any]], profile: str, x: list[float]) -> list[Any]:
    """Outputs of a chain of (weight, bias) as nested lists."""
    with mp.workdps(60):
        state = [mpf(entry) for entry in x]
        for i, (weight, bias) in enumerate(layers):
            if i:
                r = mp.sqrt(sum(entry**2 for entry in state))
                state = [entry * PROFILES[profile](r) / r if r else mpf(0) for entry in state]
            state = [sum(mpf(w) * s for w, s in zip(row, state, strict=True)) for row in weight]
            state = [entry + mpf(b) for entry, b in zip(state, bias, strict=True)]
        return state


def layers_of(net: Any) -> list[tuple[Any, Any]]:
    """Weights and biases of a `RadialMLP` as lists."""
    return [(layer.weight.tolist(), layer.bias.tolist()) for layer in net.layers]
