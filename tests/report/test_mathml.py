"""Formulas as MathML: well formed, complete, and harmless whatever the names are."""

import xml.etree.ElementTree as ElementTree

import pytest
import torch
from torch import nn

import gradlaws as gl
from gradlaws.report.mathml import mathml
from tests.training.runs import LAWS


def parsed(latex, module=""):
    return ElementTree.fromstring(f"<all>{mathml(latex, module)}</all>")


def shown(latex, module=""):
    """The letters of each term, without tags."""
    return ["".join(term.itertext()) for term in parsed(latex, module)]


@pytest.mark.parametrize(
    ("latex", "terms"),
    [
        (r"\|W_{1}[k,:]\|^2 + b_{1}[k]^2 - 2\,\|W_{2}[:,k]\|^2", ["‖W1k,:‖2", "+b1k2", "−2‖W2:,k‖2"]),
        (r"W_{1} W_{1}^\top - W_{2}^\top W_{2}", ["W1W1⊤", "−W2⊤W2"]),
        (r"\textstyle\sum \mathrm{h.0.c\_proj.weight[k,:]}", ["∑h.0.c_proj.weightk,:"]),
        (r"\text{key.bias never moves}", ["key.bias never moves"]),
        (r"W1_{0,0}^{2} - 3\,W2_{0,1}\,W1_{1,0}", ["W10,02", "−3W20,1W11,0"]),
        (r"\langle \mathrm{a}[:,32+i], \mathrm{a}[:,j]\rangle", ["⟨a:,32+i,a:,j⟩"]),
        (r"e^{-2t} \left(\dot{W} W^\top - W \dot{W}^\top\right)", ["e−2t(W˙W⊤−WW˙⊤)"]),
        (r"\operatorname{asinh}(\sqrt{\mathrm{a\_b[k]}}) + \log u", ["asinh(a_bk)", "+logu"]),
        ("", [""]),
        (r"x^", ["x"]),
        (r"\unheard{x}", [r"\unheardx"]),
    ],
)
def test_terms(latex, terms):
    assert shown(latex) == terms


def test_names_lose_the_path_of_their_module_and_no_other():
    latex = r"\|\mathrm{h.1.mlp.w\_a}\|^2 - \|\mathrm{h.1.mlp.b}\|^2 - \|\mathrm{h.11.mlp.b}\|^2 + \mathrm{g.h.1.mlp.b}"
    assert shown(latex, "h.1.mlp") == ["‖w_a‖2", "−‖b‖2", "−‖h.11.mlp.b‖2", "+g.h.1.mlp.b"]


@pytest.mark.parametrize("name", ["<script>alert(1)</script>", "a&b", '"><img src=x>', "\\", "{", "W[<b>]"])
def test_any_name_is_harmless(name):
    for latex in (name, rf"\mathrm{{{name}}}", rf"\text{{{name}}}[k]^2"):
        tags = {element.tag for element in parsed(latex).iter()}
        assert tags <= {
            "all",
            "math",
            "mrow",
            "mspace",
            "msub",
            "msup",
            "msubsup",
            "mi",
            "mn",
            "mo",
            "mtext",
            "mover",
            "msqrt",
        }


@pytest.mark.parametrize(
    "laws",
    [
        lambda: gl.laws("square 3-4-2 bias", lower_only=True).laws,
        lambda: gl.laws("linear 1-2-1", degree=2).laws,
        lambda: (
            gl.laws(nn.MultiheadAttention(4, 2, batch_first=True), (torch.randn(1, 3, 4),) * 3, lower_only=True).laws
        ),
        lambda: LAWS,
    ],
)
def test_every_law_is_set_with_all_its_tensors(laws):
    for law in laws():
        text = "".join(shown(law.latex))
        assert "\\" not in text
        assert "{" not in text
        for term in law.terms:
            names = [term["tensor"]] if "tensor" in term else [factor.split("[")[0] for factor in term["factors"]]
            assert all(name in text or f"{name[0]}{name[1:]}" in text for name in names)
