"""Properties with names; a test states one and gives the objects."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from gradlaws.exact import linalg
from gradlaws.exact.field import PrimeField
from gradlaws.flows.flow import Flow
from gradlaws.laws.closure import bracket
from gradlaws.laws.count import Count, Status
from gradlaws.laws.independence import independent
from gradlaws.laws.law import Law, unflatten
from tests.samplers import FIELD, generator


def assert_residues(x: Tensor, field: PrimeField) -> None:
    """Entries are integers in {0, ..., p - 1}."""
    assert x.dtype == torch.float64
    assert bool(((x >= 0) & (x < field.prime) & (x == x.round())).all())


def assert_count_is(count: Count, lower: int, upper: int) -> None:
    """The bounds are these, and PROVED is said exactly when they meet."""
    assert (count.lower, count.upper) == (lower, upper)
    assert count.status is (Status.PROVED if lower == upper else Status.BOUNDED)
    assert count.lie_dimension == count.parameters - upper


def assert_open_with_reason(count: Count, words: str) -> None:
    """The bounds do not meet and a note says why."""
    assert count.status is Status.BOUNDED
    assert any(words in note for note in count.evidence.notes), count.evidence.notes


def assert_annihilates_brackets(law: Law, flow: Flow, length: int, field: PrimeField = FIELD, seed: int = 0) -> None:
    """The gradient of a law is orthogonal to random brackets of this length, exactly."""
    slopes = bracket_slopes(law, flow, length, field, seed)
    assert not bool(slopes.any()), f"{law.text} moves along brackets of length {length}"


def bracket_slopes(law: Law, flow: Flow, length: int, field: PrimeField, seed: int, words: int = 4) -> Tensor:
    """Derivatives of a law along random brackets at one random point, ``[words, law.count]``."""
    random = generator(seed)
    theta = field.random((flow.dimension,), random)
    points = theta.expand(words, -1)
    word = [flow.draw(points, field, random) for _ in range(length)]
    rows = bracket(flow, word, points.unsqueeze(0), field)[0]
    return law.derivative(unflatten(theta, flow.state), unflatten(rows, flow.state), field)


def assert_laws_independent(laws: Sequence[Law], flow: Flow, rank: int, field: PrimeField = FIELD) -> None:
    """The gradients of all scalar laws together have this rank, and no bundle is idle."""
    found = independent(laws, flow, field, generator(5))
    assert found.rank == rank
    assert len(found.laws) == len(laws)


def assert_solves(matrix: Tensor, x: Tensor, right: Tensor, field: PrimeField) -> None:
    """``matrix @ x = right`` over the field."""
    assert torch.equal(field.matmul(matrix, x), right)


def assert_nullspace(matrix: Tensor, basis: Tensor, rank: int, field: PrimeField) -> None:
    """Independent columns, as many as the rank leaves, and the matrix kills them."""
    columns = matrix.shape[1]
    assert basis.shape == (columns, columns - rank)
    assert not bool(field.matmul(matrix, basis).any())
    assert linalg.rank(basis, field) == columns - rank
