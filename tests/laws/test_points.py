"""Points and samples of small integers at which the roots of a program exist."""

import pytest
import torch

from gradlaws import check, check_program
from gradlaws.laws import points
from gradlaws.laws.points import flat_samples, small_point, small_samples, spelled, vocabularies
from gradlaws.laws.unroll import unroll
from gradlaws.models.module import from_module
from gradlaws.models.network import Network
from tests.certificates import asked

PRIME = 1048571


def generator(seed):
    return torch.Generator().manual_seed(seed)


def words():
    family = from_module(*asked("tokens"))
    return family, check_program.read_model({"model": unroll(family), "prime": PRIME})


def test_gates_are_open_or_closed():
    drawn = small_samples(Network("relu", (2, 3, 2)), 50, 9, generator(1), None, torch.zeros(0))
    assert set(drawn["gate1"].flatten().tolist()) == {0, 1}
    assert max(drawn["x"].flatten().tolist()) > 3


def test_tokens_are_one_hot_rows_without_their_last_entry():
    family, _ = words()
    (name,) = vocabularies(family)
    assert vocabularies(family)[name] == 3
    assert spelled(family)[name] == (1, 2, 2)
    rows = small_samples(family, 50, 9, generator(1), None, torch.zeros(0))[name]
    assert {tuple(row) for row in rows.reshape(-1, 2).tolist()} == {(0, 0), (1, 0), (0, 1)}


@pytest.mark.parametrize("magnitude", [3, 99])
def test_points_are_small_and_not_zero(magnitude):
    point = small_point(Network("relu", (9, 9, 9)), magnitude, generator(2))
    assert set(point.abs().tolist()) <= set(range(1, magnitude + 1))
    assert point.min() < 0 < point.max()


def test_many_samples_at_once_are_as_one_by_one():
    """The slow way: each sample by itself, a root that does not exist stops it."""
    family, program = words()
    point = small_point(family, 99, generator(3))
    samples = flat_samples(small_samples(family, 30, 9, generator(3), None, point))
    exist = []
    for sample in samples:
        try:
            program.gradient(point.tolist(), sample)
        except check.Failed:
            exist.append(False)
        else:
            exist.append(True)
    assert [missing == 0 for missing in points._missing(program, point, samples).tolist()] == exist
    assert len(set(exist)) == 2


def test_at_a_point_for_tokens_every_token_has_its_samples():
    """Two roots for each pair of tokens: a random point may lack some."""
    family, program = words()
    lacking = 0
    for seed in range(8):
        samples = flat_samples(small_samples(family, 60, 1, generator(seed), None, torch.zeros(0)))
        chosen = small_point(family, 9, generator(seed), program)
        assert uncovered(program, chosen, samples) == 0
        lacking += uncovered(program, small_point(family, 9, generator(seed)), samples) > 0
    assert lacking >= 2


def uncovered(program, point, samples):
    """Tokens of a place that occur in no sample whose roots exist."""
    missing = points._missing(program, point, samples)
    tokens = [(place, tuple(s[2 * place : 2 * place + 2])) for s in samples for place in (0, 1)]
    seen = [t for i, t in enumerate(tokens) if missing[i // 2] == 0]
    return len(set(tokens) - set(seen))


def test_too_few_samples_are_what_there_is():
    """The square of a number that is none: no sample at all."""
    family, program = words()
    point = small_point(family, 9, generator(5), program)
    barren = check_program.Program("none", program.parameters, program.sample_size, [["root", 0]], PRIME)
    point[0] = next(n for n in range(2, 99) if pow(n, PRIME // 2, PRIME) != 1)
    drawn = small_samples(family, 5, 9, generator(5), barren, point)
    assert all(len(values) == 0 for values in drawn.values())
