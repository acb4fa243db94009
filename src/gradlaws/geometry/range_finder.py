"""The rank of a Jacobian that is never formed: products with random cotangents until they bring nothing new."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from gradlaws.geometry.jacobian import Jacobian
from gradlaws.progress import Progress

_BLOCK = 256
_CHUNK_NUMBERS = 2**25
_SPARE = 10
_CLEAR = 1e3
_NOISE = 64 * torch.finfo(torch.float64).eps
"""What rounding may leave of a row, relative to the longest."""


@dataclass(frozen=True, slots=True)
class Spectrum:
    """A rank in floating point and the singular values it rests on.

    Args:
        rank: how many exceed ``max(shape) * eps`` times the largest (numpy's convention).
        largest: of all.
        last: the smallest that counts; 0 where none does.
        next: the largest that does not; 0 where all do.
    """

    rank: int
    largest: float
    last: float
    next: float

    @property
    def clear(self) -> bool:
        """Whether they fall by a thousand or more there; otherwise the rank is a matter of the threshold."""
        return self.next == 0 or self.last >= _CLEAR * self.next

    def __str__(self) -> str:
        numbers = f"singular values {self.last:.1e} | {self.next:.1e}"
        return numbers if self.clear else f"{numbers}, not clear: use the exact engine"


def rank_of(rows: Tensor) -> Spectrum:
    """The rank of rows ``[N, D]``."""
    values = torch.linalg.svdvals(rows)
    if not len(values) or float(values[0]) == 0:
        return Spectrum(0, 0.0, 0.0, 0.0)
    rank = int((values > values[0] * max(rows.shape) * torch.finfo(values.dtype).eps).sum())
    following = float(values[rank]) if rank < len(values) else 0.0
    return Spectrum(rank, float(values[0]), float(values[rank - 1]), following)


def find_range(jacobian: Jacobian, generator: torch.Generator, on_progress: Progress | None = None) -> Spectrum:
    """Rows of J themselves where they are few, else Gaussian combinations of all, until the rank stops growing."""
    most = min(jacobian.rows, jacobian.columns)
    if jacobian.rows <= min(2 * jacobian.columns, 2 * _BLOCK):
        return rank_of(_pulled(jacobian, torch.eye(jacobian.rows, dtype=torch.float64)))
    basis = torch.zeros(0, jacobian.columns, dtype=torch.float64)
    coordinates, largest, drawn, left = list[Tensor](), 0.0, 0, 0.0
    while drawn < most + _SPARE:
        count = min(_BLOCK, most + _SPARE - drawn)
        random = torch.randn(count, jacobian.rows, generator=generator, dtype=torch.float64)
        rows = _pulled(jacobian, random)
        largest, drawn = max(largest, float(rows.norm(dim=1).max())), drawn + count
        new, left = _directions(basis, rows, _NOISE * largest)
        basis = torch.cat([basis, new])
        coordinates.append(rows @ basis.T)
        if on_progress:
            on_progress("Jacobian", drawn / (most + _SPARE))
        if len(new) < count:
            break
    found = rank_of(torch.cat([torch.nn.functional.pad(x, (0, len(basis) - x.shape[1])) for x in coordinates]))
    return replace(found, next=max(found.next, left))


def _directions(basis: Tensor, rows: Tensor, noise: float) -> tuple[Tensor, float]:
    """Orthonormal directions that rows add to a basis, as far as they are no noise, and the largest that is left out.

    Directions of small singular values are inaccurate, for rounding is relative to the largest: where the rows are
    nearly exhausted they would lie in the span of the basis again, unless they are made orthogonal to it once more.
    """
    q, r = torch.linalg.qr(_outside(basis, rows).T)
    u, sizes, _ = torch.linalg.svd(r)
    kept = int((sizes > noise).sum())
    new = _outside(basis, (q @ u[:, :kept]).T)
    return torch.linalg.qr(new.T)[0].T, float(sizes[kept]) if kept < len(sizes) else 0.0


def _outside(basis: Tensor, rows: Tensor) -> Tensor:
    """Rows without their parts along an orthonormal basis; twice is enough."""
    for _ in range(2):
        rows = rows - (rows @ basis.T) @ basis
    return rows


def _pulled(jacobian: Jacobian, cotangents: Tensor) -> Tensor:
    """In chunks that fit in memory."""
    chunk = max(1, _CHUNK_NUMBERS // (jacobian.columns + 8 * jacobian.rows))
    return torch.cat([jacobian.pull(part) for part in cotangents.split(chunk)])
