"""Blocked elimination against a textbook and against FLINT."""

import flint
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gradlaws.errors import InputError
from gradlaws.exact import linalg
from gradlaws.exact.field import PrimeField
from gradlaws.exact.linalg import LEAF
from tests.asserts import assert_nullspace, assert_residues, assert_solves
from tests.oracles import slow_linalg
from tests.samplers import FIELD, low_rank, residues

# a small prime, whose random matrices are often singular, the usual one, and one whose sums are split at once
FIELDS = [PrimeField(1031), FIELD, PrimeField(67108859)]
# rows, columns, rank: around the strip of LEAF rows, wide, tall, thin, full, deficient, zero
SHAPES = [
    (LEAF - 1, LEAF, LEAF - 1),
    (LEAF, LEAF, LEAF),
    (LEAF + 1, LEAF, LEAF - 2),
    (2 * LEAF - 1, 2 * LEAF, 5),
    (2 * LEAF, 2 * LEAF + 1, 2 * LEAF),
    (2 * LEAF + 1, 2 * LEAF + 1, LEAF + 3),
    (5, 130, 5),
    (130, 5, 5),
    (90, 100, 41),
    (1, 1, 1),
    (1, 40, 1),
    (40, 1, 1),
    (70, 33, 0),
]


def lists(matrix):
    return [[int(entry) for entry in row] for row in matrix]


def flint_rank(matrix, prime):
    """FLINT needs a certified prime: a composite modulus would abort the process."""
    return flint.nmod_mat(len(matrix), matrix.shape[1], [int(entry) for entry in matrix.flatten()], prime).rank()


def assert_echelon(matrix, field):
    """The reduced rows, written back as a matrix, are those of the textbook up to their order."""
    found = linalg.echelon(matrix, field)
    assert_residues(found.block, field)
    assert sorted([*found.pivots.tolist(), *found.free.tolist()]) == list(range(matrix.shape[1]))
    assert found.free.tolist() == sorted(found.free.tolist())
    rows, _ = slow_linalg.reduced(lists(matrix), field.prime)
    full = matrix.new_zeros(found.rank, matrix.shape[1])
    full[torch.arange(found.rank), found.pivots] = 1
    full[:, found.free] = found.block
    assert slow_linalg.reduced(lists(full), field.prime)[0] == rows


@pytest.mark.parametrize("field", FIELDS, ids=lambda field: str(field.prime))
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_rank_and_nullspace_of_every_shape(field, shape):
    rows, columns, rank = shape
    matrix = low_rank(rows, columns, rank, seed=3, field=field)
    assert linalg.rank(matrix, field) == flint_rank(matrix, field.prime) == rank
    assert_nullspace(matrix, linalg.nullspace(matrix, field), rank, field)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_the_echelon_form_is_that_of_the_textbook(shape):
    assert_echelon(low_rank(*shape, seed=4), FIELD)


@given(st.integers(1, 6), st.integers(1, 6), st.data())
def test_tiny_matrices_with_many_zeros(rows, columns, data):
    entries = st.lists(st.sampled_from([0, 0, 0, 1, 2, 1030]), min_size=columns, max_size=columns)
    matrix = torch.tensor([data.draw(entries) for _ in range(rows)], dtype=torch.float64)
    assert_echelon(matrix, FIELDS[0])
    assert linalg.rank(matrix, FIELDS[0]) == flint_rank(matrix, 1031)


@pytest.mark.parametrize("shape", [(0, 5), (0, 0), (5, 0), (LEAF + 5, 0)])
def test_matrices_with_nothing_in_them(shape):
    matrix = torch.zeros(shape, dtype=torch.float64)
    assert linalg.rank(matrix, FIELD) == 0
    assert linalg.nullspace(matrix, FIELD).tolist() == torch.eye(shape[1]).tolist()


@pytest.mark.parametrize("seed", range(5))
def test_pivots_far_apart_are_found(seed):
    """Columns of zeros between the pivots, and repeated rows: windows move on."""
    matrix = torch.zeros(3 * LEAF, 400, dtype=torch.float64)
    where = torch.randperm(400, generator=torch.Generator().manual_seed(seed))[:70].sort().values
    matrix[:, where] = low_rank(3 * LEAF, 70, 37, seed)
    matrix[1::2] = matrix[::2]
    assert_echelon(matrix, FIELD)


def test_the_largest_residues_do_not_overflow():
    field = PrimeField(67108859)
    matrix = torch.full((70, 70), field.prime - 1.0, dtype=torch.float64) + torch.eye(70, dtype=torch.float64)
    matrix = field.reduce(matrix)
    assert_echelon(matrix, field)


@pytest.mark.parametrize("shape", [shape for shape in SHAPES if shape[2]], ids=str)
def test_solve_solves(shape):
    matrix = low_rank(*shape, seed=5)
    right = FIELD.matmul(matrix, residues((shape[1], 2), 9))
    assert_solves(matrix, linalg.solve(matrix, right, FIELD), right, FIELD)


def test_solve_refuses_what_has_no_solution():
    matrix = low_rank(6, 4, 2, seed=5)
    with pytest.raises(InputError, match="the linear system has no solution modulo the prime"):
        linalg.solve(matrix, residues((6, 1), 9), FIELD)


def test_the_listener_hears_of_every_row_once():
    heard = []
    linalg.echelon(low_rank(5 * LEAF + 3, 50, 50), FIELD, heard.append)
    assert sum(heard) == 5 * LEAF + 3


def test_a_planted_wrong_rank_is_seen():
    """The property has teeth: one basis vector of the nullspace altered by one."""
    matrix = low_rank(20, 30, 12, seed=6)
    basis = linalg.nullspace(matrix, FIELD)
    basis[3, 4] = FIELD.reduce(basis[3, 4] + 1)
    with pytest.raises(AssertionError):
        assert_nullspace(matrix, basis, 12, FIELD)
