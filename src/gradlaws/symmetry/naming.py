"""Names for the ideals of a symmetry algebra, and which of its directions carry laws."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from fractions import Fraction

import torch
from torch import Tensor

from gradlaws.exact import linalg
from gradlaws.exact.field import PrimeField
from gradlaws.symmetry.algebra import LieAlgebra
from gradlaws.symmetry.generator import Generator
from gradlaws.symmetry.result import Block

_SPARE = 8
_ONE = {
    "scaling": "R_>0",
    "symmetric": "R (squeezes)",
    "rotation": "SO(2)",
    "shear": "R (shears)",
    "shift": "R (shifts)",
    "mixed": "R",
}


def named(
    algebra: LieAlgebra, generators: Sequence[Generator], full: Tensor, field: PrimeField
) -> tuple[tuple[Block, ...], int]:
    """Blocks of the reductive part, then the rest; and the dimension of the rest.

    Args:
        algebra: in the basis of the generators.
        generators: as they are written.
        full: the same as matrices of all parameters, orthogonal to what stands still.
        field: of the residues.
    """
    if not generators:
        return (), 0
    reductive, kept, lost = algebra.reductive()
    blocks: list[Block] = []
    single: dict[tuple[str, tuple[str, ...]], list[int]] = defaultdict(list)
    for members in _paired(reductive.ideals(), [generators[i] for i in kept]):
        own = [kept[i] for i in members]
        tensors = _tensors(generators, own)
        if len(members) == 1:
            single[_ONE[generators[own[0]].kind], tensors].append(own[0])
        elif len(members) == 2 and not reductive.part(members).constants.any():
            single["C^*", tensors] += own
        else:
            name = reductive.part(members).name
            blocks.append(Block(name, len(own), tuple(own), tensors, gradient_dimension(full[own], field)))
    for (name, tensors), own in single.items():
        copies = len(own) // (2 if name == "C^*" else 1)
        shown = name if copies == 1 else name.replace(" (", f"^{copies} (") if "(" in name else f"({name})^{copies}"
        blocks.append(Block(shown, len(own), tuple(own), tensors, gradient_dimension(full[own], field)))
    if lost:
        rest = [i for i in range(algebra.dimension) if i not in kept]
        name = f"R^{lost} (shifts that others absorb)"
        blocks.append(Block(name, lost, tuple(rest), _tensors(generators, rest), gradient_dimension(full[rest], field)))
    return tuple(sorted(blocks, key=lambda block: block.generators)), lost


def gradient_dimension(maps: Tensor, field: PrimeField) -> int:
    """Dimension of the symmetric B among combinations of ``[B | b]``: those ``B theta + b`` that are gradients."""
    return _kernel(maps[:, :, :-1] - maps[:, :, :-1].transpose(1, 2), field)


def rotation_dimension(maps: Tensor, field: PrimeField) -> int:
    """Dimension of the antisymmetric B with b = 0."""
    return _kernel(torch.cat([maps[:, :, :-1] + maps[:, :, :-1].transpose(1, 2), maps[:, :, -1:]], 2), field)


def _kernel(defects: Tensor, field: PrimeField) -> int:
    """How many independent combinations have no defect; looked at through random sums of entries."""
    rows = field.reduce(defects).flatten(1)
    if not len(rows):
        return 0
    rows = rows[:, rows.any(0)]
    mixing = field.random((rows.shape[1], len(rows) + _SPARE), torch.Generator().manual_seed(2))
    return len(rows) - linalg.rank(field.matmul(rows, mixing), field)


def _paired(ideals: list[list[int]], generators: list[Generator]) -> list[list[int]]:
    """A scaling and a rotation whose squares are opposite are one complex scaling."""
    squares = {i[0]: _square(generators[i[0]]) for i in ideals if len(i) == 1}
    found, taken = [], set[int]()
    for members in ideals:
        first = members[0]
        if first in taken:
            continue
        minus = {place: -c for place, c in squares.get(first, {}).items()}
        others = (o for o, square in squares.items() if minus and o != first and o not in taken and square == minus)
        other = next(others, None)
        taken |= {first} if other is None else {first, other}
        found.append(members if other is None else sorted([first, other]))
    return found


def _square(generator: Generator) -> dict[tuple[int, int], Fraction]:
    """The entries of ``B B``."""
    rows = defaultdict(list)
    for i, j, c in generator.entries:
        rows[i].append((j, c))
    total: dict[tuple[int, int], Fraction] = {}
    for i, j, c in generator.entries:
        for k, e in rows.get(j, ()):
            total[i, k] = total.get((i, k), Fraction(0)) + c * e
    return {place: c for place, c in total.items() if c}


def _tensors(generators: Sequence[Generator], members: list[int]) -> tuple[str, ...]:
    names = [name for name, _ in generators[0].shapes]
    moved = {name for i in members for name in generators[i].tensors}
    return tuple(name for name in names if name in moved)
