"""The real numbers as a ring: reduction does nothing."""

from fractions import Fraction

import torch

from gradlaws.exact.ring import Reals


def test_the_reals_leave_numbers_alone():
    x = torch.tensor([[0.5, -3.0]], dtype=torch.float64)
    reals = Reals()
    assert reals.reduce(x) is x
    assert reals.matmul(x, x.T).item() == 9.25
    assert reals.residue(Fraction(1, 4)) == 0.25
