"""Sampling of instances and parameters at which all radicands are squares, half of the residues each.

Inverse square roots exist in a prime field for squares only. Instances are drawn until theirs do; what cannot be
reached that way, tokens being few, is reached by moving the parameters.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import torch
from torch import Tensor

from gradlaws.errors import UnsupportedError
from gradlaws.exact.field import PrimeField

ROOT_LIMIT = 12
"""Radicands that may have to be squares at once: an instance is kept with probability 2**-ROOT_LIMIT at worst."""

_BATCH_NUMBERS = 2**23
_TRIAL = 256
_CLIMB = 300


class Sampled(Protocol):
    """What is to be sampled: a family whose program may take square roots."""

    @property
    def title(self) -> str:
        """What to call it."""

    @property
    def dimension(self) -> int:
        """Number of parameters."""

    @property
    def footprint(self) -> int:
        """Numbers that one evaluation holds in memory."""

    @property
    def free_roots(self) -> bool:
        """Whether radicands may be anything."""

    @property
    def vocabularies(self) -> Mapping[str, int]:
        """How many tokens there are, for each input of tokens."""

    def uniform(self, count: int, field: PrimeField, generator: torch.Generator) -> dict[str, Tensor]:
        """Random instances."""

    def squares(self, theta: Tensor, instance: dict[str, Tensor], field: PrimeField) -> list[Tensor]:
        """Which radicands are squares."""


def accepted_instances(
    family: Sampled, theta: Tensor, field: PrimeField, generator: torch.Generator
) -> dict[str, Tensor]:
    """One instance with square radicands for each row of theta, by rejection.

    Raises:
        UnsupportedError: there are too many radicands.
    """
    drawn = family.uniform(len(theta), field, generator)
    if family.free_roots:
        return drawn
    todo = (~_accepted(family, theta, drawn, field)).nonzero().squeeze(1)
    tries = 0
    while len(todo):
        repeats = max(1, min(2**ROOT_LIMIT, _BATCH_NUMBERS // (family.footprint * len(todo))))
        rows = todo.repeat_interleave(repeats)
        fresh = family.uniform(len(rows), field, generator)
        good, first = _accepted(family, theta[rows], fresh, field).view(-1, repeats).max(1)
        chosen = (first + torch.arange(len(todo)) * repeats)[good]
        for name, values in drawn.items():
            values[todo[good]] = fresh[name][chosen]
        todo, tries = todo[~good], tries + repeats
        if tries > 2 ** (ROOT_LIMIT + 2):
            raise UnsupportedError(
                f"{family.title} takes too many square roots at once for exact sampling: use example inputs with "
                "fewer positions (two tokens are enough for attention), or a smaller part of the model"
            )
    return drawn


def good_parameters(family: Sampled, count: int, field: PrimeField, generator: torch.Generator) -> Tensor:
    """Rows of parameters with square radicands for many instances ``[count, D]``; random where there are no roots."""
    if family.free_roots or not _has_roots(family, field):
        return field.random((count, family.dimension), generator)
    return torch.cat([_climb(family, field, generator) for _ in range(count)])


def _has_roots(family: Sampled, field: PrimeField) -> bool:
    """Whether any radicand has to be a square."""
    generator = torch.Generator().manual_seed(0)
    theta = field.random((1, family.dimension), generator)
    return bool(family.squares(theta, family.uniform(1, field, generator), field))


def _climb(family: Sampled, field: PrimeField, generator: torch.Generator) -> Tensor:
    """One row of parameters with square radicands for many instances, and for some with each token at each place.

    Tokens are few, so their radicands cannot be made square by drawing other inputs: blocks of parameters are
    redrawn instead while that helps. Any point is as good as any other for what is proved there.
    """
    theta = field.random((1, family.dimension), generator)
    trial = family.uniform(_TRIAL, field, generator)
    groups = _token_groups(family, trial)
    squares = family.squares(theta, trial, field)
    for _ in range(_CLIMB):
        if not squares or _enough(squares, groups):
            break
        moved = theta.clone()
        start = int(torch.randint(0, family.dimension, (1,), generator=generator))
        block = slice(start, start + max(1, family.dimension // 64))
        moved[:, block] = field.random(tuple(moved[:, block].shape), generator)
        other = family.squares(moved, trial, field)
        if _merit(other, groups) >= _merit(squares, groups):
            theta, squares = moved, other
    return theta


def _token_groups(family: Sampled, instance: dict[str, Tensor]) -> Tensor:
    """Which examples hold which token at which position, after all of them: truth values ``[groups, count]``."""
    groups = [torch.ones(1, len(next(iter(instance.values()))), dtype=torch.bool)]
    for name, rows in family.vocabularies.items():
        tokens = instance[f"input {name}"].flatten(1).cpu()
        groups += [(tokens == token).T for token in range(min(rows, _TRIAL))]
    return torch.cat(groups)


def _accepted(family: Sampled, theta: Tensor, instance: dict[str, Tensor], field: PrimeField) -> Tensor:
    squares = family.squares(theta, instance, field)
    return _all_square(squares).expand(len(theta)) if squares else torch.ones(len(theta), dtype=torch.bool)


def _all_square(squares: list[Tensor]) -> Tensor:
    """Examples all of whose radicands are squares."""
    total = torch.ones(1, dtype=torch.bool)
    for flags in squares:
        total = total & flags.all(1).cpu()
    return total


def _enough(squares: list[Tensor], groups: Tensor) -> bool:
    """Whether a twentieth of the examples, and some of every group, have square radicands only."""
    accepted = (groups & _all_square(squares)).sum(1)
    return int(accepted[0]) >= groups.shape[1] // 20 and bool(accepted.gt(0).all())


def _merit(squares: list[Tensor], groups: Tensor) -> float:
    """Grows with the number of examples, in every group, that have nearly all their radicands square."""
    missing = torch.stack([(~flags).sum(1).expand(groups.shape[1]).cpu() for flags in squares]).sum(0)
    weights = torch.exp2(-2.0 * missing.to(torch.float64))
    return float((groups * weights).sum(1).clamp_min(1e-300).log().sum())
