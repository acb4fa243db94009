"""One axis of one tensor, or some of it: the rows that a law pairs with each other, sums or squares."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from torch import Tensor

from gradlaws.exact.ring import Ring
from gradlaws.laws.law import Point
from gradlaws.models.family import Shape

Selection = Literal["matrix", "diagonal", "trace"]


@dataclass(frozen=True, slots=True)
class Contraction:
    """The Gram matrix of a tensor along one axis: ``M[i, j] = sum over the other axes of T[.. i ..] T[.. j ..]``.

    Args:
        tensor: name of the parameter.
        axis: the axis that stays, counted from 0.
        order: number of axes of the tensor.
        start: first index of the axis that takes part.
        stop: the one after the last, None for the end.
        fold: read the axis as ``[blocks, times, stride]``, of which only blocks and stride stay, as in heads that share
            a key or coordinates that rotate together; None where all of it stays.
    """

    tensor: str
    axis: int
    order: int
    start: int = 0
    stop: int | None = None
    fold: tuple[int, int, int] | None = None

    def rows(self, point: Point) -> Tensor:
        """The tensor as a matrix ``[*batch, indices that stay, everything else]``."""
        x = point[self.tensor]
        if self.order < 2:
            rows = x.reshape(*x.shape[: x.dim() - self.order], -1, 1)
        else:
            rows = x.movedim(x.dim() - self.order + self.axis, -self.order).flatten(1 - self.order)
        rows = rows[..., self.start : self.stop, :]
        if self.fold is None:
            return rows
        return rows.unflatten(-2, self.fold).transpose(-3, -2).flatten(-2).flatten(-3, -2)

    def collected(self, along: Tensor, ring: Ring) -> Tensor:
        """Sums over the folds of one number for each index of the axis ``[length]``."""
        part = along[self.start : self.stop]
        return part if self.fold is None else ring.reduce(part.view(self.fold).sum(1)).flatten()

    def array(self, x: np.ndarray) -> np.ndarray:
        """The same rows of an array of anything."""
        others = [a for a in range(self.order) if a != self.axis]
        rows = x.transpose(self.axis, *others).reshape(x.shape[self.axis], -1) if self.order > 1 else x.reshape(-1, 1)
        rows = rows[self.start : self.stop]
        if self.fold is None:
            return rows
        blocks, _, stride = self.fold
        return rows.reshape(*self.fold, -1).transpose(0, 2, 1, 3).reshape(blocks * stride, -1)

    def length(self, shape: Shape) -> int:
        """How many indices stay."""
        taken = len(range(*slice(self.start, self.stop).indices(shape[self.axis] if shape else 1)))
        return taken if self.fold is None else taken // self.fold[1]

    @property
    def whole(self) -> bool:
        """Whether every index of the axis takes part by itself."""
        return self.start == 0 and self.stop is None and self.fold is None

    @property
    def term(self) -> dict[str, Any]:
        """What identifies it, for JSON."""
        part = {} if self.start == 0 and self.stop is None else {"start": self.start, "stop": self.stop}
        return {"tensor": self.tensor, "axis": self.axis, **part} | ({"fold": list(self.fold)} if self.fold else {})

    def text(self, selection: Selection) -> str:
        """One term of a formula."""
        name = self.tensor
        if selection == "trace":
            return f"|{name}|^2"
        if selection == "diagonal":
            return f"{self.slice('k')}^2" if self.order == 1 and not self.fold else f"|{self.slice('k')}|^2"
        if self.order == 1 and self.whole:
            return f"{name} {name}^T"
        if self.order == 2 and self.whole:
            return f"{name} {name}^T" if self.axis == 0 else f"{name}^T {name}"
        return f"<{self.slice('i')}, {self.slice('j')}>"

    def latex(self, selection: Selection) -> str:
        """One term of a formula."""
        name = latex_name(self.tensor)
        if selection == "matrix" and self.whole and self.order < 3:
            return rf"{name} {name}^\top" if self.axis == 0 else rf"{name}^\top {name}"
        written = self.text(selection).replace(self.tensor, name)
        return written.replace("|", r"\|").replace("<", r"\langle ").replace(">", r"\rangle")

    def slice(self, index: str) -> str:
        """The tensor at one index, such as ``W[:,k]``; of a folded axis, the indices that belong to one."""
        own = self._folded(index) if self.fold else index
        if self.start:
            own = f"{self.start}+{own}" if own != ":" else f"{self.start}:{self.stop}"
        elif self.stop is not None and own == ":":
            own = f":{self.stop}"
        slots = [own if axis == self.axis else ":" for axis in range(self.order)]
        return self.tensor if set(slots) <= {":"} else f"{self.tensor}[{','.join(slots)}]"

    def _folded(self, index: str) -> str:
        assert self.fold
        blocks, times, stride = self.fold
        if blocks == stride == 1:
            return ":"
        if stride == 1:
            return f"{times}*{index} + 0..{times - 1}"
        every = f"{stride}*(0..{times - 1})"
        return (
            f"{index} + {every}"
            if blocks == 1
            else f"{index} % {stride} + {every} + {stride * times}*({index} // {stride})"
        )


def latex_name(name: str) -> str:
    """W12 becomes W_{12}; anything else is set upright."""
    letters = name.rstrip("0123456789")
    digits = name[len(letters) :]
    if len(letters) == 1:
        return f"{letters}_{{{digits}}}" if digits else letters
    return rf"\mathrm{{{name}}}".replace("_", r"\_")
