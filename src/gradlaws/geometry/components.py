"""The set that training cannot leave: its components, its holes, and the signs that are frozen.

The laws ``|w_in|^2 + b^2 - |w_out|^2 = c`` of the hidden units of a ReLU network confine gradient flow to a set H(c).
In squares of the weights H(c) is a convex polyhedron P of flows through the network: a unit with c > 0 swallows c, one
with c < 0 sheds -c, and inputs, biases and outputs are open. H(c) is P once for each choice of signs, glued where a
weight is zero. So a sign can change exactly if P has a point where that weight is zero, and H(c) has ``2^f``
components, f the number of weights that are positive all over P. For two layers H(c) is a product of quadrics (Nurisso,
Leroy, Vaccarino 2024); its holes at any depth are counted in `gradlaws.geometry.betti`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import torch
from torch import Tensor, nn

from gradlaws.geometry.betti import Betti, invariant_betti
from gradlaws.geometry.chain import Layer, imbalances, read_chain

_ZERO = 1e-12


@dataclass(frozen=True, slots=True)
class FrozenSign:
    """A weight that gradient flow cannot take through zero.

    Args:
        weight: such as ``2.weight[0, 3]``.
        unit: hidden layer, counted from 1, and number of the unit that freezes it; the layer behind for a chain of
            single units.
        positive: its sign.
        layer: of weights, counted from 1.
    """

    weight: str
    unit: tuple[int, int]
    positive: bool
    layer: int

    def __str__(self) -> str:
        return f"{self.weight} stays {'positive' if self.positive else 'negative'}"


@dataclass(frozen=True, slots=True)
class Components:
    """The invariant set through the weights of a network.

    Args:
        model: its class.
        widths: input first.
        imbalances: the values c of the laws, for each hidden layer.
        frozen: signs that cannot change.
        effective: components up to permutations and rescalings of units whose c has one sign: as sets of functions.
        holes: Betti numbers of the set, or bounds, and what they rest on.
        cones: units ``(layer, number)`` with c = 0: the set is connected there, but only through a point that gradient
            flow takes forever to reach, so that their signs are frozen too.
    """

    model: str
    widths: tuple[int, ...]
    imbalances: tuple[tuple[float, ...], ...]
    frozen: tuple[FrozenSign, ...]
    effective: int
    holes: Betti
    cones: tuple[tuple[int, int], ...]

    @property
    def count(self) -> int:
        """How many connected components the invariant set has."""
        return 2 ** len(self.frozen)

    @property
    def betti(self) -> tuple[int, ...] | None:
        """Betti numbers of the set, None where they are not known: then `holes` has bounds."""
        return self.holes.numbers

    @property
    def obstructed(self) -> bool:
        """Whether there is a component that training cannot reach."""
        return bool(self.frozen or self.cones)

    @property
    def warning(self) -> str | None:
        """What a user can act on, None where nothing is out of reach."""
        if not self.obstructed:
            return None
        plus = sum(sign.positive for sign in self.frozen)
        signs = f"{plus} positive, {len(self.frozen) - plus} negative"
        split = f"{_many(len(self.frozen), 'weight')} cannot change sign ({signs})"
        cones = f", and {_many(len(self.cones), 'unit')} with c = 0 stuck in the tip of a cone" if self.cones else ""
        return (
            f"{split}{cones}: with small steps, a target that needs more units of the other sign is out of reach; make "
            "the weights into these units larger than those out of them (Kaiming rather than Xavier, smaller output "
            "weights), add units, or give the output layer more than one unit"
        )

    def __str__(self) -> str:
        values = torch.tensor([c for layer in self.imbalances for c in layer])
        shape = "-".join(map(str, self.widths))
        kinds = {"> 0": values > 0, "< 0": values < 0, "= 0": values == 0}
        lines = [
            f"{self.model} {shape}: the laws leave {_many(self.count, 'component')}, {self.effective} up to symmetry",
            f"  hidden units     {len(values)}: "
            + ", ".join(f"{int(flags.sum())} with c {kind}" for kind, flags in kinds.items()),
        ]
        lines.append(f"  Betti numbers    {self.holes}")
        lines += [f"  frozen           {sign}" for sign in self.frozen[:8]]
        if len(self.frozen) > 8:
            lines.append(f"  ...              and {len(self.frozen) - 8} more")
        lines.append(f"  warning: {self.warning}" if self.warning else "  every sign pattern is within reach")
        return "\n".join(lines)


def components(model: nn.Module) -> Components:
    """The set that gradient flow from the current weights of a ReLU network cannot leave.

    What is counted are connected components: in another one training may arrive only by steps too large for the flow.
    A finite step changes c by ``eta^2 (|g_in|^2 - |g_out|^2)``: discrete training can cross, see `gradlaws.track`.

    Args:
        model: a chain of `nn.Linear` with ReLU or leaky ReLU in between, of any depth; it is only read. What stands in
            between is checked by its gradients.

    Raises:
        InputError: the model is not such a chain, or a weight is NaN.
    """
    layers = read_chain(model)
    widths, biased, values = _sizes(layers)
    signs = frozen_signs(layers)
    groups = Counter(sign.layer for sign in signs)
    places = [place[:3] for place in frozen_places(widths, biased, values)]
    return Components(
        model=type(model).__name__,
        widths=widths,
        imbalances=tuple(tuple(c.tolist()) for c in values),
        frozen=tuple(signs),
        effective=prod(size + 1 for size in groups.values()),
        holes=invariant_betti(widths, biased, values, places),
        cones=tuple((i + 1, k) for i, k in _cones(widths, biased, values)),
    )


def frozen_signs(layers: list[Layer]) -> list[FrozenSign]:
    """The weights that gradient flow cannot take through zero.

    Args:
        layers: as `gradlaws.geometry.chain.read_chain` reads them.
    """
    return [
        FrozenSign(f"{layers[i].name}[{row}, {column}]", unit, bool(layers[i].weight[row, column] > 0), i + 1)
        for i, row, column, unit in frozen_places(*_sizes(layers))
    ]


def _sizes(layers: list[Layer]) -> tuple[tuple[int, ...], list[bool], list[Tensor]]:
    """Widths, which layers have biases, and the values of the laws."""
    widths = (layers[0].weight.shape[1], *(len(layer.weight) for layer in layers))
    values = [_cleaned(c, a.weight, b.weight) for c, a, b in zip(imbalances(layers), layers, layers[1:], strict=False)]
    return widths, [layer.bias is not None for layer in layers], values


def frozen_places(
    widths: Sequence[int], biased: Sequence[bool], values: Sequence[Tensor]
) -> list[tuple[int, int, int, tuple[int, int]]]:
    """Layer, row, column and unit of every weight that is nowhere zero on the polyhedron of flows.

    Between layers of two or more units each flow can go around any one weight. Into a single unit the weight out of
    unit j carries at least ``max(0, -c_j)``; from a single one the weight into unit k, without a bias, at least
    ``max(0, c_k)``; between two single units everything passes, at least `_through`.
    """
    found: list[tuple[int, int, int, tuple[int, int]]] = []
    last = len(widths) - 2
    for i in range(last + 1):
        source, target = widths[i], widths[i + 1]
        if source == target == 1:
            if _through(i, biased, values) > 0:
                found.append((i, 0, 0, (max(i, 1), 0)))
        elif target == 1 and i > 0:
            found += [(i, 0, j, (i, j)) for j in (values[i - 1] < 0).nonzero().flatten().tolist()]
        elif source == 1 and i < last and not biased[i]:
            found += [(i, k, 0, (i + 1, k)) for k in (values[i] > 0).nonzero().flatten().tolist()]
    return found


def _through(i: int, biased: Sequence[bool], values: Sequence[Tensor]) -> float:
    """The least total flow through weights i: what any layer sheds must get away, what it swallows must come."""
    totals = [float(c.sum()) for c in values]
    shed = [0.0, *(float((-c).clamp_min(0).sum()) for c in values)]
    least, passed = shed[i], 0.0
    for m in range(i - 1, -1, -1):
        passed += totals[m]
        least = max(least, shed[m] - passed)
    needed = 0.0
    for m in range(i, len(values)):
        if biased[m]:
            break
        needed += totals[m]
        least = max(least, needed + shed[m + 1])
    return least if least > _ZERO * max(1.0, *(abs(t) for t in totals)) else 0.0


def reachable(needed: tuple[int, int], frozen: tuple[int, int], hidden: int) -> bool:
    """Whether a scalar-output network can come to have so many positive and negative output weights.

    Args:
        needed: positive and negative output weights of the target.
        frozen: positive and negative output weights that cannot change sign.
        hidden: all hidden units.
    """
    free = hidden - sum(frozen)
    return sum(needed) <= hidden and needed[0] <= frozen[0] + free and needed[1] <= frozen[1] + free


def _cleaned(c: Tensor, inner: Tensor, outer: Tensor) -> Tensor:
    """Differences that are rounding are zero."""
    size = inner.square().sum(1) + outer.square().sum(0)
    return torch.where(c.abs() <= _ZERO * size, 0.0, c)


def _cones(widths: Sequence[int], biased: Sequence[bool], values: Sequence[Tensor]) -> list[tuple[int, int]]:
    """Units with c = 0 at which a sign can change in the tip of a cone only."""
    found = []
    for i, c in enumerate(values):
        single = widths[i + 2] == 1 or (widths[i] == 1 and not biased[i])
        found += [(i, k) for k in (c == 0).nonzero().flatten().tolist() if single]
    return found


def _many(number: int, what: str) -> str:
    return f"{number} {what}{'s' * (number != 1)}"
