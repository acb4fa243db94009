"""The minimal cuts of a network of flows: sets of weights that cannot all be zero on an invariant set.

A unit with c > 0 swallows c, one with c < 0 sheds -c; inputs and biases give, outputs take, what is wanted. Without
some weights the flow must still exist. It fails exactly if a set S of units that swallows on balance has no weight left
that enters it, or one that sheds on balance none that leaves it (Gale, Hoffman): so the minimal sets of weights that
cannot vanish together are among the weights that enter, or leave, sets of units.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

MOST_UNITS = 14
"""Hidden units up to which all sets of them are gone through."""

_ZERO = 1e-12


@dataclass(frozen=True, slots=True)
class Cuts:
    """The minimal cuts.

    Args:
        sizes: weights that one edge stands for: all that enter a unit of the first layer, its bias included, vanish
            together or not at all, and so do all that leave a unit of the last.
        minimal: as sets of edges, one bit each; none contains another.
    """

    sizes: tuple[int, ...]
    minimal: tuple[int, ...]

    def parts(self) -> list[tuple[int, ...]]:
        """Groups of cuts without a common edge."""
        groups: list[tuple[int, list[int]]] = []
        for cut in self.minimal:
            touched = [group for group in groups if group[0] & cut]
            groups = [group for group in groups if not group[0] & cut]
            edges, members = cut, [cut]
            for other, more in touched:
                edges, members = edges | other, more + members
            groups.append((edges, members))
        return [tuple(members) for _, members in groups]

    def weight(self, edges: int) -> int:
        """How many weights a set of edges has."""
        return sum(size for i, size in enumerate(self.sizes) if edges >> i & 1)


def minimal_cuts(widths: Sequence[int], biased: Sequence[bool], values: Sequence[Tensor]) -> Cuts:
    """All minimal cuts of a network of at most `MOST_UNITS` hidden units.

    Args:
        widths: input first.
        biased: of each layer of weights, whether it has biases.
        values: c, for each hidden layer.
    """
    entering, leaving, sizes = _edges(widths, biased)
    c = [float(x) for layer in values for x in layer]
    tiny = _ZERO * sum(map(abs, c))
    into, out_of, balance, found = [0], [0], [0.0], set[int]()
    for units in range(1, 1 << len(c)):
        first, rest = (units & -units).bit_length() - 1, units & units - 1
        into.append(into[rest] | entering[first])
        out_of.append(out_of[rest] | leaving[first])
        balance.append(balance[rest] + c[first])
        if balance[-1] > tiny:
            found.add(into[-1] & ~out_of[-1])
        elif balance[-1] < -tiny:
            found.add(out_of[-1] & ~into[-1])
    least: list[int] = []
    for cut in sorted(found, key=int.bit_count):
        if not any(cut & smaller == smaller for smaller in least):
            least.append(cut)
    return Cuts(tuple(sizes), tuple(least))


def _edges(widths: Sequence[int], biased: Sequence[bool]) -> tuple[list[int], list[int], list[int]]:
    """For each unit the edges that enter and that leave it, and how many weights each edge stands for."""
    hidden = widths[1:-1]
    entering, leaving, sizes = [0] * sum(hidden), [0] * sum(hidden), list[int]()

    def edge(source: int | None, target: int | None, size: int) -> None:
        for unit, masks in ((source, leaving), (target, entering)):
            if unit is not None:
                masks[unit] |= 1 << len(sizes)
        sizes.append(size)

    begin = 0
    for i, width in enumerate(hidden):
        for target in range(begin, begin + width):
            if i == 0:
                edge(None, target, widths[0] + biased[0])
            else:
                for source in range(begin - hidden[i - 1], begin):
                    edge(source, target, 1)
                if biased[i]:
                    edge(None, target, 1)
        begin += width
    for source in range(begin - hidden[-1], begin):
        edge(source, None, widths[-1])
    return entering, leaving, sizes
