"""A Lie algebra from matrices: structure constants, centre, radical, rank, and the ideals that it falls apart into.

Everything is linear algebra modulo p. The radical is the orthogonal space of ``[g, g]`` for the Killing form (Cartan);
``[g, radical]`` is nilpotent and what is left without it is reductive: its centre and simple ideals, which are named by
dimension and by the signature of the Killing form (E. Cartan 1914; Helgason 1978, chapter X).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isqrt

import numpy as np
import torch
from torch import Tensor

from gradlaws.exact import linalg
from gradlaws.exact.field import PrimeField
from gradlaws.exact.rational import reconstruct


@dataclass(frozen=True, eq=False, slots=True)
class LieAlgebra:
    """A Lie algebra over the field, by its structure constants.

    Args:
        constants: ``[e_i, e_j] = sum over k of constants[i, j, k] e_k``, residues.
        field: of the residues.
    """

    constants: Tensor
    field: PrimeField

    @classmethod
    def of(cls, maps: Tensor, field: PrimeField) -> LieAlgebra:
        """That of affine maps ``[count, d, d + 1]``, the constant part in the last column, that form an algebra."""
        count, d, _ = maps.shape
        if not count:
            return cls(torch.zeros(0, 0, 0, dtype=torch.float64), field)
        at = linalg.echelon(maps.flatten(1), field).pivots
        rows, columns = maps[:, at // (d + 1), :d], maps[:, :, at % (d + 1)]
        products = field.matmul(rows.movedim(1, 0), columns.permute(2, 1, 0)).movedim(0, 2)
        commutators = field.reduce(products - products.transpose(0, 1))
        known = maps.flatten(1)[:, at]
        inverse = linalg.solve(known, torch.eye(count, dtype=torch.float64), field)
        return cls(field.matmul(commutators.flatten(0, 1), inverse).view(count, count, count), field)

    @property
    def dimension(self) -> int:
        """Number of basis elements."""
        return len(self.constants)

    @property
    def centre(self) -> Tensor:
        """Basis of what commutes with everything, in columns ``[dimension, count]``."""
        return linalg.nullspace(self.constants.permute(1, 2, 0).flatten(0, 1), self.field)

    @property
    def derived(self) -> Tensor:
        """Basis of ``[g, g]`` in rows, reduced."""
        return _reduced(self.constants.flatten(0, 1), self.field)[0]

    @property
    def killing(self) -> Tensor:
        """The Killing form ``tr(ad x ad y)``."""
        ad = self.constants.transpose(1, 2)
        return self.field.matmul(ad.flatten(1), ad.transpose(1, 2).flatten(1).T)

    @property
    def radical(self) -> Tensor:
        """Basis of the largest solvable ideal, in columns."""
        return linalg.nullspace(self.field.matmul(self.derived, self.killing), self.field)

    @property
    def rank(self) -> int:
        """Dimension of a Cartan subalgebra: what a generic element annihilates when it acts many times."""
        if not self.dimension:
            return 0
        some = self.field.random((1, self.dimension), torch.Generator().manual_seed(1))
        power = self.field.matmul(some, self.constants.flatten(1)).view(self.dimension, self.dimension)
        for _ in range(self.dimension.bit_length()):
            power = self.field.matmul(power, power)
        return self.dimension - linalg.rank(power, self.field)

    def reductive(self) -> tuple[LieAlgebra, list[int], int]:
        """The quotient by ``[g, radical]``: its structure, the basis elements that stay, the dimension lost."""
        moved = self.field.matmul(self.radical.T, self.constants.flatten(1)).view(-1, self.dimension)
        lost, pivots = _reduced(moved, self.field)
        kept = [i for i in range(self.dimension) if i not in pivots]
        constants = self.constants[kept][:, kept]
        if len(lost):
            off = self.field.matmul(constants[..., pivots].flatten(0, 1), lost)
            constants = self.field.reduce(constants - off.view_as(constants))
        return LieAlgebra(constants[..., kept], self.field), kept, len(lost)

    def ideals(self) -> list[list[int]]:
        """Basis elements in groups that commute with each other and are closed, as fine as the basis shows."""
        group = list(range(self.dimension))
        for i, j, k in self.constants.nonzero().tolist():
            for a, b in ((i, j), (i, k)):
                old, new = group[a], group[b]
                group = [new if g == old else g for g in group]
        return [[i for i, g in enumerate(group) if g == one] for one in dict.fromkeys(group)]

    def part(self, members: list[int]) -> LieAlgebra:
        """The algebra of some basis elements that are closed."""
        return LieAlgebra(self.constants[members][:, members][:, :, members], self.field)

    @property
    def signature(self) -> tuple[int, int]:
        """Positive and negative directions of the Killing form: non-compact and compact ones."""
        lifted = [[reconstruct(int(x), self.field.prime) for x in row] for row in self.killing.tolist()]
        values = np.linalg.eigvalsh(np.array([[float(x or 0) for x in row] for row in lifted]))
        close = 1e-9 * max(1.0, float(abs(values).max(initial=0.0)))
        return int((values > close).sum()), int((values < -close).sum())

    @property
    def name(self) -> str:
        """Such as ``gl(3, R)`` for a reductive algebra with at most one simple ideal, by dimension and signature."""
        centre, (noncompact, compact) = self.centre.shape[1], self.signature
        return _name(self.dimension, centre, noncompact, compact)


def _name(dimension: int, centre: int, noncompact: int, compact: int) -> str:
    simple = dimension - centre
    if not simple or simple != noncompact + compact:
        return f"a Lie algebra of dimension {dimension}"
    n = isqrt(simple + 1)
    if n * n == simple + 1 and compact == n * (n - 1) // 2 and centre < 2:
        return f"{'g' if centre else 's'}l({n}, R)"
    n = isqrt(simple // 2 + 1)
    if centre == 2 and 2 * (n * n - 1) == simple and noncompact == compact:
        return f"gl({n}, C)"
    plus = {0: "", 1: " + R"}.get(centre, f" + R^{centre}")
    n = (1 + isqrt(1 + 8 * simple)) // 2
    if n * (n - 1) == 2 * simple:
        for q in range(n // 2 + 1):
            if q * (n - q) == noncompact:
                return (f"so({n - q}, {q})" if q else f"so({n})") + plus
    n = (isqrt(1 + 8 * simple) - 1) // 4
    if n * (2 * n + 1) == simple and compact == n * n:
        return f"sp({2 * n}, R)" + plus
    return f"a reductive Lie algebra of dimension {dimension} with centre R^{centre}"


def _reduced(rows: Tensor, field: PrimeField) -> tuple[Tensor, list[int]]:
    """Reduced independent rows and their pivots."""
    found = linalg.echelon(rows, field)
    reduced = rows.new_zeros(found.rank, rows.shape[1])
    reduced[torch.arange(found.rank), found.pivots] = 1.0
    reduced[:, found.free] = found.block
    return reduced, found.pivots.tolist()
