"""What a compression answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor, nn


@dataclass(frozen=True, eq=False, slots=True)
class Compression:
    """A smaller network that computes the same function.

    Args:
        module: the compressed network; the original is left as it is.
        before: width of each layer or vertex of the original.
        after: those of the compressed network, by the same names; a layer that was merged away is not there.
        transformation: by hidden layer or vertex, in float64. Of a radial network the orthogonal matrix Q, ``[n, n]``:
            hidden state of the original = first columns of Q @ that of the compressed one. Of an ordinary network the
            matrix E, ``[n, n_after]``: activations of the original = E @ those of the compressed one, but for units
            that are constant or unseen, whose rows are zero.
        parameters: how many numbers there were, and are.
        error: the largest difference of the outputs, measured on seeded random inputs in the precision of the weights.
        scale: the largest output there.
        notes: what was done, in words.
    """

    module: nn.Module
    before: Mapping[str, int]
    after: Mapping[str, int]
    transformation: Mapping[str, Tensor]
    parameters: tuple[int, int]
    error: float
    scale: float
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        """A few lines."""
        head = f"{_widths(self.before)} -> {_widths(self.after)}"
        count = f"parameters {self.parameters[0]:,} -> {self.parameters[1]:,}"
        tail = f"largest difference of outputs {self.error:.1e}, largest output {self.scale:.1e}"
        return "\n".join([head, count, tail, *self.notes])


def _widths(widths: Mapping[str, int]) -> str:
    """Bare numbers for a chain of layers, named ones for a graph."""
    if all(name.replace(".", "").isdigit() or name in ("in", "out") for name in widths):
        return "-".join(map(str, widths.values()))
    return " ".join(f"{name}={n}" for name, n in widths.items())
