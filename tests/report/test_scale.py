"""Where numbers go on a chart."""

import math

import pytest

from gradlaws.report.scale import Decades, Steps, decades, number, power_of_ten


def test_decades():
    axis = Decades(-6, -2, 100, 20)
    assert [axis.place(x) for x in (1e-6, 1e-4, 1e-2)] == pytest.approx([100, 60, 20])
    assert axis.place(0) is None
    assert axis.place(math.nan) is None
    assert (axis.place(1e-30), axis.place(math.inf)) == (100, 20)
    assert [name for _, name in axis.marks] == ["10⁻²", "10⁻³", "10⁻⁴", "10⁻⁵", "10⁻⁶"]
    assert [name for _, name in Decades(-12, 1, 1, 0).marks] == ["10¹", "10⁻²", "10⁻⁵", "10⁻⁸", "10⁻¹¹"]


@pytest.mark.parametrize(
    ("values", "ends"),
    [
        ([1e-5, 3e-3, 0.0], (-5, -2)),
        ([0.5], (-1, 0)),
        ([1.0], (0, 1)),
        ([], (-1, 1)),
        ([0.0, math.inf], (-1, 1)),
        ([1e-300, 1e-3], (-18, -2)),
    ],
)
def test_an_axis_holds_all_values_but_not_too_many_decades(values, ends):
    axis = decades(values, 0, 1)
    assert (axis.low, axis.high) == ends


def test_steps():
    axis = Steps(1, 341, 0, 340)
    assert axis.place(171) == 170
    assert [name for _, name in axis.marks] == ["1", "200", "341"]
    assert Steps(5, 5, 0, 10).marks == [(5.0, "5")]
    for last in (2, 3, 7, 50, 99, 1000, 123456):
        places = [at for at, _ in Steps(1, last, 0, 300).marks]
        assert places == sorted(places)
        assert 2 <= len(places) <= 6


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        (0.0, "0"),
        (math.inf, "∞"),
        (3.21e-5, "3.2×10⁻⁵"),
        (0.0123, "0.012"),
        (340.2, "340"),
        (1e7, "1.0×10⁷"),
        (5e-324, "1.0×10⁻³²⁴"),
    ],
)
def test_numbers_are_written_for_people(value, text):
    assert number(value) == text


def test_powers_of_ten():
    assert [power_of_ten(n) for n in (-12, 0, 3)] == ["10⁻¹²", "1", "10³"]
