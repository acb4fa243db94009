"""JSON with the documented fields and no others."""

import json

import pytest

import gradlaws as gl
from gradlaws.report.json import answer_to_json, count_to_json

COUNT = ["parameters", "lie_dimension", "upper", "lower", "status", "evidence"]
EVIDENCE = ["primes", "seed", "levels", "assumptions", "failure_probability", "seconds", "notes"]
LEVEL = ["length", "brackets", "rank", "remaining"]
LAW = ["text", "latex", "kind", "degree", "count", "value_tensors"]


def round_trip(value):
    return json.loads(json.dumps(value, allow_nan=False))


def assert_fields(document):
    assert list(document["evidence"]) == EVIDENCE
    assert all(list(level) == LEVEL for level in document["evidence"]["levels"])
    assert all(list(law) == LAW for law in document.get("laws", []))
    assert document["parameters"] - document["upper"] == document["lie_dimension"]


@pytest.mark.parametrize("spec", ["relu 2-5-3 bias", "linear 1-2-2-1", "linear 3-2"])
def test_counts(spec):
    document = round_trip(count_to_json(gl.count(spec)))
    assert list(document) == COUNT
    assert_fields(document)


@pytest.mark.parametrize("spec", ["relu 2-5-3 bias", "linear 1-2-2-1", "linear 3-2"])
def test_answers(spec):
    document = round_trip(answer_to_json(gl.laws(spec)))
    assert list(document) == ["model", *COUNT, "scope", "flow", "laws"]
    assert document["model"] == spec
    assert_fields(document)


def test_values_by_hand():
    document = round_trip(answer_to_json(gl.laws("square 2-3-2")))
    assert [document[name] for name in COUNT[:5]] == [12, 9, 3, 3, "PROVED"]
    (law,) = document["laws"]
    assert (law["kind"], law["degree"], law["count"]) == ("diagonal", 2, 3)
    assert law["value_tensors"] == [
        {"tensor": "W1", "axis": 0, "coefficient": "1"},
        {"tensor": "W2", "axis": 1, "coefficient": "-2"},
    ]


def test_polynomials_list_their_factors():
    (law,) = round_trip(answer_to_json(gl.laws("linear 1-1-1", degree=2)))["laws"]
    assert law["value_tensors"] == [
        {"coefficient": "1", "factors": ["W1[0,0]", "W1[0,0]"]},
        {"coefficient": "-1", "factors": ["W2[0,0]", "W2[0,0]"]},
    ]
