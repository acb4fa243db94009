"""Readings of axes."""

from gradlaws.laws.contraction import Contraction
from gradlaws.laws.pieces import axes, blocks, divisors, folded, parted, total, whole

STATE = {"qkv": (12, 4), "out": (4, 4), "gain": (4,), "scale": (), "one": (1, 1, 6)}


def test_axes_of_length_one_say_nothing_unless_there_is_no_other():
    assert [(axis.tensor, axis.axis) for axis in axes(STATE)] == [
        ("qkv", 0),
        ("qkv", 1),
        ("out", 0),
        ("out", 1),
        ("gain", 0),
        ("scale", 0),
        ("one", 2),
    ]


def test_groups_have_one_length_and_come_longest_first():
    for reading in (whole(axes(STATE), STATE), parted(axes(STATE), axes(STATE), STATE), folded(axes(STATE), STATE)):
        assert list(reading) == sorted(reading, reverse=True)
        assert all(piece.length(STATE[piece.tensor]) == length for length, group in reading.items() for piece in group)


def test_a_fused_projection_is_offered_in_thirds():
    parts = parted(axes(STATE), axes(STATE), STATE)[4]
    assert [(p.start, p.stop) for p in parts if p.tensor == "qkv" and p.axis == 0] == [(0, 4), (4, 8), (8, 12)]
    assert parts.index(Contraction("gain", 0, 1)) < parts.index(Contraction("qkv", 0, 2, 0, 4)), "wholes come first"


def test_every_regular_grouping_of_an_axis_is_offered_once():
    shape = {"q": (8, 3), "k": (4, 3)}
    folds = [piece.fold for piece in folded(axes(shape), shape)[4] if piece.tensor == "q" and piece.axis == 0]
    assert folds == [(4, 2, 1), (2, 2, 2), (1, 2, 4)]


def test_totals_and_blocks():
    axis = Contraction("qkv", 0, 2)
    assert total(axis, STATE).length(STATE["qkv"]) == 1
    assert blocks(axis, 3, STATE).fold == (3, 4, 1)
    assert divisors(12) == [1, 2, 3, 4, 6, 12]
