"""Answers for a terminal and for a paper."""

import gradlaws as gl
from gradlaws.report.text import answer_latex, answer_text, count_text


def rows(text):
    """The aligned table as pairs."""
    return [tuple(line.strip().split("  ", 1)) for line in text.splitlines() if line.startswith("  ")]


def test_a_count_shows_its_bounds_and_what_they_rest_on():
    text = count_text("relu 2-5-3", gl.count("relu 2-5-3", seed=4))
    assert text.startswith("relu 2-5-3: 5 PROVED conservation laws\n")
    table = dict(rows(text))
    assert table["parameters"].strip() == "25"
    assert table["laws, at least"].strip() == "5  (explicit and independent)"
    assert table["laws, at most"].strip() == "5  (dim Lie >= 20, brackets up to length 1)"
    assert table["status"].strip().endswith("there are no others")
    assert (table["primes"].strip(), table["seed"].strip()) == ("1048573, 1048571", "4")
    assert table["assuming"].strip().startswith("free gates")


def test_an_open_count_says_why():
    text = count_text("linear 1-2-2-1", gl.count("linear 1-2-2-1"))
    assert "6 to 7 BOUNDED(6, 7) conservation laws" in text
    assert "the truth lies between" in text
    assert "keeps non-polynomial laws" in text


def test_laws_come_with_how_many_they_are():
    lines = answer_text(gl.laws("linear 2-3-3-2")).splitlines()
    assert lines[0] == "Conserved by gradient flow, for every data set and loss:"
    assert lines[1] == "  W1 W1^T - W2^T W2    symmetric matrix, 6 laws"
    assert answer_text(gl.laws("relu 2-5-3")).splitlines()[1] == "  |W1[k,:]|^2 - |W2[:,k]|^2    k = 0..4"
    assert answer_text(gl.laws("relu 2-1-3")).splitlines()[1] == "  |W1|^2 - |W2|^2"


def test_a_network_without_laws_says_so():
    assert answer_text(gl.laws("linear 3-2")).splitlines()[1] == "  no laws"


def test_latex_is_an_environment_with_one_law_a_line():
    assert answer_latex(gl.laws("relu 4-6-2 bias")).splitlines() == [
        "% relu 4-6-2 bias: 6 PROVED independent conservation laws",
        r"\begin{align*}",
        r"  & \|W_{1}[k,:]\|^2 + b_{1}[k]^2 - \|W_{2}[:,k]\|^2, \quad k = 0, \dots, 5",
        r"\end{align*}",
    ]


def test_latex_braces_and_environments_are_balanced():
    for answer in (gl.laws("linear 2-3-3-2 bias"), gl.laws("linear 1-2-1", degree=4), gl.laws("square 2-1-2")):
        text = answer_latex(answer)
        assert text.count("{") == text.count("}")
        assert text.count(r"\\") == len(answer.laws) - 1
        assert "^T" not in text
