"""Records what the exact rules compute as a program of scalar steps, instead of computing it.

A tape stands where a field stands. Arrays then hold the numbers of scalars, so that operations which only move entries
run as they are: padding and masks insert 0 and 1, which are the scalars zero and one. Sums, products and smooth
functions become steps. Linear maps are read off from what they do to the unit vectors.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from functools import partial
from typing import Any, cast

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from gradlaws.errors import TooLargeError, UnsupportedError
from gradlaws.exact.constants import bases, distinct, is_small
from gradlaws.exact.field import PrimeField

Step = tuple[Any, ...]
"""An operation and its operands: ``("dot", 5, 6, 7, 8)`` is scalar 5 times scalar 6 plus 7 times 8."""

ZERO, ONE = 0, 1
LONGEST = 100_000
"""Operands that the steps of a program may have together."""

_PROBED = 2**24


class Tape:
    """The scalars of one run: named leaves, constants, and steps in the order in which they are computed."""

    longest_sum = 2**53

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self._known: dict[Step, int] = {}
        self._operands = 0
        for value in (0, 1):
            self.number(Fraction(value))

    @property
    def as_field(self) -> PrimeField:
        """The tape where rules expect a field."""
        return cast(PrimeField, self)

    @property
    def residues(self) -> Tape:
        """Where rules look up constants."""
        return self

    def reduce(self, x: Tensor) -> Tensor:
        """Scalars need no reduction."""
        return x

    def leaves(self, names: Sequence[str], shape: Sequence[int]) -> Tensor:
        """Scalars that are given, one for each name."""
        numbers = [self._step(("leaf", name)) for name in names]
        return torch.tensor(numbers, dtype=torch.float64).reshape(tuple(shape))

    def generic(self, names: Sequence[str], shape: Sequence[int]) -> Tensor:
        """Constants of which nothing is known."""
        numbers = [self._step(("generic", name)) for name in names]
        return torch.tensor(numbers, dtype=torch.float64).reshape(tuple(shape))

    def number(self, value: Fraction) -> int:
        """A rational constant."""
        return self._step(("number", str(value)))

    def of(self, x: Tensor) -> Tensor:
        """The constants of a program: small rationals are themselves, other floats generic, opposite ones opposite."""
        unique, inverse = distinct(x)
        table = torch.tensor([self._constant(value) for value in unique], dtype=torch.float64)
        return table[inverse].reshape(x.shape)

    def circle(self, angles: Tensor) -> tuple[Tensor, Tensor]:
        """Sines and cosines of generic angles, and of their whole multiples by the addition law."""
        unique, inverse = distinct(angles)
        points = {angle: self._rotated(base, multiple) for angle, (base, multiple) in bases(unique).items()}
        pairs = [(s if a >= 0 else self._negative(s), c) for a in unique for s, c in [points[abs(a)]]]
        table = torch.tensor(pairs, dtype=torch.float64)[inverse].reshape(*angles.shape, 2)
        return table[..., 0], table[..., 1]

    def add(self, a: Tensor, b: Tensor) -> Tensor:
        """Entrywise sum."""
        a, b = torch.broadcast_tensors(a, b)
        return self._each(map(self._sum, zip(_whole(a), _whole(b), strict=True)), a.shape)

    def negate(self, a: Tensor) -> Tensor:
        """Entrywise negative."""
        return self._each(map(self._negative, _whole(a)), a.shape)

    def multiply(self, a: Tensor, b: Tensor) -> Tensor:
        """Entrywise product."""
        a, b = torch.broadcast_tensors(a, b)
        return self._each((self._dot([pair]) for pair in zip(_whole(a), _whole(b), strict=True)), a.shape)

    def matmul(self, a: Tensor, b: Tensor) -> Tensor:
        """Matrix product, batch axes broadcast."""
        a, b = torch.broadcast_tensors(a.unsqueeze(-2), b.mT.unsqueeze(-3))
        rows = zip(a.reshape(-1, a.shape[-1]), b.reshape(-1, a.shape[-1]), strict=True)
        return self._each((self._dot(zip(_whole(x), _whole(y), strict=True)) for x, y in rows), a.shape[:-1])

    def linear(self, op: Callable[[Tensor], Any], x: Tensor) -> Any:
        """A linear map ``op`` of one array, applied to ``x [1, 1, *shape]``.

        A map that moves four vectors of large random numbers by one rule moves entries only; others are read off.
        """
        shape, n = x.shape[2:], x[0, 0].numel()
        numbers = torch.arange(1, n + 1, dtype=torch.float64)
        tests = torch.randint(1, 2**40, (4, n), generator=torch.Generator().manual_seed(0)).double()
        mapped, spec = pytree.tree_flatten(torch.vmap(op)(torch.cat([numbers[None], tests]).reshape(5, *shape)))
        out = []
        padded = torch.cat([torch.zeros(4, 1, dtype=torch.float64), tests], 1)
        for i, y in enumerate(mapped):
            place = y[0].round().clamp(0, n).long()
            if torch.equal(padded[:, place], y[1:]):
                moved = torch.cat([torch.zeros(1, dtype=torch.float64), x.flatten()])[place]
            else:
                moved = self._combined(partial(_leaf, op, i), x.flatten(), shape, y[0])
            out.append(moved.reshape(1, 1, *y.shape[1:]))
        return pytree.tree_unflatten(out, spec)

    def bilinear(self, op: Callable[[Tensor, Tensor], Tensor], a: Tensor, b: Tensor) -> Tensor:
        """A bilinear map of two arrays ``[1, 1, *shape]``."""
        m, n = a[0, 0].numel(), b[0, 0].numel()
        units = [torch.eye(k, dtype=torch.float64).reshape(k, *x.shape[2:]) for k, x in ((m, a), (n, b))]
        shape = op(units[0][0], units[1][0]).shape
        _refuse_if_large(m * n * shape.numel())
        table = torch.stack([torch.vmap(op, in_dims=(None, 0))(unit, units[1]) for unit in units[0]])
        left, right = _whole(a), _whole(b)
        out = []
        for entry in table.reshape(m, n, -1).permute(2, 0, 1):
            places = entry.nonzero().tolist()
            out.append(self._dot((left[i], self._times(entry[i, j].item(), right[j])) for i, j in places))
        return self._each(out, (1, 1, *shape))

    def still(self, x: Tensor) -> Tensor:
        """The same values, through which no gradient comes back."""
        return self._each((self._step(("still", i)) for i in _whole(x)), x.shape)

    def call(self, names: Sequence[str], u: Tensor) -> list[Tensor]:
        """Smooth functions of the entries."""
        return [self._each((self._function(name, i) for i in _whole(u)), u.shape) for name in names]

    def _negative(self, i: int) -> int:
        return self._dot([(self.number(Fraction(-1)), i)])

    def _rotated(self, base: float, multiple: int) -> tuple[int, int]:
        """Numbers of the sine and the cosine of a multiple of an angle, by repeated squaring."""
        angle = self._step(("generic", f"angle {_single(base)}"))
        s, c = (self._step((name, angle)) for name in ("sine", "cosine"))
        sine, cosine = ZERO, ONE
        while multiple:
            if multiple & 1:
                sine, cosine = self._turned(sine, cosine, s, c)
            s, c = self._turned(s, c, s, c)
            multiple >>= 1
        return sine, cosine

    def _turned(self, s: int, c: int, sine: int, cosine: int) -> tuple[int, int]:
        """The addition law."""
        return self._dot([(s, cosine), (c, sine)]), self._dot([(c, cosine), (self._negative(s), sine)])

    def _function(self, name: str, u: int) -> int:
        step = self.steps[u]
        if name == "reciprocal" and step[0] == "number" and u != ZERO:
            return self.number(1 / Fraction(step[1]))
        return self._step((name, u))

    def _combined(self, op: Callable[[Tensor], Tensor], ids: Tensor, shape: Any, like: Tensor) -> Tensor:
        """Sums with coefficients."""
        _refuse_if_large(len(ids) * max(1, like.numel()))
        table = torch.vmap(op)(torch.eye(len(ids), dtype=torch.float64).reshape(-1, *shape)).reshape(len(ids), -1)
        numbers, out = _whole(ids), []
        for column in table.T:
            places = column.nonzero().flatten().tolist()
            out.append(self._sum(self._times(column[i].item(), numbers[i]) for i in places))
        return self._each(out, like.shape)

    def _times(self, coefficient: float, i: int) -> int:
        return i if coefficient == 1 else self._dot([(self._constant(coefficient), i)])

    def _constant(self, value: float) -> int:
        if not abs(value) < float("inf"):
            raise UnsupportedError(
                f"the program computes with the number {value}: only a mask that a softmax gets may hold infinities"
            )
        if is_small(Fraction(value)):
            return self.number(Fraction(value))
        positive = self._step(("generic", _single(abs(value))))
        return positive if value > 0 else self._negative(positive)

    def _sum(self, operands: Iterable[int]) -> int:
        terms = sorted(i for i in operands if i != ZERO)
        return self._step(("sum", *terms)) if len(terms) > 1 else terms[0] if terms else ZERO

    def _dot(self, pairs: Iterable[tuple[int, int]]) -> int:
        terms = sorted((min(pair), max(pair)) for pair in pairs if ZERO not in pair)
        if all(a == ONE for a, _ in terms):
            return self._sum(b for _, b in terms)
        if len(terms) == 1 and all(self.steps[i][0] == "number" for i in terms[0]):
            a, b = (Fraction(self.steps[i][1]) for i in terms[0])
            return self.number(a * b)
        return self._step(("dot", *(i for pair in terms for i in pair)))

    def _step(self, step: Step) -> int:
        """The number of a scalar; what was computed before is not computed again."""
        if step not in self._known:
            self._operands += len(step) - 1
            if self._operands > LONGEST:
                _too_long()
            self._known[step] = len(self.steps)
            self.steps.append(step)
        return self._known[step]

    @staticmethod
    def _each(numbers: Iterable[int], shape: Sequence[int]) -> Tensor:
        return torch.tensor(list(numbers), dtype=torch.float64).reshape(tuple(shape))


def _leaf(op: Callable[[Tensor], Any], number: int, x: Tensor) -> Tensor:
    """One of the arrays that a map returns."""
    leaf: Tensor = pytree.tree_leaves(op(x))[number]
    return leaf


def _single(value: float) -> str:
    """A float, rounded to single precision so that casts do not matter."""
    return f"{torch.tensor(value, dtype=torch.float32).item():.9g}"


def _whole(x: Tensor) -> list[int]:
    return [int(i) for i in x.flatten().tolist()]


def _refuse_if_large(entries: int) -> None:
    if entries > _PROBED:
        _too_long()


def _too_long() -> None:
    raise TooLargeError(
        f"its program has more than {LONGEST:,} operands when it is written out scalar by scalar: certify a narrower "
        "model of the same shape, or a part of it with parameters="
    )


def tape_of(field: PrimeField) -> Tape | None:
    """The tape that stands where a field is expected, if one does."""
    return field if isinstance(field, Tape) else None
