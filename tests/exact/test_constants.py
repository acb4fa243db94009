"""Constants of a program: small numbers are themselves, others generic, angles on the circle."""

import math

import pytest
import torch

from gradlaws.errors import UnsupportedError
from gradlaws.exact.constants import Residues
from tests.asserts import assert_residues
from tests.samplers import FIELD, GUARDED

OF = Residues(FIELD)


def of(*numbers):
    return OF.of(torch.tensor(numbers, dtype=torch.float64)).tolist()


def test_numbers_with_few_bits_are_themselves():
    p = FIELD.prime
    assert of(0.0, 1.0, -1.0, 4096.0, 0.5, -0.75) == [
        0,
        1,
        p - 1,
        4096,
        (p + 1) // 2,
        FIELD.residue(-3) * pow(4, -1, p) % p,
    ]


def test_other_floats_are_generic_equal_ones_equal_and_opposite_ones_opposite():
    a, b, c, d = of(0.1, 0.1, -0.1, 0.2)
    assert a == b
    assert a + c == FIELD.prime
    assert d != FIELD.residue(2) * a % FIELD.prime
    assert of(2**-0.5)[0] not in (0.0, 1.0)


def test_casts_to_single_precision_do_not_matter():
    assert of(0.1) == OF.of(torch.tensor([0.1], dtype=torch.float32)).tolist()


@pytest.mark.parametrize("number", [math.inf, -math.inf, math.nan])
def test_infinities_are_refused(number):
    with pytest.raises(
        UnsupportedError, match=r"computes with the number -?(inf|nan): only a mask that a softmax gets"
    ):
        of(number)


def test_tables_of_angles_obey_the_addition_law():
    steps = torch.arange(6).unsqueeze(1) * torch.tensor([1.0, 0.1, 0.01])
    sine, cosine = Residues(GUARDED).circle(steps)
    assert_residues(sine, GUARDED)
    assert_residues(cosine, GUARDED)
    reduce = GUARDED.reduce
    assert bool((reduce(reduce(sine**2) + reduce(cosine**2)) == 1).all())
    for m in range(3):
        for n in range(3):
            sum_of_angles = reduce(reduce(sine[m] * cosine[n]) + reduce(cosine[m] * sine[n]))
            assert torch.equal(sum_of_angles, sine[m + n])
    assert len(set(sine[1].tolist())) == 3


def test_opposite_angles_mirror():
    sine, cosine = OF.circle(torch.tensor([0.3, -0.3, 0.0]))
    assert sine[0] + sine[1] == FIELD.prime
    assert cosine[0] == cosine[1]
    assert (sine[2], cosine[2]) == (0, 1)
