"""Laws read off gradients, in words."""

import pytest
import torch

from gradlaws.laws.numeric.seen import Frozen, frozen_parameters, slices_of, sums_and_squares
from tests.samplers import generator


def flags(*rows):
    return torch.tensor(rows, dtype=torch.bool)


@pytest.mark.parametrize(
    ("entries", "texts"),
    [
        (flags([1, 1], [1, 1]), [""]),
        (flags([0, 0], [1, 1]), ["[1,:]"]),
        (flags([0, 1], [0, 1]), ["[:,1]"]),
        (flags([1, 1], [0, 1]), ["[0,:]", "[1,1]"]),
        (flags(0, 1, 0), ["[1]"]),
        (flags([0, 1], [0, 0]), ["[0,1]"]),
        (torch.tensor(True), [""]),
    ],
)
def test_entries_are_written_as_slices(entries, texts):
    assert slices_of(entries) == texts


def test_frozen_entries_are_counted_tensor_by_tensor():
    found = frozen_parameters(flags(0, 0, 1, 1, 1, 0), {"w": (2, 2), "b": (2,)})
    assert found == (Frozen("w", ("[1,:]",), 2), Frozen("b", ("[0]",), 1))
    assert str(Frozen("w", ("[0]", "[2]"), 2)) == "w[0], w[2] never move"


def hyperbolas(theta):
    """Fields of ``a b`` and ``c (d - e)``: conserved are a^2 - b^2, d + e, c^2 - d^2 - e^2 and what is not there."""
    a, b, c, d, e, _ = theta
    zero = 0 * a
    rows = torch.stack([torch.stack([b, a, *[zero] * 4]), torch.stack([zero, zero, d - e, c, -c, zero])])
    return rows / rows.norm(dim=1, keepdim=True)


def test_sums_and_squares_are_found_and_frozen_entries_left_out():
    theta = torch.randn(6, generator=generator(2), dtype=torch.float64)
    found = sums_and_squares(hyperbolas, theta, {"w": (2,), "c": (), "u": (2,), "z": (1,)}, generator(3))
    assert found == ("sum(u)", "|w[0]|^2 - |w[1]|^2", "|c|^2 - |u|^2")


def test_a_coefficient_that_nobody_would_write_is_not_reported():
    """One field (b, pi a): conserved is pi a^2 - b^2."""
    found = sums_and_squares(
        lambda t: torch.stack([t[1], torch.pi * t[0]])[None] / t.norm(),
        torch.tensor([1.0, 2.0]).double(),
        {"w": (2,)},
        generator(3),
    )
    assert found == ()
