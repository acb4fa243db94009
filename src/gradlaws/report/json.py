"""Answers as JSON; the fields are documented in docs/json.md and stay stable."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from gradlaws.laws.count import Count
from gradlaws.laws.result import Answer


def count_to_json(count: Count) -> dict[str, Any]:
    """The fields of a count: parameters, lie_dimension, upper, lower, status and evidence."""
    return {
        "parameters": count.parameters,
        "lie_dimension": count.lie_dimension,
        "upper": count.upper,
        "lower": count.lower,
        "status": count.status.value,
        "evidence": asdict(count.evidence),
    }


def answer_to_json(answer: Answer) -> dict[str, Any]:
    """Those of the count, the model, and one entry for each bundle of laws."""
    laws = [
        {
            "text": law.text,
            "latex": law.latex,
            "kind": law.kind,
            "degree": law.degree,
            "count": law.count,
            "value_tensors": list(law.terms),
        }
        for law in answer.laws
    ]
    return {
        "model": answer.model,
        **count_to_json(answer.count),
        "scope": answer.scope,
        "flow": answer.flow,
        "laws": laws,
    }
