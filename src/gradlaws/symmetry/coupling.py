"""One group acting on axes of several tensors at once: what one tensor gains, the others lose.

For an index that two layers share, ``W1 -> g W1`` is undone by ``W2 -> W2 g^-1``. A coupling says which axes of which
tensors (whole, in parts, or folded where heads share a key or coordinates rotate together) carry g and which its
inverse, and which elements g are allowed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from gradlaws.errors import InputError
from gradlaws.laws.contraction import Contraction
from gradlaws.symmetry.group_action import GroupAction, State

Group = Literal["gl", "orthogonal", "positive", "complex", "permutation", "signs"]

_CLOSE = 1e-8


@dataclass(frozen=True, slots=True)
class Coupling(GroupAction):
    """A group and the axes that it acts on.

    Args:
        group: ``gl`` (invertible matrices), ``orthogonal``, ``positive`` (one number above zero for each index),
            ``complex`` (one complex number for each pair of indices that rotates together), ``permutation`` or
            ``signs`` (1 or -1 for each index).
        parts: axes, each with a power: rows are multiplied by ``g`` for 1 and by ``g^-T`` for -1; numbers are raised
            to the power.
        width: how many indices; all heads together.
        heads: for matrices: so many equal blocks, one group element each.
    """

    group: Group
    parts: tuple[tuple[Contraction, int], ...]
    width: int
    heads: int = 1

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of a group element."""
        block = self.width // self.heads
        return (self.heads, block, block) if self.group in ("gl", "orthogonal") else (self.width,)

    @property
    def dimension(self) -> int:
        """Dimension of the group."""
        block = self.width // self.heads
        sizes = {"gl": block**2, "orthogonal": block * (block - 1) // 2}
        return self.heads * sizes[self.group] if self.group in sizes else self.width * _REAL[self.group]

    @property
    def tensors(self) -> tuple[str, ...]:
        """What it moves."""
        return tuple(dict.fromkeys(piece.tensor for piece, _ in self.parts))

    @property
    def text(self) -> str:
        """For example ``gl(2) on W1[k,:], inverse on W2[:,k]``."""
        sides = [[piece.slice("k") for piece, c in self.parts if (c > 0) == up] for up in (True, False)]
        block = self.width // self.heads
        names = {
            "gl": f"gl({block}, R)",
            "orthogonal": f"O({block})",
            "positive": "R_>0",
            "complex": "C^*",
            "permutation": f"S_{block}",
            "signs": "Z/2",
        }
        copies = self.heads if self.group in ("gl", "orthogonal") else 1 if self.group == "permutation" else self.width
        name = names[self.group] if copies == 1 else f"({names[self.group]})^{copies}"
        down = f", inverse on {', '.join(sides[1])}" if sides[1] else ""
        return f"{name} on {', '.join(sides[0])}{down}"

    def check(self, element: Tensor) -> Tensor:
        """The element in float64, of the right shape.

        Raises:
            InputError: it does not belong to the group; the message says why.
        """
        if not isinstance(element, Tensor):
            raise InputError(f"a group element is a tensor of shape {self.shape}, not {type(element).__name__}")
        if self.group in ("gl", "orthogonal") and element.dim() == 2 and self.heads == 1:
            element = element.unsqueeze(0)
        if tuple(element.shape) != self.shape:
            raise InputError(
                f"group element of shape {tuple(element.shape)}: {self.text} expects {self.shape}"
                + (", square matrices" if len(self.shape) == 3 else ", one number for each index")
            )
        if self.group == "permutation":
            if sorted(element.tolist()) != list(range(self.width)):
                raise InputError(f"not a permutation of 0..{self.width - 1}: expected every index once")
            return element.long()
        element = element.detach().to(torch.complex128 if self.group == "complex" else torch.float64)
        if not bool(torch.isfinite(torch.view_as_real(element) if element.is_complex() else element).all()):
            raise InputError("the group element has entries that are not finite numbers")
        _refuse_outside(self.group, element)
        return element

    def act(self, state: Mapping[str, Tensor], element: Tensor) -> State:
        """New tensors for what moves, in the dtype of the old ones; the arithmetic is in float64.

        Raises:
            InputError: a tensor is missing or of another shape, or the element does not belong to the group.
        """
        element = self.check(element)
        moved: State = {}
        for piece, c in self.parts:
            if piece.tensor not in state:
                raise InputError(f"unknown parameter {piece.tensor!r}: {self.text} acts on {', '.join(self.tensors)}")
            x = moved.get(piece.tensor, state[piece.tensor].detach().to(torch.float64))
            if x.dim() != piece.order or piece.length(tuple(x.shape)) != self.width:
                raise InputError(f"{piece.tensor} has shape {tuple(x.shape)}: {self.text} expects {self.width} indices")
            rows = self.moved(piece.rows({piece.tensor: x}), c, element.to(x.device), piece)
            moved[piece.tensor] = put(x, piece, rows)
        return {name: x.to(state[name].dtype) for name, x in moved.items()}

    def moved(self, rows: Tensor, c: int, element: Tensor, piece: Contraction) -> Tensor:
        """The rows ``[width, everything else]`` after the action."""
        if self.group == "permutation":
            return rows[element]
        if self.group in ("positive", "signs"):
            return rows * element.pow(c).unsqueeze(1)
        if self.group == "complex":
            z = element if c > 0 else 1 / element.conj()
            pairs = rows.reshape(self.width, -1, 2, rows.shape[1] // _folds(piece))
            x, y = pairs[:, :, 0], pairs[:, :, 1]
            re, im = z.real.view(-1, 1, 1), z.imag.view(-1, 1, 1)
            return torch.stack([re * x - im * y, im * x + re * y], 2).reshape(rows.shape)
        blocks = rows.reshape(self.heads, -1, rows.shape[1])
        if c > 0:
            return (element @ blocks).reshape(rows.shape)
        return torch.linalg.solve(element.mT, blocks).reshape(rows.shape)


_REAL = {"positive": 1, "complex": 2, "permutation": 0, "signs": 0}


def put(x: Tensor, piece: Contraction, rows: Tensor) -> Tensor:
    """A copy of x with these rows in the place of those of the piece."""
    moved = x.clone()
    view = moved.view(-1, 1) if piece.order < 2 else moved.movedim(piece.axis, 0)
    part = view[piece.start : piece.stop]
    if piece.fold is not None:
        blocks, times, stride = piece.fold
        rows = rows.reshape(blocks, stride, times, -1).transpose(1, 2).reshape(blocks * times * stride, -1)
    part.copy_(rows.reshape(part.shape))
    return moved


def _folds(piece: Contraction) -> int:
    return piece.fold[1] if piece.fold else 1


def _refuse_outside(group: Group, element: Tensor) -> None:
    if group == "positive" and not bool((element > 0).all()):
        raise InputError("scalings must be positive: the function would change for others")
    if group == "signs" and not bool((element.abs() == 1).all()):
        raise InputError("changes of sign are 1 or -1 for each index")
    if group == "complex" and not bool((element.abs() > 0).all()):
        raise InputError("complex scalings must not be zero")
    if group == "orthogonal":
        error = (element @ element.mT - torch.eye(element.shape[-1], dtype=element.dtype)).abs().max()
        if float(error) > _CLOSE:
            raise InputError(f"the matrix is not orthogonal: g g^T differs from the identity by {float(error):.1e}")
    if group == "gl":
        values = torch.linalg.svdvals(element)
        if bool((values[..., -1] <= 1e-12 * values[..., 0]).any()):
            raise InputError("the matrix is singular: expected one with an inverse")
