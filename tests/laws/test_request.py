"""One request: streams of random numbers, several primes, options out of range."""

import pytest

import gradlaws as gl
from gradlaws.errors import InputError
from gradlaws.laws import request
from gradlaws.laws.request import Request
from tests.asserts import assert_count_is

PRIMES = (1048573, 1048571)


def test_a_prime_given_twice_is_used_once():
    assert [field.prime for field in Request.of((1048573, 1031, 1048573), 0).fields] == [1048573, 1031]


def test_streams_of_seeds_and_stages_do_not_meet():
    seeds = {Request.of(PRIMES, seed).stream(stage).initial_seed() for seed in range(5) for stage in range(64)}
    assert len(seeds) == 5 * 64


@pytest.mark.parametrize("ask", [gl.count, gl.laws, gl.symmetries])
def test_options_out_of_range_are_refused_by_every_question(ask):
    with pytest.raises(InputError, match=r"no prime given: expected at least one, for example 1048573"):
        ask("relu 1-1-1", primes=())
    with pytest.raises(InputError, match=r"seed -1 is out of range: expected a whole number from 0 to 2\*\*57 - 1"):
        ask("relu 1-1-1", seed=-1)


@pytest.mark.parametrize(("flow", "laws"), [("gradient", 3), ("momentum", 1)])
def test_further_primes_are_tried_until_the_bounds_meet(flow, laws, monkeypatch):
    """Planted bad luck: the first closure is one short."""
    tried, close = [], request.close

    def unlucky(flow, field, *rest):
        found = close(flow, field, *rest)
        tried.append(field.prime)
        return type(found)(found.upper + (len(tried) == 1), *[getattr(found, n) for n in found.__slots__[1:]])

    monkeypatch.setattr(request, "close", unlucky)
    assert_count_is(gl.count("linear 2-2-2", flow=flow), laws, laws)
    assert tried == list(PRIMES)


@pytest.mark.parametrize("options", [{"seed": "a"}, {"seed": 1.5}, {"primes": "a"}, {"primes": 7}, {"primes": [2.5]}])
def test_options_of_another_type_are_refused(options):
    with pytest.raises(InputError, match=r"is not a whole number|are not understood: expected whole"):
        gl.count("relu 1-1-1", **options)
