"""Symmetries of a model with thousands of parameters: those of shared indices, and at most how many exist at all."""

from __future__ import annotations

import time
from dataclasses import dataclass
from fractions import Fraction

import torch
from torch import Tensor

from gradlaws.errors import InputError
from gradlaws.exact import linalg
from gradlaws.exact.field import PrimeField
from gradlaws.exact.rational import reconstruct
from gradlaws.flows.gradient import GradientFlow
from gradlaws.laws.count import Count, Evidence
from gradlaws.laws.structured import probe
from gradlaws.models.family import Family
from gradlaws.progress import Progress
from gradlaws.symmetry.bound import LAST, Admissible
from gradlaws.symmetry.generator import Generator
from gradlaws.symmetry.local import Local, local_symmetries
from gradlaws.symmetry.maps import Maps
from gradlaws.symmetry.result import Block, Symmetries
from gradlaws.symmetry.sparse import Vector, rational, sparser

TRIALS = 3
_SPARE = 8
_WRITTEN = 96
"""Generators up to which structure constants are written out."""

_MOST_POINTS = 24
_WORK = 10**12
"""Cubes of parameters, over all points whose gradients are eliminated: two minutes or so; two points always are."""

_UNKNOWNS = 8_000
_MIXED = 3
_SHORT = 200
_FREE_CONSTANTS = (
    "the small constants of normalisations are free numbers, one for each position: a symmetry that holds for one "
    "value of them only is not looked for"
)


def large_symmetries(
    family: Family, fields: list[PrimeField], seed: int, on_progress: Progress | None = None
) -> Symmetries:
    """Symmetries that act on shared indices, and an upper bound on how many there are of any kind.

    Where the two meet, every affine symmetry is a combination of those listed; the status is then ``CERTAIN`` with the
    probability that a random test let something pass. Otherwise it is ``BOUNDED``.

    Raises:
        InputError: a generator fails its test.
        TooLargeError: there are too many parameters.
    """
    started, field = time.perf_counter(), fields[0]
    flow = GradientFlow(family.relaxed())
    random = torch.Generator().manual_seed(seed)
    admissible = Admissible.at_one_point(flow, field, random, on_progress)
    found = local_symmetries(flow, field, random, family.relaxed().tables, on_progress)
    span, kept = _Span.of(found, admissible, random)
    failure = _confirmed(span.maps, flow, fields, random)
    upper, points = _upper(admissible, span.maps.count, random, on_progress)
    invariants = _invariants(span, kept, random)
    notes = [
        f"the upper bound comes from all gradients at {points} random points and a few at others; it is wrong with "
        f"probability 1/p**{LAST} at most",
        "every generator was tested at random points of every prime",
        *invariants.notes,
    ]
    lost = span.still.shape[1]
    if lost and rational(span.still.T, field) is None:
        notes.append(f"{lost} directions stand still; they have no small rational coefficients and are not written out")
    if upper > span.maps.count:
        notes.append("there may be symmetries that act on no index shared by whole axes, equal parts or heads")
    probability = min(1.0, failure + float(field.prime) ** -LAST)
    evidence = Evidence(
        primes=tuple(f.prime for f in fields),
        seed=seed,
        assumptions=assumptions(family),
        failure_probability=probability,
        seconds=time.perf_counter() - started,
        notes=tuple(notes),
    )
    count = Count.between(span.maps.count, upper, evidence, family.dimension)
    return _written(family, span, kept, invariants, count)


def assumptions(family: Family) -> tuple[str, ...]:
    """Those of the family, and what is not looked for."""
    free = family.idealised() is not None or getattr(family, "eps", "generic") == "zero"
    return (*family.assumptions, _FREE_CONSTANTS) if free else tuple(family.assumptions)


@dataclass(frozen=True, eq=False, slots=True)
class _Kept:
    """A family of symmetries, of which those that do not follow from earlier ones are kept, from a number on."""

    local: Local
    start: int
    numbers: tuple[int, ...]

    @property
    def whole(self) -> bool:
        """Whether all are."""
        return len(self.numbers) == self.local.maps.count

    def share(self, count: int) -> int:
        """How many of the directions of one kind are left."""
        return count if self.whole else min(count, len(self.numbers))


@dataclass(frozen=True, eq=False, slots=True)
class _Span:
    """Independent generators, told apart by their values at random points, modulo what stands still."""

    maps: Maps
    field: PrimeField
    points: Tensor
    still: Tensor
    lost: Tensor
    mixing: Tensor

    @classmethod
    def of(cls, found: list[Local], admissible: Admissible, random: torch.Generator) -> tuple[_Span, list[_Kept]]:
        """Of each family those that are independent of all before."""
        field, dimension = admissible.field, admissible.flow.dimension
        every = Maps.joined([local.maps for local in found], dimension)
        lost = linalg.echelon(admissible.still.T, field).pivots
        count, before = every.count // max(1, admissible.values[0].shape[1]) + 1, -1
        while True:
            points = field.random((count, dimension), random)
            mixing = field.random((count, dimension, every.count + _SPARE), random)
            span = cls(every, field, points, admissible.still, lost, mixing)
            marks = span.marks([every.at(point, field) for point in points])
            rank = linalg.rank(marks, field)
            if rank in (before, every.count):  # one more point would tell nothing more
                break
            count, before = count + 1, rank
        echelon, kept, chosen, start = linalg.echelon(marks[:0], field), list[_Kept](), list[int](), 0
        for local in found:
            rows = marks[start : start + local.maps.count]
            rest = field.reduce(rows[:, echelon.free] - field.matmul(rows[:, echelon.pivots], echelon.block))
            new = linalg.echelon(rest.T, field).pivots.sort().values
            if len(new):
                kept.append(_Kept(local, len(chosen), tuple(new.tolist())))
                chosen += (start + new).tolist()
                echelon = linalg.extend(echelon, rows[new], field)
            start += local.maps.count
        return cls(
            every.chosen(chosen), field, points, admissible.still, lost, mixing[:, :, : len(chosen) + _SPARE]
        ), kept

    def marks(self, values: list[Tensor]) -> Tensor:
        """A few random sums of the entries of values at the points ``[count, few]``, blind to what stands still."""
        total = torch.zeros(len(values[0]), self.mixing.shape[2], dtype=torch.float64)
        for value, mixing in zip(values, self.mixing, strict=True):
            apart = self.field.reduce(value - self.field.matmul(value[:, self.lost], self.still.T))
            total = self.field.reduce(total + self.field.matmul(apart, mixing))
        return total

    def adjoint(self, some: list[Maps]) -> list[Tensor] | None:
        """For each map Y the matrix of ``X -> [Y, X]`` in the basis ``[count, count]``; None where there is none."""
        field, count = self.field, self.maps.count
        values = [self.maps.at(point, field) for point in self.points]
        moved = []
        for y in some:
            own = [y.at(point, field)[0] for point in self.points]
            brackets = [
                field.reduce(y.applied(x, field) - self.maps.after(v, field)) for x, v in zip(values, own, strict=True)
            ]
            moved.append(self.marks(brackets))
        try:
            solved = linalg.solve(self.marks(values).T, torch.cat(moved).T, field)
        except InputError:
            return None
        return list(solved.T.split(count))


@dataclass(frozen=True, slots=True)
class _Invariants:
    structure: tuple[tuple[int, int, int, Fraction], ...]
    centre: int
    unipotent: int
    rank: int
    notes: tuple[str, ...]


def _upper(
    admissible: Admissible, lower: int, random: torch.Generator, on_progress: Progress | None
) -> tuple[int, int]:
    """The best bound from one point, two, and more while that is affordable; and how many were needed."""
    best, points = admissible.fitting(random) + admissible.beyond(random), 1
    while best > lower and points < _MOST_POINTS:
        unknowns, work = (points + 1) * admissible.values[0].shape[1], (points + 1) * admissible.flow.dimension**3
        if unknowns > _UNKNOWNS or (points > 1 and work > _WORK):
            break
        admissible, points = admissible.extended(random, on_progress), points + 1
        fitting = admissible.fitting(random)
        if fitting < best:
            best = min(best, fitting + admissible.beyond(random))
    return best, points


def _confirmed(maps: Maps, flow: GradientFlow, fields: list[PrimeField], random: torch.Generator) -> float:
    """Probability that a false generator passed.

    Raises:
        InputError: one does not hold.
    """
    probability = 1.0
    for field in fields:
        probed = probe(flow, TRIALS, field, random)
        theta, velocity = (
            torch.cat([x.reshape(len(x), -1) for x in point.values()], 1) for point in (probed.theta, probed.velocity)
        )
        if bool(maps.slopes(theta, velocity, field).any()):
            raise InputError(f"a generator fails its test, seed {random.initial_seed()}: choose another seed")
        probability *= (flow.degree / field.prime) ** TRIALS
    return min(1.0, probability * maps.count)


def _invariants(span: _Span, kept: list[_Kept], random: torch.Generator) -> _Invariants:
    """From brackets with a few random elements; structure constants where there are few generators."""
    field, count = span.field, span.maps.count
    weights = field.random((_MIXED, count), random)
    adjoints = span.adjoint([span.maps.combined(w, field) for w in weights]) if count else []
    if adjoints is None:
        return _Invariants((), 0, 0, 0, ("brackets of the generators lead to others: centre and rank are not known",))
    if not adjoints:
        return _Invariants((), 0, 0, 0, ())
    centre = count - linalg.rank(torch.cat(adjoints, 1), field)
    radical = torch.cat([_radical(one, count) for one in kept])
    unipotent = linalg.rank(torch.cat([field.matmul(field.reduce(radical), ad) for ad in adjoints]), field)
    power = adjoints[0]
    for _ in range(count.bit_length()):
        power = field.matmul(power, power)
    rank = count - linalg.rank(power, field)
    if count > _WRITTEN:
        note = f"structure constants are written out for at most {_WRITTEN} generators"
        return _Invariants((), centre, unipotent, rank, (note,))
    every = span.adjoint([span.maps.chosen([i]) for i in range(count)]) or []
    structure = tuple(
        (i, j, k, reconstruct(int(ad[j, k]), field.prime) or Fraction(0))
        for i, ad in enumerate(every)
        for j, k in ad.nonzero().tolist()
        if i < j
    )
    return _Invariants(structure, centre, unipotent, rank, ())


def _radical(one: _Kept, count: int) -> Tensor:
    """The radical of a family among all generators ``[few, count]``."""
    rows = one.local.radical if one.whole else torch.eye(one.local.maps.count, dtype=torch.float64)[list(one.numbers)]
    full = torch.zeros(len(rows), count, dtype=torch.float64)
    full[:, one.start : one.start + len(one.numbers)] = rows[:, list(one.numbers)]
    return full


def _written(family: Family, span: _Span, kept: list[_Kept], invariants: _Invariants, count: Count) -> Symmetries:
    shapes = tuple(family.parameters.items())
    still = _still(span)
    generators = span.maps.generators(shapes)
    blocks = tuple(
        Block(
            _name(one),
            len(one.numbers),
            tuple(range(one.start, one.start + len(one.numbers))),
            one.local.tensors,
            one.share(one.local.laws),
        )
        for one in kept
    )
    return Symmetries(
        model=family.name,
        generators=generators,
        still=span.still.shape[1],
        translations=tuple(
            Generator(tuple((i, family.dimension, c) for i, c in sorted(v.items())), shapes) for v in still
        ),
        count=count,
        blocks=blocks,
        structure=invariants.structure,
        centre=invariants.centre,
        radical=count.lower - sum(one.local.simple for one in kept if one.whole),
        unipotent=invariants.unipotent,
        rank=invariants.rank,
        torus=sum(g.kind == "scaling" for g in generators),
        laws=sum(block.laws for block in blocks),
        rotations=sum(one.share(one.local.rotations) for one in kept),
        scope=family.scope,
    )


def _still(span: _Span) -> list[Vector]:
    """What stands still, where it has small rational coefficients."""
    found = rational(span.still.T, span.field) or []
    return sparser(found) if len(found) <= _SHORT else found


def _name(one: _Kept) -> str:
    return one.local.name if one.whole else f"R^{len(one.numbers)} (of {one.local.name})"
