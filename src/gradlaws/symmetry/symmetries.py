"""The question: which linear transformations of the parameters change nothing, and which group do they form?"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from fractions import Fraction
from math import prod
from typing import Any

import torch
from torch import nn

from gradlaws.errors import InputError
from gradlaws.exact.field import DEFAULT_PRIMES, PrimeField
from gradlaws.exact.polynomial import sum_of_products
from gradlaws.exact.rational import reconstruct
from gradlaws.flows.gradient import GradientFlow
from gradlaws.laws.answer import as_family
from gradlaws.laws.count import Count, Evidence
from gradlaws.laws.proof import EXPANSION_LIMIT
from gradlaws.laws.request import Request
from gradlaws.laws.structured import probe
from gradlaws.models.family import Family
from gradlaws.models.network import Network
from gradlaws.progress import Progress
from gradlaws.symmetry.algebra import LieAlgebra
from gradlaws.symmetry.generator import Generator
from gradlaws.symmetry.large import TRIALS, assumptions, large_symmetries
from gradlaws.symmetry.linear import DIMENSION_LIMIT, Slice, affine_symmetries
from gradlaws.symmetry.naming import gradient_dimension, named, rotation_dimension
from gradlaws.symmetry.permute import permutations, signs
from gradlaws.symmetry.result import Symmetries
from gradlaws.symmetry.sparse import Vector, by_support, dense, rational, shorten, sparser

_SLICED = 2 * DIMENSION_LIMIT


def symmetries(
    model: str | Family | nn.Module,
    example_inputs: Any = None,
    *,
    seed: int = 0,
    primes: Sequence[int] = DEFAULT_PRIMES[:2],
    on_progress: Progress | None = None,
    **module_options: Any,
) -> Symmetries:
    """All infinitesimal affine symmetries of a model, and the Lie algebra that they form.

    Every map ``theta -> B theta + b`` with ``<grad psi, B theta + b> = 0`` for all instances is found by exact linear
    algebra modulo p. The number found is a proved upper bound; each generator is lifted to rational numbers and proved
    as a polynomial identity, or tested at random points of every prime where that is too dear. Of models with more than
    400 parameters that move, symmetries of shared indices are found, and bounds say whether there are others
    (`gradlaws.symmetry.large`).

    Args:
        model: a spec such as ``'relu 2-5-3 bias'``, a torch module or a Family, of at most 16,000 parameters.
        example_inputs: for a module: a tensor, a tuple of positional or a dict of keyword arguments.
        seed: of every random choice.
        primes: moduli; the first decides, all of them test.
        on_progress: hears the name of a stage and the fraction done.
        **module_options: for a module: see `gradlaws.models.module.from_module`. With ``data`` the symmetries are those
            of these data, and how many are functional, that is hold for all data, is said too.

    Raises:
        InputError: the model or an option makes no sense.
        TooLargeError: there are too many parameters.
    """
    fields = list(Request.of(primes, seed).fields)
    with torch.inference_mode(False), torch.enable_grad():
        family = as_family(model, example_inputs, module_options)
        found = _found(family, fields, seed, on_progress)
        if isinstance(model, nn.Module):
            found = replace(found, discrete=_discrete_of_module(model, example_inputs, set(family.parameters)))
        if module_options.get("data") is None:
            return found
        options = {name: value for name, value in module_options.items() if name != "data"}
        everywhere = _found(as_family(model, example_inputs, options), fields, seed, on_progress)
        return replace(found, functional=everywhere.dimension)


def _found(family: Family, fields: list[PrimeField], seed: int, on_progress: Progress | None) -> Symmetries:
    started, field = time.perf_counter(), fields[0]
    relaxed = family.relaxed()
    generator = torch.Generator().manual_seed(seed)
    slice_ = None
    if family.dimension <= _SLICED:
        slice_ = Slice.of(GradientFlow(relaxed), field, generator)
    if slice_ is None or slice_.dimension > DIMENSION_LIMIT:
        return replace(large_symmetries(family, fields, seed, on_progress), discrete=_discrete(family))
    maps = affine_symmetries(slice_, generator, on_progress)
    tensor = _tensor_of_row(slice_, family)
    owner = torch.tensor([tensor(place) for place in range(slice_.dimension * (slice_.dimension + 1))])
    vectors = rational(by_support(maps.flatten(1), owner, field), field)
    still_ones = rational(slice_.still.T, field)
    if vectors is None or still_ones is None:  # data or constants such as running variances stand in them
        return _by_structure(family, fields, seed, len(maps), on_progress)
    vectors, still, notes = sparser(vectors, tensor), sparser(still_ones), list[str]()
    shapes = tuple(family.parameters.items())
    translations = tuple(_written({(i, family.dimension): c for i, c in v.items()}, shapes) for v in still)
    generators = tuple(_written(_lifted(v, slice_, still), shapes) for v in vectors)
    open_ones = _unproved(family, [*generators, *translations])
    failure = _tested(relaxed, open_ones, fields, generator) if open_ones else 0.0
    notes.append(
        f"{len(open_ones)} generators were tested at random points, the others are proved"
        if open_ones
        else "every generator is proved as a polynomial identity"
    )
    evidence = Evidence(
        primes=tuple(f.prime for f in fields),
        seed=seed,
        assumptions=assumptions(family),
        failure_probability=failure,
        seconds=time.perf_counter() - started,
        notes=tuple(notes),
    )
    count = Count.between(len(vectors), len(maps), evidence, family.dimension)
    return _named(family, slice_, vectors, generators, translations, count)


def _by_structure(
    family: Family, fields: list[PrimeField], seed: int, most: int, on_progress: Progress | None
) -> Symmetries:
    """Symmetries of shared indices, where all together have no small rational coefficients."""
    found = replace(large_symmetries(family, fields, seed, on_progress), discrete=_discrete(family))
    count, upper = found.count, min(most, found.count.upper)
    note = f"the {most} symmetries together have no small rational coefficients: those of shared indices are listed"
    evidence = replace(count.evidence, notes=(note, *count.evidence.notes))
    return replace(found, count=Count.between(count.lower, upper, evidence, family.dimension))


def _named(
    family: Family,
    slice_: Slice,
    vectors: list[Vector],
    generators: tuple[Generator, ...],
    translations: tuple[Generator, ...],
    count: Count,
) -> Symmetries:
    """The Lie algebra of generators that were found."""
    field, d = slice_.field, slice_.dimension
    maps = dense(vectors, d * (d + 1), field).view(-1, d, d + 1)
    algebra = LieAlgebra.of(maps, field)
    full = slice_.orthogonal(maps)
    blocks, unipotent = named(algebra, generators, full, field)
    structure = [
        (i, j, k, reconstruct(int(algebra.constants[i, j, k]), field.prime) or Fraction(0))
        for i, j, k in algebra.constants.nonzero().tolist()
        if i < j
    ]
    return Symmetries(
        model=family.name,
        generators=generators,
        still=len(translations),
        translations=translations,
        count=count,
        blocks=blocks,
        structure=tuple(structure),
        centre=algebra.centre.shape[1],
        radical=algebra.radical.shape[1],
        unipotent=unipotent,
        rank=algebra.rank,
        torus=sum(g.kind == "scaling" for g in generators),
        laws=gradient_dimension(full, field),
        rotations=rotation_dimension(full, field),
        scope=family.scope,
        discrete=_discrete(family),
    )


def _tensor_of_row(slice_: Slice, family: Family) -> Callable[[int], int]:
    """The parameter that an entry of a flattened map of the slice moves."""
    owner = [n for n, shape in enumerate(family.parameters.values()) for _ in range(prod(shape))]
    rows = [owner[i] for i in slice_.moving.tolist()]
    return lambda place: rows[place // (slice_.dimension + 1)]


def _written(entries: dict[tuple[int, int], Fraction], shapes: Any) -> Generator:
    return Generator(tuple((i, j, c) for (i, j), c in sorted(entries.items())), shapes)


def _lifted(vector: Vector, slice_: Slice, still: list[Vector]) -> dict[tuple[int, int], Fraction]:
    """A map of the coordinates that move, as one of all parameters: sparse, and zero on what stands still.

    The value may be changed by directions that stand still, which serves to write whole rows and columns.
    """
    d, width = slice_.dimension, slice_.flow.dimension
    moving = slice_.moving.tolist()
    columns: dict[int, Vector] = {}
    for place, c in vector.items():
        row, column = divmod(place, d + 1)
        columns.setdefault(moving[column] if column < d else width, {})[moving[row]] = c
    basis = rational(slice_.still.T, slice_.field) or []
    own = [next(k for k in v if k not in set(moving)) for v in basis]
    for free, direction in zip(own, basis, strict=True):
        value: Vector = {}
        for k, c in direction.items():
            if k == free:
                continue
            for row, x in columns.get(k, {}).items():
                value[row] = value.get(row, Fraction(0)) - c * x
        value = {row: x for row, x in value.items() if x}
        for other in still:
            shorten(value, other)
        if value:
            columns[free] = value
    return {(row, column): c for column, values in columns.items() for row, c in values.items()}


def _unproved(family: Family, some: list[Generator]) -> list[Generator]:
    """Those for which ``<grad psi, B theta + b>`` is not proved to be the zero polynomial."""
    if family.monomials * family.dimension <= EXPANSION_LIMIT:
        psi = family.expanded()
        slopes = [psi.derivative(i) for i in range(family.dimension)]
        return [g for g in some if sum_of_products((p, slopes[i]) for i, p in g.direction().items()).terms]
    from gradlaws.laws.propagation import moves_no_output  # noqa: PLC0415 - what records modules takes long to import
    from gradlaws.models.module import ModuleFamily  # noqa: PLC0415

    return [g for g in some if not (isinstance(family, ModuleFamily) and moves_no_output(family, g.direction()))]


def _tested(family: Family, some: list[Generator], fields: list[PrimeField], random: torch.Generator) -> float:
    """Probability that a false generator passed.

    Raises:
        InputError: one does not hold.
    """
    flow, probability = GradientFlow(family), 1.0
    for field in fields:
        probed = probe(flow, TRIALS, field, random)
        flat = torch.cat([x.reshape(len(x), -1) for x in probed.theta.values()], 1)
        flat = torch.cat([flat, torch.ones_like(flat[:, :1])], 1)
        moved = torch.cat([x.reshape(len(x), -1) for x in probed.velocity.values()], 1)
        for generator in some:
            total = torch.zeros(len(flat), dtype=torch.float64)
            for i, j, c in generator.entries:
                total = field.reduce(total + field.reduce(field.reduce(moved[:, i] * flat[:, j]) * field.residue(c)))
            if bool(total.any()):
                raise InputError(f"a generator fails its test, seed {random.initial_seed()}: choose another seed")
        probability *= (flow.degree / field.prime) ** TRIALS
    return min(1.0, probability * len(some))


def _discrete_of_module(module: nn.Module, example_inputs: Any, names: set[str]) -> tuple[str, ...]:
    """Permutations and signs of hidden units, found by trying them in float64."""
    try:
        orders = [order for order in permutations(module, example_inputs) if names.issuperset(order.tensors)]
        odd = signs(module, example_inputs, orders)
    except InputError as error:  # a module may run in one precision only
        return (f"permutations were not looked for: {error}",)
    found = [f"permutations {order.text} (found in float64)" for order in orders]
    found += [f"signs (Z/2)^{order.width} of the same units as {order.text.partition(' on ')[2]}" for order in odd]
    return tuple(found)


def _discrete(family: Family) -> tuple[str, ...]:
    """Permutations and signs of the hidden units of a fully connected network."""
    if not isinstance(family, Network):
        return ()
    found = [
        f"permutations S_{width} of hidden layer {layer}"
        for layer, width in enumerate(family.widths[1:-1], 1)
        if width > 1
    ]
    if family.activation == "square":
        found += [f"signs (Z/2)^{w} of what enters hidden layer {i}" for i, w in enumerate(family.widths[1:-1], 1)]
    return tuple(found)
