"""Systems without division: numbers against elimination modulo p, jets and polynomials by putting the solution back."""

import pytest
import torch

from gradlaws.exact import linalg
from gradlaws.exact.jet import Jet
from gradlaws.exact.polynomial import variable
from gradlaws.exact.systems import cramer, determinant
from tests.samplers import GUARDED, residues


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5])
def test_numbers_agree_with_elimination(size):
    matrix, right = residues((size, size), 1), residues((size,), 2)
    entries = [[int(x) for x in row] for row in matrix]
    numerators, below = cramer(entries, [int(x) for x in right])
    solution = linalg.solve(matrix, right[:, None], GUARDED)[:, 0]
    inverse = pow(below, -1, GUARDED.prime)
    assert [x * inverse % GUARDED.prime for x in numerators] == solution.tolist()


def test_a_determinant_with_two_equal_rows_is_zero():
    assert determinant([[1, 2, 3], [4, 5, 6], [1, 2, 3]]) == 0
    assert determinant([[0, 1], [1, 0]]) == -1


def test_jets_solve_the_system():
    size = 3
    x = residues((4, 2, size * size + size), 3)
    entries = [Jet(x[..., i], GUARDED) for i in range(size * size + size)]
    matrix, right = [entries[i * size : (i + 1) * size] for i in range(size)], entries[size * size :]
    numerators, below = cramer(matrix, right)
    for row, b in zip(matrix, right, strict=True):
        total = row[0] * numerators[0] + row[1] * numerators[1] + row[2] * numerators[2]
        assert torch.equal(total.coefficients, (b * below).coefficients)


def test_polynomials_do_too():
    a, b, c, d, e, f = map(variable, range(6))
    numerators, below = cramer([[a, b], [c, d]], [e, f])
    assert below.terms == {(0, 3): 1, (1, 2): -1}
    assert (a * numerators[0] + b * numerators[1] - e * below).terms == {}
    assert (c * numerators[0] + d * numerators[1] - f * below).terms == {}
