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
from gradlaws.models.climb import climb

ROOT_LIMIT = 12
"""Radicands that may have to be squares at once: an instance is kept with probability 2**-ROOT_LIMIT at worst."""

_BATCH_NUMBERS = 2**23
_TRIAL = 256
_ROUNDS = 300


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
    return torch.stack([_moved(family, field, generator) for _ in range(count)])


def _has_roots(family: Sampled, field: PrimeField) -> bool:
    """Whether any radicand has to be a square."""
    generator = torch.Generator().manual_seed(0)
    theta = field.random((1, family.dimension), generator)
    return bool(family.squares(theta, family.uniform(1, field, generator), field))


def _moved(family: Sampled, field: PrimeField, generator: torch.Generator) -> Tensor:
    """One row of parameters ``[D]`` with square radicands for many instances, some with each token at each place."""
    theta = field.random((family.dimension,), generator)
    trial = family.uniform(_TRIAL, field, generator)
    return climb(
        theta,
        lambda count: field.random((count,), generator),
        lambda theta: _lacking(family.squares(theta[None], trial, field)),
        _token_groups(family, trial),
        _ROUNDS,
        generator,
        least=_TRIAL // 20,
    )


def _token_groups(family: Sampled, instance: dict[str, Tensor]) -> Tensor:
    """Which examples hold which token at which position: truth values ``[groups, count]``, and all in a group too."""
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


def _lacking(squares: list[Tensor]) -> Tensor:
    """How many radicands of each example are no squares."""
    return torch.stack([(~flags).sum(1).expand(_TRIAL).cpu() for flags in squares]).sum(0)
