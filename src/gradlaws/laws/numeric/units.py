"""Which piecewise linear units never open, and which always are, at the current weights and on the given inputs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from gradlaws.laws.numeric.draw import Sampler
from gradlaws.laws.numeric.gates import UNITS
from gradlaws.laws.numeric.real import RealModule, private

_LOOKS = 200


@dataclass(frozen=True, slots=True)
class Units:
    """Counts over all calls of a function that closes at zero; a unit is one entry, but for the first axis (examples).

    Args:
        total: how many there are.
        off: how many were never open: their weights freeze.
        on: how many always were: they are linear.
    """

    total: int
    off: int
    on: int

    def __str__(self) -> str:
        return f"of {self.total} units {self.off} never open and {self.on} always are"


def watch_units(real: RealModule, sampler: Sampler, theta: Tensor, generator: torch.Generator) -> Units:
    """Run the module at the parameters ``[D]`` on the example inputs, or on many rows of the data."""
    opened: list[Tensor] = []
    always: list[Tensor] = []
    for look in range(1 if sampler.data is None else _LOOKS):
        calls: list[Tensor] = []

        def listen(name: str, args: tuple[Any, ...], calls: list[Tensor] = calls) -> None:
            if name in UNITS and isinstance(args[0], Tensor):
                x = args[0].detach()
                calls.append((x.reshape(len(x), -1) if x.dim() > 1 else x.reshape(1, -1)) > 0)

        with torch.no_grad():
            real.outputs(theta, private(sampler.draw_inputs(generator)), 0, listen)
        some, every = [c.any(0) for c in calls], [c.all(0) for c in calls]
        opened = some if look == 0 else [a | b for a, b in zip(opened, some, strict=True)]
        always = every if look == 0 else [a & b for a, b in zip(always, every, strict=True)]
    total = sum(len(flags) for flags in opened)
    return Units(total, total - sum(int(f.sum()) for f in opened), sum(int(f.sum()) for f in always))
