"""Named parameters and flat ones."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from gradlaws.laws.law import flatten, unflatten

shapes = st.dictionaries(
    st.sampled_from("abcd"), st.lists(st.integers(1, 3), min_size=1, max_size=3).map(tuple), min_size=1, max_size=4
)


@given(shapes, st.lists(st.integers(1, 3), max_size=2))
def test_flatten_undoes_unflatten(shapes, batch):
    flat = torch.randn(*batch, sum(torch.Size(shape).numel() for shape in shapes.values()))
    named = unflatten(flat, shapes)
    assert {name: value.shape for name, value in named.items()} == {n: (*batch, *s) for n, s in shapes.items()}
    assert torch.equal(flatten(named, shapes), flat)


def test_a_parameter_may_be_a_single_number():
    shapes = {"scale": (), "W": (2, 2)}
    named = unflatten(torch.arange(5.0), shapes)
    assert named["scale"].item() == 0.0
    assert torch.equal(flatten(named, shapes), torch.arange(5.0))
