"""Small integers at which a program exists: parameters and samples where the roots that it takes are of squares.

Half of all residues are squares. Samples are drawn until their radicands are; tokens are few, so where inputs are
tokens entries of the point are drawn anew while that makes more radicands square, as `gradlaws.models.climb` does.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gradlaws import check
from gradlaws.check_program import Program, Residues, value_of
from gradlaws.models.climb import climb
from gradlaws.models.family import Family, Shapes
from gradlaws.models.network import Network

_TRIES = 2**13
"""Samples that are drawn before it is accepted that there are too few."""

_ROUNDS = 1_000
_TRIAL = 64

Samples = dict[str, Tensor]


def small_point(family: Family, magnitude: int, generator: torch.Generator, program: Program | None = None) -> Tensor:
    """Integers between 1 and `magnitude` with signs, ``[D]``; for tokens, with square radicands for many of them."""
    point = _signed(family.dimension, magnitude, generator)
    words = vocabularies(family)
    if program is None or not words or not any(step[0] == "root" for step in program.steps):
        return point
    trial = _drawn(family, _TRIAL, 1, generator)  # of it only tokens matter: no radicand depends on cotangents
    samples = flat_samples(trial)
    return climb(
        point,
        lambda count: _signed(count, magnitude, generator),
        lambda theta: _missing(program, theta, samples),
        _groups(trial, words),
        _ROUNDS,
        generator,
    )


def small_samples(
    family: Family, count: int, magnitude: int, generator: torch.Generator, program: Program | None, point: Tensor
) -> Samples:
    """As many samples as were asked for at which the fields exist, or fewer where these are rare."""
    if program is None:
        return _drawn(family, count, magnitude, generator)
    found, missing = [_drawn(family, 0, magnitude, generator)], count
    for _ in range(max(1, _TRIES // count)):
        drawn = _drawn(family, count, magnitude, generator)
        exists = [_exists(program, point.tolist(), sample) for sample in flat_samples(drawn)]
        good = torch.tensor(exists).nonzero().flatten()[:missing]
        found.append({name: values[good] for name, values in drawn.items()})
        missing -= len(good)
        if not missing:
            break
    return {name: torch.cat([some[name] for some in found]) for name in found[0]}


def flat_samples(samples: Samples) -> list[list[int]]:
    """One list of integers for each sample."""
    flat: list[list[int]] = torch.cat([values.reshape(len(values), -1) for values in samples.values()], 1).tolist()
    return flat


def spelled(family: Family) -> Shapes:
    """Names and shapes of a sample as the checker reads it: a token is a one-hot row without its last entry.

    That entry is one minus the others, so that laws which rest on there being one token at each place hold.
    """
    words = vocabularies(family)
    return {name: (*shape, words[name] - 1) if name in words else shape for name, shape in family.instance.items()}


def vocabularies(family: Family) -> dict[str, int]:
    """How many tokens there are, for each array of a sample that holds tokens."""
    return {f"input {name}": rows for name, rows in getattr(family, "vocabularies", {}).items()}


def _drawn(family: Family, count: int, magnitude: int, generator: torch.Generator) -> Samples:
    """Small integers, gates 0 or 1: psi is affine in each gate, so these span what all numbers span."""
    words, drawn = vocabularies(family), {}
    for name, shape in family.instance.items():
        if name in words:
            drawn[name] = _one_hot(torch.randint(0, words[name], (count, *shape), generator=generator), words[name])
            continue
        gates = isinstance(family, Network) and name.startswith("gate")
        low, high = (0, 1) if gates else (-magnitude, magnitude)
        drawn[name] = torch.randint(low, high + 1, (count, *shape), generator=generator)
    return drawn


def _one_hot(tokens: Tensor, rows: int) -> Tensor:
    return torch.nn.functional.one_hot(tokens, rows)[..., :-1]


def _signed(count: int, magnitude: int, generator: torch.Generator) -> Tensor:
    signs = 2 * torch.randint(0, 2, (count,), generator=generator) - 1
    return signs * torch.randint(1, magnitude + 1, (count,), generator=generator)


def _exists(program: Program, theta: list[int], sample: list[int]) -> bool:
    """Whether no root is that of a number that is no square, and no division one by zero."""
    try:
        program.gradient(theta, sample)
    except check.Failed:
        return False
    return True


# ---- points for tokens -----------------------------------------------------------------------------------------------


def _groups(trial: Samples, words: Iterable[str]) -> Tensor:
    """Which samples have the same token at the same place: truth values ``[groups, samples]``."""
    groups: dict[tuple[Any, ...], list[int]] = {}
    for name in words:
        for number, rows in enumerate(trial[name].flatten(1, -2).tolist()):
            for place, row in enumerate(rows):
                groups.setdefault((name, place, *row), []).append(number)
    members = torch.zeros(len(groups), _TRIAL, dtype=torch.bool)
    for group, numbers in zip(members, groups.values(), strict=True):
        group[numbers] = True
    return members


class _Counting(Residues):
    """Arrays of residues, one for each sample; where a root or a reciprocal does not exist it counts and goes on."""

    def __init__(self, prime: int, samples: int) -> None:
        super().__init__(prime)
        self.single = Residues(prime)
        self.missing = np.zeros(samples, dtype=np.int64)

    def call(self, name: str, u: Any) -> Any:
        """A function, entry by entry."""
        return np.array([self._counted(name, int(v), i) for i, v in enumerate(np.broadcast_to(u, self.missing.shape))])

    def _counted(self, name: str, u: int, sample: int) -> int:
        try:
            return self.single.call(name, u)
        except check.Failed:
            self.missing[sample] += 1
            return 1


def _missing(program: Program, point: Tensor, samples: list[list[int]]) -> Tensor:
    """For each sample, how many roots and reciprocals do not exist."""
    field = _Counting(program.prime, len(samples))
    values: list[Any] = [*point.tolist(), *np.array(samples).T]
    for step in program.steps:
        values.append(field.reduce(value_of(step, values, field)))
    return torch.from_numpy(field.missing)
