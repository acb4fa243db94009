"""The climb to points with many roots, on a puzzle whose answer is known: sample k wants coordinate k to be even."""

import pytest
import torch

from gradlaws.models.climb import climb

EACH = torch.eye(4, dtype=torch.bool)
"""Every sample is a group of its own."""

ODD = torch.tensor([1, 3, 5, 7])


def odd(point):
    return (point % 2).to(torch.int64)


def climbed(groups=EACH, rounds=200, least=0, start=ODD, missing=odd):
    random = torch.Generator().manual_seed(0)
    return climb(start, lambda n: torch.randint(0, 9, (n,), generator=random), missing, groups, rounds, random, least)


def test_it_ends_where_every_group_has_a_sample_with_all_its_roots():
    assert not odd(climbed()).any()


def test_it_leaves_a_good_point_alone():
    assert climbed(start=2 * ODD).tolist() == (2 * ODD).tolist()


def test_one_group_needs_one_sample_and_as_many_as_are_wanted():
    everyone = torch.ones(1, 4, dtype=torch.bool)
    one = torch.tensor([2, 3, 5, 7])
    assert climbed(everyone, start=one).tolist() == one.tolist()
    assert int((odd(climbed(everyone, start=one, least=3)) == 0).sum()) >= 3


@pytest.mark.parametrize("seed", range(5))
def test_no_group_is_given_up_for_another(seed):
    """The product over groups decides: a change that helps one sample and hurts another as much is no gain."""
    start = torch.randint(0, 9, (4,), generator=torch.Generator().manual_seed(seed))
    seen = [odd(climbed(rounds=rounds, start=start)) for rounds in range(40)]
    counts = [int(missing.sum()) for missing in seen]
    assert counts == sorted(counts, reverse=True)


def test_where_it_cannot_be_reached_it_stops_after_its_rounds():
    assert climbed(missing=lambda point: torch.full((4,), 400), rounds=30).shape == (4,)
