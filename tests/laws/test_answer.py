"""The two questions, end to end: counts of the literature, and what happens when a law is missing or wrong."""

from dataclasses import replace

import pytest

import gradlaws as gl
from gradlaws.errors import ContradictionError, InputError, TooLargeError
from gradlaws.laws import closure, run
from gradlaws.laws.count import Status
from gradlaws.models.family import Family
from gradlaws.models.network import Network
from gradlaws.models.spec import read_spec
from tests.asserts import assert_count_is, assert_open_with_reason
from tests.cases import counts_7_1, published_counts
from tests.oracles.sheet import all_laws, balance_laws

NARROW = [(1, 2, 2, 1), (1, 3, 3, 1), (1, 2, 2, 2, 1), (2, 1, 2, 2, 1), (1, 2, 2, 1, 2), (1, 2, 3, 1), (1, 1, 2, 2, 1)]


@pytest.mark.parametrize("case", counts_7_1(), ids=str)
def test_counts_of_the_reference_table(case):
    count = gl.count(case.spec)
    assert count.parameters == case.parameters
    assert_count_is(count, case.lower, case.upper)


@pytest.mark.parametrize("case", published_counts(), ids=str)
def test_counts_of_the_published_architectures(case):
    count = gl.count(case.spec)
    assert count.parameters == case.parameters
    assert_count_is(count, case.lower, case.upper)


@pytest.mark.parametrize("widths", NARROW, ids=str)
def test_narrow_segments_keep_laws_that_are_not_found_and_the_answer_says_so(widths):
    count = gl.count(Network("linear", widths))
    assert_count_is(count, balance_laws(widths), all_laws(widths))
    assert_open_with_reason(count, "two layers of width 1 moves along one field and keeps non-polynomial laws")
    missing = count.upper - count.lower
    assert_open_with_reason(count, f"{missing} more independent law" + ("s exist" if missing > 1 else " exists"))


@pytest.mark.parametrize("widths", [(1, 2, 1), (1, 1, 1, 1), (2, 1, 1, 2), (1, 2, 1, 2, 1), (1, 2, 2, 2)], ids=str)
def test_segments_too_short_to_keep_more_are_proved(widths):
    assert balance_laws(widths) == all_laws(widths)
    assert_count_is(gl.count(Network("linear", widths)), balance_laws(widths), all_laws(widths))


def drop_laws(monkeypatch, keep):
    """Planted fault: the structured finder forgets laws, and the generic search finds nothing."""
    find = run.find_gram_laws
    monkeypatch.setattr(run, "find_gram_laws", lambda *a: keep(find(*a)))
    monkeypatch.setattr(run, "polynomial_laws", lambda *_: [])


@pytest.mark.parametrize(
    "spec", ["linear 2-2-2", "linear 2-3-3-2", "relu 2-5-3 bias", "square 2-2-2-2", "linear 2-5-2"]
)
def test_a_planted_missing_bundle_shows_as_bounded(monkeypatch, spec):
    whole = gl.count(spec)
    drop_laws(monkeypatch, lambda laws: laws[1:])
    count = gl.count(spec)
    assert count.upper == whole.upper > count.lower
    assert count.status is Status.BOUNDED
    assert_open_with_reason(count, "but not in a form that was searched")


@pytest.mark.parametrize("spec", ["linear 2-2-2", "linear 2-3-3-2"])
def test_a_planted_missing_entry_shows_as_bounded(monkeypatch, spec):
    whole = gl.count(spec)
    drop_laws(monkeypatch, lambda laws: [replace(laws[0], selection="diagonal"), *laws[1:]])
    width = read_spec(spec).widths[1]
    assert_count_is(gl.count(spec), whole.lower - width * (width - 1) // 2, whole.upper)


def test_what_the_structured_finder_misses_the_generic_search_finds(monkeypatch):
    monkeypatch.setattr(run, "find_gram_laws", lambda *_: [])
    answer = gl.laws("linear 2-2-2")
    assert_count_is(answer.count, 3, 3)
    assert {law.kind for law in answer.laws} == {"polynomial"}


@pytest.mark.parametrize("spec", ["relu 2-3-2", "linear 2-2-2", "square 2-2-2 bias"])
def test_a_planted_wrong_law_is_dropped(monkeypatch, spec):
    whole, find = gl.laws(spec), run.find_gram_laws

    def with_wrong(*a):
        laws = find(*a)
        return [replace(law, parts=tuple((p, abs(c)) for p, c in law.parts)) for law in laws] + laws

    monkeypatch.setattr(run, "find_gram_laws", with_wrong)
    answer = gl.laws(spec)
    assert answer.laws == whole.laws
    assert_count_is(answer.count, whole.count.lower, whole.count.upper)


def test_bounds_that_cross_name_the_seed(monkeypatch):
    """Planted: the proof accepts off-diagonal entries of a ReLU network."""
    find = run.find_gram_laws
    monkeypatch.setattr(run, "find_gram_laws", lambda *a: [replace(law, selection="matrix") for law in find(*a)])
    monkeypatch.setattr(run, "proved", lambda *_: True)
    with pytest.raises(ContradictionError, match=r"the bounds cross: 6 independent laws, but at most 3 .* seed 17"):
        gl.count("relu 2-3-2", seed=17)


class Long(Family):
    """A network whose expansion is said to be too long, without the short proofs that networks have."""

    name = "a long family"
    monomials = 10**12
    assumptions = ("said to be long",)
    inner = Network("linear", (2, 2, 2))
    parameters, instance, degree = inner.parameters, inner.instance, inner.degree

    def potential(self, theta, s):
        return self.inner.potential(theta, s)


def test_laws_that_cannot_be_expanded_are_certain_not_proved():
    count = gl.count(Long())
    assert count.status is Status.CERTAIN
    assert 0 < count.evidence.failure_probability < 1e-25
    assert count.evidence.assumptions == ("said to be long",)
    assert "every law is proved" not in " ".join(count.evidence.notes)


def test_a_model_too_large_to_count_is_refused_by_count(monkeypatch):
    monkeypatch.setattr(closure, "memory_total", lambda: 2**20)
    sentence = r"counting all laws of 668672 parameters needs about 9994.0 GiB and this machine has 0.0 GiB: count a"
    with pytest.raises(TooLargeError, match=sentence):
        gl.count("relu 784-512-512-10")


def test_and_its_laws_are_found_with_a_note(monkeypatch):
    """A small machine stands in for a large model."""
    monkeypatch.setattr(closure, "memory_total", lambda: 24 * 1500**2)
    answer = gl.laws("relu 40-20-20-20")
    count = answer.count
    assert (count.lower, count.upper, count.status) == (40, count.parameters, Status.BOUNDED)
    assert [law.text for law in answer.laws] == ["|W1[k,:]|^2 - |W2[:,k]|^2", "|W2[k,:]|^2 - |W3[:,k]|^2"]
    assert_open_with_reason(count, "no upper bound at this size: the closure in dimension 1600 needs about 0 GiB")
    assert_open_with_reason(count, "the same shape at a smaller size, 'relu")


def test_an_answer_says_what_it_found():
    answer = gl.laws("linear 2-2-2", seed=3)
    assert answer.complete
    assert (answer.status, answer.evidence.seed) == (Status.PROVED, 3)
    assert str(answer).startswith("linear 2-2-2: 3 PROVED independent laws, 8 parameters\n  W1 W1^T - W2^T W2  (matrix")
    assert not gl.laws("linear 1-2-2-1").complete


def test_a_network_is_as_good_as_its_spec():
    network = Network("relu", (2, 5, 3), bias=True)
    assert gl.laws(network).laws == gl.laws("relu 2-5-3 bias").laws


@pytest.mark.parametrize("spec", ["linear 3-2", "relu 3-2 output-bias"])
def test_a_network_without_hidden_layer_has_no_law(spec):
    assert_count_is(gl.count(spec), 0, 0)


def test_an_output_bias_moves_freely():
    for spec in ("relu 2-3-2 bias", "linear 2-2-2", "square 2-2-2"):
        with_bias = gl.count(f"{spec} output-bias")
        assert_count_is(with_bias, gl.count(spec).lower, gl.count(spec).upper)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"primes": []}, "no prime given: expected at least one, for example 1048573"),
        ({"primes": [1048575]}, "modulus 1048575 is composite"),
        ({"primes": [2**31 - 1]}, "prime 2147483647 is out of range"),
        ({"seed": -1}, "seed -1 is out of range"),
        ({"seed": 2**60}, "is out of range: expected a whole number from 0"),
    ],
)
def test_options_that_make_no_sense_are_refused(options, sentence):
    with pytest.raises(InputError, match=sentence):
        gl.count("relu 2-2-2", **options)


def test_what_is_neither_a_spec_nor_a_family_is_refused():
    with pytest.raises(InputError, match="cannot find laws of list: expected a spec"):
        gl.laws([2, 5, 3])


def test_a_network_too_large_for_one_gradient_is_refused():
    with pytest.raises(InputError, match=r"needs about \d+ GiB for a few exact gradients: use narrower layers"):
        gl.laws("relu 1000000-1000000-10")


def test_a_single_field_keeps_more_than_the_norms():
    """u1 v1^2 + u2 v2^2 times x^2: one field in four dimensions, so three laws, two of them quadratic."""
    count = gl.count("square 1-2-1")
    assert_count_is(count, 2, 3)
    assert_open_with_reason(count, "1 more independent law exists near a generic point")
