"""Ranks by the largest ratio of singular values, with zeros, full rank and refusals."""

import pytest
import torch

from gradlaws.errors import UnclearError
from gradlaws.laws.numeric.spectrum import find_gap
from tests.samplers import generator


def rows_with(values, count=20):
    """Random rows with these singular values."""
    left = torch.linalg.qr(torch.randn(count, len(values), generator=generator(1), dtype=torch.float64))[0]
    right = torch.linalg.qr(torch.randn(len(values), len(values), generator=generator(2), dtype=torch.float64))[0]
    return left * torch.tensor(values, dtype=torch.float64) @ right


@pytest.mark.parametrize(
    ("values", "rank"),
    [
        ([3.0, 1.0, 0.5], 3),
        ([3.0, 1.0, 0.0], 2),
        ([3.0, 1e-5, 1e-17], 2),
        ([2.0, 1e-3, 1e-6, 1e-8, 0.0, 0.0], 4),
        ([1.0], 1),
    ],
)
def test_the_rank_is_where_the_values_fall_most(values, rank):
    gap = find_gap(rows_with(values))
    gap.require(1e3, "rows")
    assert gap.rank == rank
    assert gap.last == pytest.approx(values[rank - 1], rel=1e-6)
    assert gap.next == gap.rounding < 1e-12


@pytest.mark.parametrize("rows", [torch.zeros(5, 3, dtype=torch.float64), torch.zeros(0, 3, dtype=torch.float64)])
def test_no_row_at_all_is_rank_zero(rows):
    gap = find_gap(rows)
    gap.require(1e3, "nothing")
    assert (gap.rank, gap.ratio) == (0, float("inf"))


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ([1.0, 1e-9], "far above rounding"),
        ([1.0, 1e-7, 1e-13], "far above rounding"),
        ([10.0**-k for k in range(15)], "only, expected 1e[+]03 or more"),
    ],
)
def test_a_doubtful_rank_is_refused(values, reason):
    with pytest.raises(
        UnclearError, match=f"the rank of these rows is not clear in floating point.*{reason}.*exact engine"
    ):
        find_gap(rows_with(values)).require(1e3, "these rows")
