"""Laws are proved by expansion; whatever is altered in one place is rejected, by expansion and by random tests."""

from dataclasses import replace

import pytest

from gradlaws.flows.gradient import GradientFlow
from gradlaws.laws import proof
from gradlaws.laws.contraction import Contraction
from gradlaws.laws.proof import expanded_potential, holds_by_expansion, layer_law, proved
from gradlaws.laws.search import polynomial_laws
from gradlaws.models.network import Network
from gradlaws.models.spec import read_spec
from tests.samplers import FIELD, OTHER_FIELD, SMALL_NETWORKS, generator, spec_of

FIELDS = (FIELD, OTHER_FIELD)


def by_full_expansion(network, law):
    psi = expanded_potential(network)
    return all(holds_by_expansion(psi, scalar) for scalar in law.polynomials(network.parameters))


def passes_tests(network, law, seed=1):
    return proof.tested(GradientFlow(network), law, FIELDS, generator(seed)).held


def with_part(law, i, part, coefficient):
    parts = list(law.parts)
    parts[i] = (part, coefficient)
    return replace(law, parts=tuple(parts))


def wrong_gram_laws(network, layer):
    """The norm law of a layer with one sign, one coefficient, one axis, one tensor altered, or one part dropped."""
    law = layer_law(network, layer)
    for i, (part, c) in enumerate(law.parts):
        yield with_part(law, i, part, -c)
        yield with_part(law, i, part, c + 1 if c + 1 else 2)
        yield replace(law, parts=law.parts[:i] + law.parts[i + 1 :])
    first, c = law.parts[0]
    if len({*network.widths}) == 1:
        yield with_part(law, 0, replace(first, axis=1), c)
        yield with_part(law, 0, Contraction(f"W{layer + 1}", 0, 2), c)
    if network.activation != "linear" and law.width > 1:
        yield replace(law, selection="matrix")


@pytest.mark.parametrize(
    "network", [*SMALL_NETWORKS, Network("relu", (2, 2, 2, 2)), Network("linear", (3, 3, 3))], ids=spec_of
)
def test_right_laws_are_proved_and_wrong_ones_rejected(network):
    for layer in range(1, network.depth):
        law = layer_law(network, layer)
        assert proved(network, law)
        assert passes_tests(network, law)
        for wrong in wrong_gram_laws(network, layer):
            assert not proved(network, wrong), wrong.text
            assert not by_full_expansion(network, wrong), wrong.text
            assert not passes_tests(network, wrong), wrong.text


@pytest.mark.parametrize("selection", ["matrix", "diagonal", "trace"])
@pytest.mark.parametrize("network", SMALL_NETWORKS, ids=spec_of)
def test_the_template_agrees_with_the_full_expansion(network, selection):
    for layer in range(1, network.depth):
        law = replace(layer_law(network, layer), selection=selection)
        law = replace(law, width=1) if selection == "trace" else law
        assert proved(network, law) == by_full_expansion(network, law) == passes_tests(network, law)


def wrong_polynomials(law):
    """One sign, one coefficient, one index altered in a law written term by term."""
    c = law.coefficients
    yield replace(law, coefficients=(-c[0], *c[1:]))
    yield replace(law, coefficients=(*c[:-1], c[-1] + 1 if c[-1] != -1 else 5))
    first, *rest = law.monomials[0]
    other = tuple(sorted([(first + 1) % 6, *rest]))
    if other not in law.monomials:
        yield replace(law, monomials=(other, *law.monomials[1:]))


@pytest.mark.parametrize("spec", ["linear 2-2-2", "relu 2-2-2 bias", "square 1-2-1 bias"])
def test_altered_polynomials_are_rejected(spec):
    network = read_spec(spec)
    for law in polynomial_laws(GradientFlow(network), 2, FIELD, generator(1)):
        assert proved(network, law)
        assert passes_tests(network, law)
        for wrong in wrong_polynomials(law):
            assert not proved(network, wrong), wrong.text
            assert not passes_tests(network, wrong), wrong.text


def test_the_trace_of_a_sum_of_layer_laws_is_proved():
    network = Network("square", (2, 3, 2, 2), bias=True)
    first, second = layer_law(network, 1), layer_law(network, 2)
    weights = [(replace(p, axis=0), 3 * c) for p, c in first.parts] + [(replace(p, axis=0), c) for p, c in second.parts]
    merged = {}
    for part, c in weights:
        merged[part] = merged.get(part, 0) + c
    trace = replace(first, parts=tuple(merged.items()), width=1, selection="trace")
    assert proved(network, trace)
    assert by_full_expansion(network, trace)
    wrong = replace(trace, parts=((trace.parts[0][0], 4), *trace.parts[1:]))
    assert not proved(network, wrong)


def test_proofs_work_at_any_size():
    wide = Network("relu", (784, 512, 512, 10), bias=True)
    assert proved(wide, layer_law(wide, 2))
    assert not proved(wide, replace(layer_law(wide, 2), selection="matrix"))


def test_a_polynomial_too_long_to_expand_is_not_called_proved(monkeypatch):
    network = read_spec("linear 2-2-2")
    law = polynomial_laws(GradientFlow(network), 2, FIELD, generator(1))[0]
    monkeypatch.setattr(proof, "EXPANSION_LIMIT", 0)
    assert not proved(network, law)


def test_random_tests_say_how_sure_they_are():
    network = read_spec("linear 2-2-2")
    flow, law = GradientFlow(network), layer_law(network, 1)
    trial = proof.tested(flow, law, FIELDS, generator(1))
    # the identity has degree deg X + deg h - 1 = 4 in parameters, input and cotangent; three trials for each prime
    assert flow.degree == network.degree - 1 == 3
    assert trial.failure_probability == pytest.approx((4 / FIELD.prime) ** 3 * (4 / OTHER_FIELD.prime) ** 3)
