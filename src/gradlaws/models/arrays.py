"""Named arrays of one run of a program: instances, cotangents that a loss allows, parameters that do not move."""

from __future__ import annotations

import zlib
from collections.abc import Mapping

import torch
from torch import Tensor

from gradlaws.exact.execute import OneHot
from gradlaws.exact.field import PrimeField
from gradlaws.exact.jet import Jet, constant
from gradlaws.exact.rules.structure import apply
from gradlaws.exact.tape import ONE, tape_of


def constants(instance: Mapping[str, Tensor], field: PrimeField) -> dict[str, Jet]:
    """Residues as jets that do not move."""
    return {name: constant(values, field) for name, values in instance.items()}


def choices(s: Mapping[str, Jet]) -> dict[str, Jet]:
    """What the activations choose, by step of the program."""
    return {name.removeprefix("choice "): value for name, value in s.items() if name.startswith("choice ")}


def centred(c: Jet) -> Jet:
    """Cotangents that add up to zero over the last axis: the last one is minus the sum of the others."""
    summed: Jet = apply(c, lambda t: torch.cat([t[..., :-1], -t[..., :-1].sum(-1, keepdim=True)], -1))
    return summed


def one_hot(rows: Jet) -> OneHot:
    """Whole numbers, from one-hot rows on a tape that lack their last entry: it is one minus the others."""
    one = constant(torch.full((1, *rows.shape[:-1], 1), float(ONE)), rows.field)
    last = one - apply(rows, lambda t: t.sum(-1, keepdim=True))
    return OneHot(Jet(torch.cat([rows.coefficients, last.coefficients], -1), rows.field))


def generic(name: str, shape: tuple[int, ...], field: PrimeField) -> Jet:
    """Numbers of a parameter that does not move: the same in every run."""
    if tape := tape_of(field):
        names = [f"{name}[{i}]" for i in range(torch.Size(shape).numel())]
        return Jet(tape.generic(names, (1, 1, *shape)), field)
    generator = torch.Generator().manual_seed(zlib.crc32(name.encode()))
    return constant(field.random((1, *shape), generator), field)
