"""One number, sign, index, key or order of a certificate altered at a time: rejected, or harmless for a stated reason.

A forger seals the altered certificate with a hash that fits. What is accepted then must be true all the same.
"""

import json
from collections import Counter
from fractions import Fraction
from functools import cache

import pytest

import gradlaws as gl
from gradlaws import check_program
from gradlaws.exact.polynomial import Polynomial
from gradlaws.laws.proof import expanded_potential, holds_by_expansion
from gradlaws.models.network import Network
from tests.certificates import MODELS, Written, document, mutant, mutations, sealed, verdict
from tests.steps import shown_by_the_library

MUTATED = (*MODELS, "swiglu", "softmax")
EVIDENCE = ("prime", "point", "samples", "words", "columns")

# Why an altered certificate may be accepted; `reason` checks that it is so.
VERSIONS = "the versions of the software are no part of what is proved"
OTHER_EVIDENCE = "the same theorem, shown by other numbers"
ORDER = "the same theorem, its laws or their terms in another order"
LABELS = "the name of a program and of the entries of its samples are there for the reader"
OTHER_MODEL = "a theorem on another model, and the library proves it too"
HARMLESS = (VERSIONS, OTHER_EVIDENCE, ORDER, LABELS, OTHER_MODEL)


def without(altered, *keys):
    return {key: value for key, value in altered.items() if key not in (*keys, "hash")}


def canonical_laws(altered):
    return sorted(sorted(law) for law in altered["laws"])


def same_program(one, other):
    return one["kind"] == "program" and without(one, "title", "sample") == without(other, "title", "sample")


def family_of(altered):
    """The library's own reading of the model of a certificate."""
    model = altered["model"]
    if model["kind"] == "network":
        return Network(model["activation"], tuple(model["widths"]), model["bias"], model["output_bias"])
    names = model["parameters"]
    phis = [[(int(Fraction(c) * 3), factors) for c, *factors in phi] for phi in model["potentials"]]
    return Written(names, phis)


def library_proves(altered):
    """As many laws as claimed, each one expanded in full by the library, or tried where there are functions."""
    if altered["model"]["kind"] == "program":
        _, laws, _ = check_program.interpret(altered)
        assert shown_by_the_library(altered["model"], laws)
        return
    family = family_of(altered)
    count = gl.count(family)
    assert (count.lower, count.upper) == (altered["claim"]["laws"],) * 2
    _, laws, _ = check_program.interpret(altered)
    psi = expanded_potential(family)
    assert all(holds_by_expansion(psi, Polynomial({factors: c for c, factors in law})) for law in laws)


def reason(original, altered):
    """Why it is harmless that this was accepted."""
    if without(original, "software") == without(altered, "software"):
        return VERSIONS
    if without(original, *EVIDENCE) == without(altered, *EVIDENCE):
        return OTHER_EVIDENCE
    if without(original, "laws") == without(altered, "laws") and canonical_laws(original) == canonical_laws(altered):
        return ORDER
    assert original["model"] != altered["model"], "a law was altered and accepted"
    if without(original, "model") == without(altered, "model") and same_program(original["model"], altered["model"]):
        return LABELS
    library_proves(altered)
    return OTHER_MODEL


@cache
def tried(title, seal):
    """How many mutants were rejected with which first words, and for how many accepted ones which reason is true."""
    original = document(title)
    rejected, accepted = Counter(), Counter()
    for where, other in mutations(original):
        altered = mutant(original, where, other)
        if seal and isinstance(altered, dict) and "hash" in altered and where != ("hash",):
            altered = sealed(altered)
        said = verdict(altered)
        if said.startswith(("PROVED", "CERTAIN")):
            accepted[reason(original, altered)] += 1
        else:
            rejected[said.split(":")[0]] += 1
    return rejected, accepted


@pytest.mark.parametrize("title", MUTATED)
def test_the_certificate_itself_is_accepted(title):
    said = verdict(document(title))
    assert said.startswith("PROVED: the number of independent conservation laws" if title in MODELS else "CERTAIN(")
    assert verdict(sealed(document(title))) == said


@pytest.mark.parametrize("title", MUTATED)
def test_whatever_is_altered_breaks_the_hash(title):
    rejected, accepted = tried(title, False)
    assert set(rejected) == {"NOT PROVED", "check"}
    assert set(accepted) == {VERSIONS}


@pytest.mark.parametrize("title", MUTATED)
def test_a_forged_hash_helps_only_where_what_is_said_stays_true(title):
    rejected, accepted = tried(title, True)
    assert set(rejected) == {"NOT PROVED", "check"}
    assert set(accepted) <= set(HARMLESS)


@pytest.mark.parametrize(("titles", "many"), [(MODELS, 8_000), (MUTATED[10:], 1_500)], ids=["models", "modules"])
def test_thousands_of_mutations_over_twelve_certificates(titles, many):
    rejected, accepted = (
        sum(counters, Counter()) for counters in zip(*(tried(title, True) for title in titles), strict=True)
    )
    assert len(MUTATED) == 12
    assert rejected.total() + accepted.total() > many
    assert rejected["NOT PROVED"] > many / 8
    # nearly all that is accepted is the same theorem; the rest is relu for leaky, and other potentials or programs
    assert accepted[OTHER_MODEL] < many / 16


def test_space_and_the_order_of_keys_do_not_matter():
    original = document("relu 2-3-2")
    backwards = dict(reversed(original.items()))
    assert verdict(json.loads(json.dumps(backwards, indent=4))) == verdict(original)
