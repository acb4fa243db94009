"""Answers about every flow can be printed, written as LaTeX and as JSON, and are refused a certificate in words."""

import json

import pytest

import gradlaws as gl
from gradlaws.errors import InputError
from gradlaws.flows.fields import vector_fields
from gradlaws.models.zoo import gram
from gradlaws.report.json import answer_to_json
from gradlaws.report.text import answer_latex, answer_text

ASKED = [
    *[("linear 1-2-1", flow) for flow in ("decay", "sign", "natural", "momentum:mirror:burg", "mirror:entropy")],
    ("relu 2-2-2 bias", "mirror:hessian=1 + x"),
    (gram(2, 3), "gradient"),
    (vector_fields(["t", "x", "v"], [["1", "v", "-3*v - 2*x"]]), "gradient"),
]


@pytest.mark.parametrize(("model", "flow"), ASKED, ids=lambda x: x if isinstance(x, str) else "formulas")
def test_every_flow(model, flow):
    answer = gl.laws(model, flow=flow)
    assert answer.laws
    shown = json.loads(json.dumps(answer_to_json(answer)))
    assert [law["text"] for law in shown["laws"]] == [law.text for law in answer.laws]
    assert shown["flow"] == answer.flow
    latex = answer_latex(answer)
    assert latex.count("{") == latex.count("}")
    assert answer_text(answer, explained=True).count("because") == len(answer.laws)
    with pytest.raises(InputError, match=r"no certificate for|certificates and expansions are for polynomial laws"):
        gl.certify(model, answer)
