"""One infinitesimal affine symmetry: ``theta' = B theta + b``, sparse and rational, and how a person writes it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import prod

import numpy as np
import torch
from torch import Tensor

from gradlaws.exact.polynomial import Polynomial, constant, variable
from gradlaws.models.family import Shape, Shapes, size

_SHOWN = 6
Entry = tuple[int, int]
"""Row and column; the column after the last parameter is the constant part."""


@dataclass(frozen=True, slots=True)
class Generator:
    """``theta' = B theta + b``: moving along it changes the function of the model not at all.

    Args:
        entries: row, column and value of the entries of ``[B | b]`` that are not zero.
        shapes: of the parameters, in the order in which they are flattened.
    """

    entries: tuple[tuple[int, int, Fraction], ...]
    shapes: tuple[tuple[str, Shape], ...]

    @property
    def kind(self) -> str:
        """``scaling``, ``symmetric``, ``rotation``, ``shear`` (squares to 0), ``shift`` (with constants), ``mixed``."""
        last = size(dict(self.shapes))
        linear = {(i, j): c for i, j, c in self.entries if j < last}
        if len(linear) == len(self.entries):
            if all(i == j for i, j in linear):
                return "scaling"
            if all(linear.get((j, i)) == c for (i, j), c in linear.items()):
                return "symmetric"
            if all(linear.get((j, i)) == -c for (i, j), c in linear.items()):
                return "rotation"
        rows = {i for i, _, _ in self.entries}
        if any(j in rows for _, j, _ in self.entries):
            return "mixed"
        return "shear" if len(linear) == len(self.entries) else "shift"

    @property
    def tensors(self) -> tuple[str, ...]:
        """Parameters that it moves."""
        moved = {i for i, _, _ in self.entries}
        return tuple(name for name, start, stop, _ in _ranges(self.shapes) if any(start <= i < stop for i in moved))

    @property
    def text(self) -> str:
        """For example ``W1[0,:]' = W1[1,:]; W2[:,1]' = -W2[:,0]``."""
        groups: dict[tuple[str, str, Fraction], list[Entry]] = defaultdict(list)
        place = _places(self.shapes)
        for i, j, c in self.entries:
            groups[place[i][0], place[j][0], c].append((i, j))
        terms = [term for key, entries in groups.items() for term in _written(key, entries, place, dict(self.shapes))]
        more = "; ..." if len(terms) > _SHOWN else ""
        return "; ".join(terms[:_SHOWN]) + more

    def direction(self) -> dict[int, Polynomial]:
        """Its components as polynomials in the flattened parameters."""
        last = size(dict(self.shapes))
        found: dict[int, Polynomial] = {}
        for i, j, c in self.entries:
            found[i] = found.get(i, constant(0)) + (constant(c) if j == last else variable(j) * c)
        return found

    def velocity(self, theta: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """``B theta + b`` at real parameters, in float64."""
        flat = torch.cat([theta[name].detach().double().flatten() for name, _ in self.shapes])
        flat = torch.cat([flat, flat.new_ones(1)])
        moved = torch.zeros_like(flat[:-1])
        for i, j, c in self.entries:
            moved[i] += float(c) * flat[j]
        pieces = moved.split([prod(shape) for _, shape in self.shapes])
        return {name: piece.view(shape) for (name, shape), piece in zip(self.shapes, pieces, strict=True)}


def _ranges(shapes: Sequence[tuple[str, Shape]]) -> list[tuple[str, int, int, Shape]]:
    """Name, first number, the one after the last, and shape of each tensor."""
    found, start = [], 0
    for name, shape in shapes:
        found.append((name, start, start + prod(shape), shape))
        start += prod(shape)
    return found


def _places(shapes: Sequence[tuple[str, Shape]]) -> dict[int, tuple[str, tuple[int, ...]]]:
    """Tensor and index of every flattened number, and of the constant."""
    found: dict[int, tuple[str, tuple[int, ...]]] = {}
    for name, start, stop, shape in _ranges(shapes):
        found |= {start + k: (name, index) for k, index in enumerate(np.ndindex(*shape))}
        last = stop
    found[last] = ("", ())
    return found


def _written(
    key: tuple[str, str, Fraction],
    entries: list[Entry],
    place: dict[int, tuple[str, tuple[int, ...]]],
    shapes: Shapes,
) -> list[str]:
    """One formula with ``:`` for whole axes where the entries make one, or the first few entries."""
    to, source, c = key
    left = np.array([place[i][1] for i, _ in entries]).reshape(len(entries), -1)
    right = np.array([place[j][1] for _, j in entries]).reshape(len(entries), -1)
    names, count = ["?"] * left.shape[1], 1
    partners = ["?"] * right.shape[1]
    for a in range(left.shape[1]):
        if (left[:, a] == left[0, a]).all():
            names[a] = str(left[0, a])
            continue
        same = [b for b in range(right.shape[1]) if (right[:, b] == left[:, a]).all() and partners[b] == "?"]
        whole = len(set(left[:, a])) == shapes[to][a]
        if whole and (same or not source):
            names[a] = ":"
            count *= shapes[to][a]
            partners[same[0] if same else 0 : (same[0] + 1) if same else 0] = [":"] if same else []
    for b in range(right.shape[1]):
        if partners[b] == "?" and (right[:, b] == right[0, b]).all():
            partners[b] = str(right[0, b])
    if "?" in names + partners or count != len(entries):
        if len(entries) == 1:
            return [_formula(to, place[entries[0][0]][1], source, place[entries[0][1]][1], c)]
        return [line for e in _split(entries, left, right) for line in _written(key, e, place, shapes)]
    return [_formula(to, names, source, partners, c)]


def _split(entries: list[Entry], left: np.ndarray, right: np.ndarray) -> list[list[Entry]]:
    """By the indices of the axes that do not run together, or one by one."""
    apart = [
        a for a in range(left.shape[1]) if not any((right[:, b] == left[:, a]).all() for b in range(right.shape[1]))
    ]
    apart = apart or [int(np.argmin([len(set(left[:, a])) for a in range(left.shape[1])]))]
    groups: dict[tuple[int, ...], list[Entry]] = defaultdict(list)
    for entry, index in zip(entries, left, strict=True):
        groups[tuple(index[apart])].append(entry)
    return list(groups.values()) if len(groups) > 1 else [[entry] for entry in entries]


def _formula(to: str, index: Sequence[object], source: str, other: Sequence[object], c: Fraction) -> str:
    left = f"{to}[{','.join(map(str, index))}]" if len(index) else to
    right = f"{source}[{','.join(map(str, other))}]" if len(other) else source
    if not source:
        return f"{left}' = {c}"
    return f"{left}' = {'-' if c < 0 else ''}{'' if abs(c) == 1 else f'{abs(c)} '}{right}"
