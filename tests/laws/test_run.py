"""One investigation: streams of random numbers, several primes, ranks by formula where they are too large."""

import gradlaws as gl
from gradlaws.laws import run
from gradlaws.laws.run import Run
from gradlaws.models.spec import read_spec
from tests.asserts import assert_count_is


def start(spec, primes=(1048573, 1048571), seed=0):
    return Run.start(read_spec(spec), seed, primes, "cpu", None)


def test_a_prime_given_twice_is_used_once():
    assert [field.prime for field in start("relu 2-2-2", (1048573, 1031, 1048573)).fields] == [1048573, 1031]


def test_streams_of_seeds_and_stages_do_not_meet():
    seeds = {start("relu 2-2-2", seed=seed)._stream(stage).initial_seed() for seed in range(5) for stage in range(64)}
    assert len(seeds) == 5 * 64


def test_further_primes_are_tried_until_the_bounds_meet(monkeypatch):
    """Planted bad luck: the first closure is one short."""
    tried, close = [], run.close

    def unlucky(flow, field, *rest):
        found = close(flow, field, *rest)
        tried.append(field.prime)
        return type(found)(found.upper + (len(tried) == 1), *[getattr(found, n) for n in found.__slots__[1:]])

    monkeypatch.setattr(run, "close", unlucky)
    assert_count_is(gl.count("linear 2-2-2"), 3, 3)
    assert tried == [1048573, 1048571]


def test_ranks_too_large_to_eliminate_come_from_the_closed_form(monkeypatch):
    by_elimination = gl.count("linear 2-7-3")
    monkeypatch.setattr(run, "_RANK_WORK", 0)
    by_formula = gl.count("linear 2-7-3")
    assert_count_is(by_formula, by_elimination.lower, by_elimination.upper)
    assert any("is the closed form" in note for note in by_formula.evidence.notes)
    assert "of 28 entries 25 are independent" in by_elimination.evidence.notes
