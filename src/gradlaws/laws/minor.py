"""A few small integers that show a rank: a point, instances, words of brackets and columns with a nonsingular minor.

The closure shows the same rank with random residues and forgets them; a certificate needs numbers that a person can
read and a slow program can check. At small integers the rank may drop, so numbers are drawn again, larger each time.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from gradlaws import check
from gradlaws.check_program import Program
from gradlaws.exact import linalg
from gradlaws.exact.field import PrimeField
from gradlaws.flows.flow import Instances
from gradlaws.flows.gradient import GradientFlow
from gradlaws.laws.closure import MAX_LEVEL, bracket
from gradlaws.laws.points import flat_samples, small_point, small_samples, spelled
from gradlaws.models.family import Family

_SLACK = 10
_CHUNK_BYTES = 2**27


@dataclass(frozen=True, eq=False, slots=True)
class Minor:
    """Brackets ``words`` at ``point`` whose entries in ``columns`` have a determinant that is not 0 modulo the prime.

    Args:
        point: integers, ``[D]``.
        instances: integers, one row for each instance that a word uses.
        words: numbers ``(i_1, ..., i_k)`` of instances, for the bracket ``[X_k, [..., [X_2, X_1]]]``.
        columns: parameter numbers, ascending, as many as words.
    """

    point: Tensor
    instances: Instances
    words: tuple[tuple[int, ...], ...]
    columns: tuple[int, ...]


def find_minor(
    family: Family,
    field: PrimeField,
    rank: int,
    magnitude: int,
    generator: torch.Generator,
    program: Program | None = None,
) -> Minor | None:
    """A minor of size `rank` made of integers up to `magnitude`, or None where these integers show less.

    Args:
        family: the potentials.
        field: modulo which prime.
        rank: a rank that brackets reach at a generic point.
        magnitude: bound on the integers.
        generator: source of the integers.
        program: the family as the checker reads it, where the fields take values that only the checker knows: those of
            functions without a closed form. Then its own arithmetic is used.
    """
    point = small_point(family, magnitude, generator, program)
    search = _Search(GradientFlow(family), field, point, magnitude, generator, program)
    while search.rank < rank and search.length <= MAX_LEVEL:
        search.step(rank)
    return search.minor() if search.rank == rank else None


class _Search:
    """Words that were found independent so far."""

    def __init__(
        self,
        flow: GradientFlow,
        field: PrimeField,
        point: Tensor,
        magnitude: int,
        generator: torch.Generator,
        program: Program | None,
    ) -> None:
        self.program = program
        self.flow, self.field, self.point, self.magnitude, self.generator = flow, field, point, magnitude, generator
        self.length = 1
        self.words: list[tuple[int, ...]] = []
        self.rows = torch.empty(0, flow.dimension, dtype=torch.float64)
        self.covectors = torch.eye(flow.dimension, dtype=torch.float64)
        self.pool = {name: torch.empty(0, *shape, dtype=torch.int64) for name, shape in spelled(flow.family).items()}

    @property
    def rank(self) -> int:
        """How many words there are."""
        return len(self.words)

    def step(self, rank: int) -> None:
        """Try some words; longer ones once those of this length add nothing."""
        words = self._fresh(rank - self.rank + _SLACK)
        if not words:
            self.length = MAX_LEVEL + 1
            return
        rows = self._brackets(words)
        shown = self.field.matmul(rows, self.covectors)
        added = linalg.echelon(shown.mT, self.field).pivots.sort().values[: rank - self.rank]
        if len(added):
            self.words += [words[i] for i in added.tolist()]
            self.rows = torch.cat([self.rows, rows[added]])
            kernel = linalg.nullspace(shown[added], self.field)
            self.covectors = self.field.matmul(self.covectors, kernel)
        else:
            self.length += 1

    def minor(self) -> Minor:
        """The words with the instances that they use, numbered anew."""
        used = list(dict.fromkeys(letter for word in self.words for letter in word))
        numbers = {letter: i for i, letter in enumerate(used)}
        words = tuple(tuple(numbers[letter] for letter in word) for word in self.words)
        columns = linalg.echelon(self.rows, self.field).pivots.sort().values.tolist()
        return Minor(self.point, {name: values[used] for name, values in self.pool.items()}, words, tuple(columns))

    def _fresh(self, count: int) -> list[tuple[int, ...]]:
        """Words of the current length: new instances, or random sequences of those that were drawn."""
        if self.length == 1:
            start = len(next(iter(self.pool.values())))
            drawn = small_samples(self.flow.family, count, self.magnitude, self.generator, self.program, self.point)
            self.pool = {name: torch.cat([values, drawn[name]]) for name, values in self.pool.items()}
            return [(i,) for i in range(start, len(next(iter(self.pool.values()))))]
        size = len(next(iter(self.pool.values())))
        return [tuple(torch.randperm(size, generator=self.generator)[: self.length].tolist()) for _ in range(count)]

    def _brackets(self, words: list[tuple[int, ...]]) -> Tensor:
        """Their values at the point, ``[words, D]``, a chunk at a time."""
        flow, field = self.flow, self.field
        if self.program is not None:
            samples, theta = flat_samples(self.pool), self.point.tolist()
            exact = [check.bracket(self.program, word, theta, samples) for word in words]
            return torch.tensor([[entry % field.prime for entry in row] for row in exact], dtype=torch.float64)
        chunk = max(1, _CHUNK_BYTES // (8 * 6 * 4 ** (self.length - 1) * flow.footprint))
        rows = torch.empty(len(words), flow.dimension, dtype=torch.float64)
        for start in range(0, len(words), chunk):
            letters = torch.tensor(words[start : start + chunk]).T
            word = [{name: field.reduce(values[row].double()) for name, values in self.pool.items()} for row in letters]
            points = field.reduce(self.point.double()).expand(1, letters.shape[1], -1)
            rows[start : start + chunk] = bracket(flow, word, points, field)[0]
        return rows
