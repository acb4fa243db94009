"""What is known of the symmetries of a model: generators, their Lie algebra by name, and what is discrete."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from gradlaws.laws.count import Count, Evidence, Status
from gradlaws.symmetry.generator import Generator


@dataclass(frozen=True, slots=True)
class Block:
    """An ideal of the Lie algebra, or several alike.

    Args:
        name: ``gl(3, R)``, ``R_>0``, ``SO(2)``, ``C^*``, ``shifts`` ...
        dimension: of all of it.
        generators: their numbers.
        tensors: parameters that it moves.
        laws: how many of its directions carry a quadratic law of gradient flow: the symmetric ones.
    """

    name: str
    dimension: int
    generators: tuple[int, ...]
    tensors: tuple[str, ...]
    laws: int

    def __str__(self) -> str:
        return f"{self.name} on {', '.join(self.tensors)}    dimension {self.dimension}, {self.laws} carry laws"


@dataclass(frozen=True, slots=True)
class Symmetries:
    """The infinitesimal affine symmetries ``theta' = B theta + b`` of a model, modulo the directions that stand still.

    Args:
        model: what was asked about.
        generators: a basis.
        still: how many directions there are along which nothing changes at all, whatever multiple of them is added.
        translations: those directions, where they have small rational coefficients.
        count: how many generators there are: bounds, status, evidence.
        blocks: the Lie algebra by name.
        structure: ``[e_i, e_j] = sum of value e_k``: i, j, k and value where it is not zero.
        centre: dimension of the centre.
        radical: dimension of the largest solvable ideal.
        unipotent: dimension of ``[g, radical]``: shifts that other parameters absorb.
        rank: dimension of a Cartan subalgebra.
        torus: dimension of the scalings of single parameters.
        laws: dimension of the symmetric part: each direction of it carries a quadratic law of gradient flow.
        rotations: dimension of the antisymmetric part: no law of gradient flow, but one of momentum each.
        scope: for which data and losses they hold.
        discrete: permutations and signs, in words.
        functional: with given data: how many hold for every data set; None where all do.
    """

    model: str
    generators: tuple[Generator, ...]
    still: int
    translations: tuple[Generator, ...]
    count: Count
    blocks: tuple[Block, ...]
    structure: tuple[tuple[int, int, int, Fraction], ...]
    centre: int
    radical: int
    unipotent: int
    rank: int
    torus: int
    laws: int
    rotations: int
    scope: str
    discrete: tuple[str, ...] = ()
    functional: int | None = None

    @property
    def dimension(self) -> int:
        """How many generators were found."""
        return len(self.generators)

    @property
    def status(self) -> Status:
        """The status of the count."""
        return self.count.status

    @property
    def evidence(self) -> Evidence:
        """The evidence of the count."""
        return self.count.evidence

    @property
    def complete(self) -> bool:
        """Whether every affine symmetry is a combination of these."""
        return self.count.complete

    def __str__(self) -> str:
        lines = [f"{self.model}: symmetries of dimension {self.count}, {self.still} directions stand still"]
        lines += [f"  {block}" for block in self.blocks]
        return "\n".join(lines + [f"  {words}" for words in self.discrete])
