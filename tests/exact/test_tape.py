"""Programs of scalar steps: what is recorded computes what the rules compute."""

from fractions import Fraction

import pytest
import torch

from gradlaws.errors import TooLargeError, UnsupportedError
from gradlaws.exact import tape as tapes
from gradlaws.exact.formal import RECIPROCAL, SOFTPLUS
from gradlaws.exact.jet import Jet
from gradlaws.exact.rules.products import bilinear
from gradlaws.exact.rules.structure import apply
from gradlaws.exact.tape import Tape, tape_of
from tests.samplers import FIELD


class Recorded:
    """A tape with one array of leaves, whose values are 2, 3, 5 and so on."""

    def __init__(self, *shape):
        self.tape = Tape()
        size = torch.Size(shape).numel()
        self.x = self.leaves("x", *shape)
        assert len(self.values()) == 2 + size

    def leaves(self, name, *shape):
        names = [f"{name}{i}" for i in range(torch.Size(shape).numel())]
        return Jet(self.tape.leaves(names, (1, 1, *shape)), self.tape.as_field)

    def values(self):
        """Of all scalars, as rational numbers."""
        values, primes = [], iter([2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37])
        for name, *operands in self.tape.steps:
            known = [values[i] for i in operands] if name in ("sum", "dot", "reciprocal") else []
            values.append(
                {
                    "number": lambda operands=operands: Fraction(operands[0]),
                    "leaf": lambda: Fraction(next(primes)),
                    "sum": lambda known=known: sum(known),
                    "dot": lambda known=known: sum(a * b for a, b in zip(known[::2], known[1::2], strict=True)),
                    "reciprocal": lambda known=known: 1 / known[0],
                }[name]()
            )
        return values

    def of(self, jet):
        """The values of an array."""
        values = self.values()
        return [values[int(i)] for i in jet.coefficients.flatten().tolist()]


def test_sums_products_and_matrices():
    made = Recorded(2, 2)
    x = made.x
    assert made.of(x + x) == [4, 6, 10, 14]
    assert made.of(x - x * x) == [-2, -6, -20, -42]
    assert made.of(x @ x) == [2 * 2 + 3 * 5, 2 * 3 + 3 * 7, 5 * 2 + 7 * 5, 5 * 3 + 7 * 7]
    assert made.of(x.sum()) == [17]
    assert made.of(RECIPROCAL(x)[0]) == [Fraction(1, n) for n in (2, 3, 5, 7)]


LINEAR = {
    "transpose": lambda t: t.mT,
    "flip": lambda t: t.flip(0),
    "pad": lambda t: torch.nn.functional.pad(t, (1, 0)),
    "triangle": torch.tril,
    "sum": lambda t: t.sum(0, keepdim=True),
    "running sum": lambda t: t.cumsum(1),
    "difference": lambda t: t - 2 * t.flip(1),
    "repeat": lambda t: t.repeat(2, 1),
    "nothing": lambda t: t[:0],
}


@pytest.mark.parametrize("title", LINEAR)
def test_linear_maps_are_read_off(title):
    made = Recorded(2, 2)
    op = LINEAR[title]
    expected = op(torch.tensor([[2.0, 3.0], [5.0, 7.0]]))
    mapped = apply(made.x, op)
    assert mapped.shape == expected.shape
    assert made.of(mapped) == expected.flatten().tolist()


def test_maps_to_several_arrays():
    made = Recorded(2, 2)
    first, second = apply(made.x, lambda t: (t[0], t.sum(1)))
    assert (made.of(first), made.of(second)) == ([2, 3], [5, 12])


def test_moving_entries_makes_no_steps():
    made = Recorded(2, 2)
    before = len(made.tape.steps)
    apply(made.x, lambda t: t.mT.reshape(4).roll(1))
    assert len(made.tape.steps) == before


def test_bilinear_maps_are_read_off():
    made = Recorded(1, 1, 3)
    kernel = made.leaves("k", 1, 1, 2)
    out = bilinear(made.x, kernel, torch.conv1d, 2)
    assert made.of(out) == [2 * 7 + 3 * 11, 3 * 7 + 5 * 11]


def test_what_is_computed_twice_is_recorded_once():
    made = Recorded(2)
    once = (made.x * made.x).coefficients
    assert torch.equal((made.x * made.x).coefficients, once)
    assert len(made.tape.steps) == 2 + 2 + 2


def test_zeros_and_ones_leave_no_steps():
    made = Recorded(2)
    before = len(made.tape.steps)
    zero, one = (Jet(torch.full((1, 1, 2), float(i), dtype=torch.float64), made.tape.as_field) for i in (0, 1))
    assert made.of(made.x * zero + made.x * one) == [2, 3]
    assert len(made.tape.steps) == before


def test_constants_are_themselves_or_generic():
    """Small fractions are numbers; others are unknown, equal for equal floats and opposite for opposite ones."""
    tape = Tape()
    half, pi, minus, again = tape.of(torch.tensor([0.5, 3.14159, -3.14159, 3.14159])).long().tolist()
    assert tape.steps[half] == ("number", "1/2")
    assert tape.steps[pi][0] == "generic"
    assert pi == again
    assert tape.steps[minus][0] == "dot"
    assert sorted(tape.steps[i] for i in tape.steps[minus][1:]) == [tape.steps[pi], ("number", "-1")]
    with pytest.raises(UnsupportedError, match="the program computes with the number inf"):
        tape.of(torch.tensor([float("inf")]))


def test_smooth_functions_stay_what_they_are():
    made = Recorded(1)
    value, slope = SOFTPLUS(made.x)
    steps = [made.tape.steps[int(jet.coefficients)] for jet in (value, slope)]
    assert steps == [("softplus", 2), ("sigmoid", 2)]


def test_long_programs_are_refused(monkeypatch):
    made = Recorded(4)
    monkeypatch.setattr(tapes, "LONGEST", 12)
    with pytest.raises(TooLargeError, match="more than 12 operands when it is written out scalar by scalar"):
        made.of(made.x * made.x)
    monkeypatch.setattr(tapes, "_PROBED", 15)
    with pytest.raises(TooLargeError, match="certify a narrower model"):
        apply(made.x, lambda t: t.cumsum(0))


def test_a_field_is_no_tape():
    assert tape_of(FIELD) is None
    tape = Tape()
    assert tape_of(tape.as_field) is tape
