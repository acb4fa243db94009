"""Laws that can be read off gradients at one point: weights that never move, constant sums, sums of squares.

A law ``sum a_i theta_i`` or ``sum a_i theta_i^2`` makes the columns of the gradients, or those times theta, dependent.
Found at the point and at some beside it, in float64: seen, not proved, and only with coefficients that a person would
write.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from itertools import permutations

import torch
from torch import Tensor

from gradlaws.laws.law import signed_sum

_NEVER = 1e-10
_NULL = 1e-9
_SNAP = 1e-5
_STEP = 1e-3
_MOST_POINTS = 12

Shapes = Mapping[str, tuple[int, ...]]


@dataclass(frozen=True, slots=True)
class Frozen:
    """Parameters with zero gradient for every sample.

    Args:
        tensor: name of the parameter.
        slices: the slices that never move, such as ``[3,:]``; a single empty text for the whole tensor.
        entries: how many scalars these are.
    """

    tensor: str
    slices: tuple[str, ...]
    entries: int

    def __str__(self) -> str:
        return f"{', '.join(self.tensor + s for s in self.slices)} never {'move' if self.slices[1:] else 'moves'}"


def frozen_entries(gradients: Tensor) -> Tensor:
    """Flags ``[D]`` of entries that are zero in all gradients ``[N, D]`` of length one."""
    return gradients.abs().amax(0) <= _NEVER


def frozen_parameters(flags: Tensor, shapes: Shapes) -> tuple[Frozen, ...]:
    """Flags ``[D]`` in words, tensor by tensor."""
    pieces = flags.split([torch.Size(shape).numel() for shape in shapes.values()])
    found = []
    for piece, (name, shape) in zip(pieces, shapes.items(), strict=True):
        if bool(piece.any()):
            found.append(Frozen(name, tuple(slices_of(piece.view(shape))), int(piece.sum())))
    return tuple(found)


def sums_and_squares(
    gradients: Callable[[Tensor], Tensor], theta: Tensor, shapes: Shapes, generator: torch.Generator
) -> tuple[str, ...]:
    """Linear and diagonal quadratic laws in which no frozen entry takes part.

    Args:
        gradients: gradients ``[N, D]`` of length one at parameters ``[D]``.
        theta: where to look.
        shapes: of the parameters.
        generator: of the points beside it.
    """
    step = _STEP * float(theta.square().mean().sqrt())
    linear, squares, ranks, old = theta.new_empty(0, len(theta)), theta.new_empty(0, len(theta)), (0, 0), (-1, -1)
    for _ in range(_MOST_POINTS):
        if ranks == old:
            break
        point = theta + step * torch.randn(theta.shape, generator=generator)
        rows = gradients(point)
        linear, squares = torch.cat([linear, rows]), torch.cat([squares, rows * point])
        ranks, old = (_rank(linear), _rank(squares)), ranks
    moving = ~frozen_entries(linear)
    texts = []
    for rows, pattern in ((linear, "sum({})"), (squares, "|{}|^2")):
        for law in _simple_nullspace(rows[:, moving]):
            coefficients = torch.zeros_like(theta)
            coefficients[moving] = law
            texts.append(_text(coefficients, shapes, pattern))
    return tuple(texts)


def slices_of(flags: Tensor) -> list[str]:
    """Texts of slices that make up the true entries, whole tensor or whole rows or columns where they are."""
    if bool(flags.all()):
        return [""]
    left, texts = flags.clone(), []
    for axis in range(flags.dim()):
        whole = flags.movedim(axis, 0).reshape(flags.shape[axis], -1).all(1)
        for i in whole.nonzero().flatten().tolist():
            texts.append(_slice_text(flags.dim(), axis, i))
            left.select(axis, i).fill_(False)
        if bool(whole.any()):
            break
    return texts + [f"[{','.join(map(str, index))}]" for index in left.nonzero().tolist()]


def _slice_text(dimensions: int, axis: int, i: int) -> str:
    return f"[{','.join(str(i) if a == axis else ':' for a in range(dimensions))}]"


def _lengths(rows: Tensor) -> Tensor:
    """Of the columns ``[D]``; rounding counts as nothing."""
    return rows.norm(dim=0).clamp_min(_NEVER)


def _rank(rows: Tensor) -> int:
    values = torch.linalg.svdvals(rows / _lengths(rows))
    return int((values > _NULL * values[0]).sum())


def _simple_nullspace(rows: Tensor) -> list[Tensor]:
    """Reduced basis of what the rows kill, as far as its entries are small fractions."""
    if rows.shape[1] == 0:
        return []
    lengths = _lengths(rows)
    _, values, right = torch.linalg.svd(rows / lengths, full_matrices=True)
    basis = right[int((values > _NULL * values[0]).sum()) :] / lengths
    reduced = [row / row[row.abs() > _SNAP][0] for row in _echelon(basis / basis.norm(dim=1, keepdim=True))]
    snapped = [(row * 12).round() / 12 for row in reduced]
    near = [bool((a - b).abs().max() < _SNAP) for a, b in zip(reduced, snapped, strict=True)]
    return _sparsest([row for row, simple in zip(snapped, near, strict=True) if simple])


def _sparsest(laws: list[Tensor]) -> list[Tensor]:
    """The same space with fewer terms: add or subtract one law from another while that makes it shorter."""
    laws, shorter = list(laws), True
    while shorter:
        shorter = False
        for i, j in permutations(range(len(laws)), 2):
            for other in (laws[i] - laws[j], laws[i] + laws[j]):
                if int((other != 0).sum()) < int((laws[i] != 0).sum()):
                    laws[i], shorter = other / other[other != 0][0], True
    return sorted(laws, key=lambda law: int(law.nonzero()[0]))


def _echelon(basis: Tensor) -> Tensor:
    """Reduced row echelon form, the largest entry of each row as its pivot."""
    basis = basis.clone()
    for i in range(len(basis)):
        row, column = divmod(int(basis[i:].abs().argmax()), basis.shape[1])
        basis[[i, i + row]] = basis[[i + row, i]]
        basis[i] /= basis[i, column].clone()
        others = torch.arange(len(basis)) != i
        basis[others] -= basis[others, column : column + 1] * basis[i]
    return basis


def _text(coefficients: Tensor, shapes: Shapes, pattern: str) -> str:
    """A signed sum of slices, in the order of the tensors."""
    parts: list[tuple[Fraction | int, str]] = []
    pieces = coefficients.split([torch.Size(shape).numel() for shape in shapes.values()])
    for piece, (name, shape) in zip(pieces, shapes.items(), strict=True):
        for value in piece[piece != 0].unique().flip(0).tolist():
            for text in slices_of(piece.view(shape) == value):
                single = text.count(",") == len(shape) - 1 and ":" not in text and bool(shape) and text
                term = name + text if single and pattern.startswith("sum") else pattern.format(name + text)
                parts.append((Fraction(value).limit_denominator(12), term))
    return signed_sum(parts)
