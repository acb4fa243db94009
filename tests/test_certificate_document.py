"""The worked example of docs/certificate.md stays true: the file, the sums and the verdict."""

import json
import re
from pathlib import Path

import torch
from torch import nn

import gradlaws as gl
from gradlaws import check, check_program
from gradlaws.exact.tape import LONGEST
from gradlaws.laws.unroll import unroll
from gradlaws.models.module import from_module
from tests.certificates import document, sealed, verdict

DOCUMENT = (Path(__file__).parents[1] / "docs" / "certificate.md").read_text()


def block(language):
    """The one fenced block in a language."""
    (found,) = re.findall(rf"```{language}\n(.*?)```", DOCUMENT, re.DOTALL)
    return found


def without_software(text):
    return [line for line in text.splitlines() if not line.startswith('"software"')]


def test_the_example_is_what_is_written_today():
    written = gl.certify("relu 1-1-1", gl.laws("relu 1-1-1"))
    assert without_software(block("json")) == without_software(written.text)


def test_the_example_is_accepted_with_the_verdict_that_is_shown(tmp_path):
    path = tmp_path / "out.json"
    path.write_text(block("json"))
    assert check.prove(*check.read(str(path))) + "\n" == block("text")


def test_the_sums_are_right():
    exec(compile(block("python"), "docs/certificate.md", "exec"), {})


def test_the_table_names_every_key():
    keys = {key for row in re.findall(r"^\| (`.*?) \|", DOCUMENT, re.MULTILINE) for key in re.findall(r"`(\w+)`", row)}
    assert keys == set(check.CERTIFICATE) == set(json.loads(block("json")))


def test_the_limits_are_the_checkers():
    assert f"{check.MAX_BYTES // 2**20} MiB, {check.MAX_PARAMETERS:,} parameters" in DOCUMENT
    assert f"degree up to {check.MAX_DEGREE:,}, numbers of the point and the samples up to 10^6" in DOCUMENT
    assert check.MAX_ENTRY == check.MAX_TERMS == 10**6
    assert f"{check.MAX_SECONDS // 60} minutes" in DOCUMENT
    assert f"random integers of {check.RANDOM_BITS} bits" in DOCUMENT


def test_words_mean_what_the_table_says():
    """``[i, j]`` is the bracket [X_j, X_i]: the other order gives minus that."""
    model, _, given = check.interpret(document("linear 2-2-2"))
    one, other = (check.bracket(model, word, given["point"], given["samples"]) for word in ([4, 5], [5, 4]))
    assert any(one)
    assert one == [-entry for entry in other]
    along, across = (moved(model, given, field, by) for field, by in ((4, 5), (5, 4)))
    assert one == [a - b for a, b in zip(along, across, strict=True)]


def moved(model, given, field, by):
    """The derivative of one field along another."""
    along = model.gradient(given["point"], given["samples"][by])
    duals = list(map(check.Dual, given["point"], along))
    return [entry.slope for entry in model.gradient(duals, given["samples"][field])]


def test_leaky_for_relu_is_true_as_the_page_says():
    forged = sealed(document("relu 2-3-2") | {"model": document("relu 2-3-2")["model"] | {"activation": "leaky"}})
    assert verdict(forged).startswith("PROVED")


def test_the_page_names_every_function_and_the_limits_of_programs():
    modules = DOCUMENT[DOCUMENT.index("## Modules") :]
    for name in (*check_program.EQUATIONS, "sum", "dot", "number", "generic"):
        assert f"`{name}`" in modules or f'`["{name}", ' in modules
    assert f"{check_program.MAX_TERMS:,} terms" in modules
    assert "2^4423 - 1" in modules
    assert check_program.LARGE_PRIME == 2**4423 - 1
    assert f"{LONGEST:,} operands" in modules


def test_the_small_program_is_what_the_page_says():
    module = nn.Sequential(nn.Linear(1, 1, bias=False), nn.Linear(1, 1, bias=False), nn.Tanh())
    steps = unroll(from_module(module, torch.zeros(1)))["steps"]
    assert steps == [["dot", 0, 2], ["dot", 1, 4], ["tanh", 5], ["dot", 3, 6]]
    for number, step in enumerate(steps, 4):
        assert f"{number} `{json.dumps(step)}`" in DOCUMENT
