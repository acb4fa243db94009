"""The command line: every command, exit statuses, and one sentence for every bad request."""

import json
import os
import pty
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest
from typer.testing import CliRunner

import gradlaws as gl
from gradlaws.cli import app
from gradlaws.laws import closure
from gradlaws.report.json import answer_to_json, count_to_json

ANSWERED, BAD_REQUEST, UNDECIDED, INTERRUPTED = 0, 2, 3, 130
LARGE = "relu 50-100-50"  # minutes of work, cut short


def gradlaws(*arguments):
    return CliRunner().invoke(app, arguments)


def without_seconds(document):
    """Wall time is the one field that may differ."""
    return document | {"evidence": {k: v for k, v in document["evidence"].items() if k != "seconds"}}


def as_json(document):
    return without_seconds(json.loads(json.dumps(document)))


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (["count", "relu 2-5-3"], ANSWERED, "relu 2-5-3: 5 PROVED conservation laws"),
        (["laws", "linear 2-3-3-2"], ANSWERED, "W1 W1^T - W2^T W2    symmetric matrix, 6 laws"),
        (["laws", "relu 4-6-2 bias", "--latex"], ANSWERED, r"\|W_{1}[k,:]\|^2 + b_{1}[k]^2 - \|W_{2}[:,k]\|^2"),
        (["laws", "square 3-4-2 bias", "--output-bias"], ANSWERED, "|W1[k,:]|^2 + b1[k]^2 - 2 |W2[:,k]|^2"),
        (["laws", "linear 2-2-2", "--degree", "4"], ANSWERED, "form a space of dimension 9, with 3 independent"),
        (["laws", "linear 1-2-2-1"], UNDECIDED, "6 to 7 BOUNDED(6, 7) conservation laws"),
        (["count", "linear 1-2-2-1"], UNDECIDED, "keeps non-polynomial laws"),
        (["count", "relu 2-5-3", "--seed", "7"], ANSWERED, "seed            7"),
        (["count", "relu 2-5-3", "--primes", "1031, 1048573"], ANSWERED, "primes          1031, 1048573"),
        (["count", "relu 2-5-3", "--device", "cpu"], ANSWERED, "5 PROVED"),
    ],
)
def test_answers_and_exit_statuses(arguments, status, words):
    result = gradlaws(*arguments)
    assert result.exit_code == status
    assert words in result.stdout
    assert result.stderr == ""


def test_the_output_bias_is_part_of_the_model():
    assert gradlaws("count", "relu 2-5-3", "--output-bias").stdout.startswith("relu 2-5-3 output-bias: 5 PROVED")


def test_quiet_prints_the_answer_only():
    assert gradlaws("count", "relu 2-5-3", "--quiet").stdout == "5 PROVED\n"
    assert gradlaws("laws", "relu 2-5-3", "-q").stdout == "|W1[k,:]|^2 - |W2[:,k]|^2\n"


def test_a_certificate_is_written_and_checked(tmp_path):
    path = tmp_path / "out.json"
    result = gradlaws("laws", "relu 2-5-3", "--json", "--certificate", str(path))
    assert result.exit_code == ANSWERED
    assert json.loads(result.stdout)["model"] == "relu 2-5-3"
    assert f"gradlaws: wrote {path}, certificate of 5 laws in 25 parameters, sha256:" in result.stderr
    checked = gradlaws("check", str(path))
    assert checked.exit_code == ANSWERED
    assert checked.stdout.startswith("PROVED: the number of independent conservation laws of gradient flow on the relu")


def test_a_certificate_that_fails_has_status_one(tmp_path):
    path = tmp_path / "out.json"
    gradlaws("laws", "relu 2-5-3", "--certificate", str(path))
    path.write_text(path.read_text().replace('"-1"', '"-2"', 1))
    checked = gradlaws("check", str(path))
    assert (checked.exit_code, checked.stderr) == (1, "")
    assert (
        checked.stdout
        == "NOT PROVED: the hash does not belong to this certificate: it was altered after it was written\n"
    )


@pytest.mark.parametrize("content", [b"", b"\xff", b"[]", b"{}"])
def test_what_is_no_certificate_has_status_two(tmp_path, content):
    path = tmp_path / "out.json"
    path.write_bytes(content)
    for given in (path, tmp_path, tmp_path / "none"):
        checked = gradlaws("check", str(given))
        assert (checked.exit_code, checked.stdout, checked.stderr.count("\n")) == (BAD_REQUEST, "", 1)
        assert checked.stderr.startswith("check: ")


def test_an_open_question_is_answered_without_a_certificate(tmp_path):
    path = tmp_path / "out.json"
    result = gradlaws("laws", "linear 1-2-2-1", "--certificate", str(path))
    assert result.exit_code == UNDECIDED
    assert "BOUNDED(6, 7)" in result.stdout
    assert "gradlaws: no certificate of linear 1-2-2-1: the bounds 6 and 7 do not meet" in result.stderr
    assert not path.exists()


def test_a_module_gets_a_certificate(tmp_path):
    path, file = tmp_path / "out.json", tmp_path / "one.py"
    file.write_text(
        "import torch\nfrom torch.nn import LayerNorm, Linear, Sequential\n"
        "def make():\n    return Sequential(LayerNorm(3), Linear(3, 2)), torch.zeros(1, 3)\n"
    )
    result = gradlaws("laws", f"{file}:make", "--certificate", str(path), "--loss", "cross_entropy")
    assert result.exit_code == ANSWERED
    assert f"gradlaws: wrote {path}, certificate of 7 laws in 14 parameters, sha256:" in result.stderr
    checked = gradlaws("check", str(path))
    assert (checked.exit_code, checked.stdout[:8]) == (ANSWERED, "CERTAIN(")


def test_a_module_is_answered_and_told_why_it_gets_no_certificate(tmp_path):
    path, file = tmp_path / "out.json", tmp_path / "one.py"
    file.write_text(
        "import torch\nfrom torch.nn import Linear\n"
        "class Routed(Linear):\n    def forward(self, x):\n        return super().forward(x).topk(1).values\n"
        "def make():\n    return Routed(2, 2), torch.zeros(2)\n"
    )
    result = gradlaws("laws", f"{file}:make", "--certificate", str(path))
    assert "0 PROVED conservation laws" in result.stdout
    assert result.exit_code == BAD_REQUEST
    assert "gradlaws: no certificate of Routed: a certificate cannot hold a discrete choice" in result.stderr


def test_a_certificate_that_cannot_be_written_is_refused_before_the_work(tmp_path):
    for path in (tmp_path, tmp_path / "none" / "out.json"):
        result = gradlaws("laws", "relu 50-100-50", "--certificate", str(path))
        assert (result.exit_code, result.stdout) == (BAD_REQUEST, "")
        assert "expected a file in a folder that exists" in result.stderr


def test_nothing_is_wrapped_on_a_narrow_terminal(monkeypatch):
    monkeypatch.setenv("COLUMNS", "20")
    assert "for every data set and loss:" in gradlaws("laws", "relu 2-5-3").stdout.splitlines()[0]


@pytest.mark.parametrize(("spec", "status"), [("linear 20-20-20", ANSWERED), ("linear 1-2-2-1", UNDECIDED)])
def test_count_as_json(spec, status):
    result = gradlaws("count", spec, "--json")
    assert result.exit_code == status
    expected = {"model": spec, **count_to_json(gl.count(spec))}
    assert without_seconds(json.loads(result.stdout)) == as_json(expected)


@pytest.mark.parametrize(("spec", "status"), [("relu 2-5-3 bias", ANSWERED), ("linear 1-2-2-1", UNDECIDED)])
def test_laws_as_json(spec, status):
    result = gradlaws("laws", spec, "--json")
    assert result.exit_code == status
    assert without_seconds(json.loads(result.stdout)) == as_json(answer_to_json(gl.laws(spec)))


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["count", "tanh 2-5-3"], "unknown kind 'tanh': expected one of linear, relu, leaky, square"),
        (["count", "relu 2-0-3"], "width 0 in '2-0-3' is not positive"),
        (["count", "relu 2--5-3"], "width -5 in '2--5-3' is not positive"),
        (["laws", "relu 5"], "'5' has one width only"),
        (["laws", "relu 2-2.5-3"], "width '2.5' in '2-2.5-3' is not a whole number"),
        (["laws", "relu 2-5-3 biased"], "unknown option 'biased'"),
        (["count", ""], "cannot read the network ''"),
        (["laws", "relu 2-5-3", "--degree", "0"], "degree 0 is too small"),
        (["laws", "relu 2-5-3", "--degree", "-2"], "degree -2 is too small"),
        (["laws", "relu 20-50-30", "--degree", "6"], "lower --degree, or use the structured laws"),
        (["count", "relu 2-5-3", "--primes", "1048575"], "modulus 1048575 is composite: expected a prime"),
        (["count", "relu 2-5-3", "--primes", "2147483647"], "prime 2147483647 is out of range"),
        (["count", "relu 2-5-3", "--primes", "7"], "prime 7 is out of range"),
        (["count", "relu 2-5-3", "--primes", ""], "cannot read --primes ''"),
        (["count", "relu 2-5-3", "--primes", "1048573;1031"], "cannot read --primes '1048573;1031'"),
        (["count", "relu 2-5-3", "--seed", "-1"], "seed -1 is out of range"),
        (["laws", "relu 1000000-1000000-10"], "GiB for a few exact gradients: use narrower layers"),
        (["count", "relu 1000000-1000000-10"], "GiB and this machine has"),
    ],
)
def test_bad_requests_get_one_sentence(arguments, sentence):
    result = gradlaws(*arguments)
    assert result.exit_code == BAD_REQUEST
    assert result.stdout == ""
    assert result.stderr.startswith("gradlaws: ")
    assert result.stderr.count("\n") == 1
    assert sentence in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["count"],
        ["prove", "relu 2-5-3"],
        ["laws", "relu 2-5-3", "--degree", "two"],
        ["count", "relu 2-5-3", "--seed", "x"],
        ["count", "relu 2-5-3", "--colour"],
        ["count", "relu", "2-5-3"],
    ],
)
def test_requests_that_the_parser_refuses(arguments):
    result = gradlaws(*arguments)
    assert result.exit_code == BAD_REQUEST
    assert "Traceback" not in result.output
    assert result.stdout == ""


def test_a_size_that_cannot_fit_comes_with_the_estimate(monkeypatch):
    monkeypatch.setattr(closure, "memory_total", lambda: 2**30)
    result = gradlaws("count", "relu 784-512-512-10")
    assert result.exit_code == BAD_REQUEST
    assert "counting all laws of 668672 parameters needs about 9994.0 GiB and this machine has 1.0 GiB" in result.stderr


def test_help_names_the_commands_and_the_exit_statuses():
    text = gradlaws("--help").stdout
    assert "count" in text
    assert "laws" in text
    assert "compress" in text
    assert "0 answered, 2 bad request, 3 the bounds do not meet" in text


def test_the_installed_command_is_this_one():
    run = subprocess.run(
        [sys.executable, "-c", "from gradlaws.cli import main; main()", "count", "relu 2-5-3", "-q"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (run.returncode, run.stdout, run.stderr) == (ANSWERED, "5 PROVED\n", "")


# says when the work has begun, so that the interruption does not meet the imports; past the progress bar, which
# redirects print
ANNOUNCED = """
import os
import signal
import gradlaws.cli as cli
import gradlaws.commands.laws as commands
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell ignores it for what it starts in the background
inner = commands.count_of
def announced(*arguments, **options):
    os.write(1, b"begun\\n")
    return inner(*arguments, **options)
commands.count_of = announced
cli.main()
"""


def interrupt(stderr):
    """Start a long count, interrupt it; the exit status."""
    command = [sys.executable, "-c", ANNOUNCED, "count", LARGE]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=stderr, text=True) as process:
        assert process.stdout.readline() == "begun\n"
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        assert process.stdout.read() == ""
        return process.wait(timeout=60)


def read_all(terminal):
    """What was written to a terminal whose other end is closed; Linux ends it with an error."""
    chunks = []
    with suppress(OSError):
        while chunk := os.read(terminal, 4096):
            chunks.append(chunk)
    os.close(terminal)
    return b"".join(chunks).decode()


def test_an_interruption_leaves_one_line(tmp_path):
    with (tmp_path / "stderr").open("w") as stderr:
        assert interrupt(stderr) == INTERRUPTED
    assert (tmp_path / "stderr").read_text() == "gradlaws: interrupted\n"


def test_an_interruption_leaves_the_terminal_clean():
    terminal, stderr = pty.openpty()
    with ThreadPoolExecutor(1) as pool:  # a terminal that nobody reads is full after 4 KiB of progress bar
        reading = pool.submit(read_all, terminal)
        status = interrupt(stderr)
        os.close(stderr)
        shown = reading.result()
    assert status == INTERRUPTED
    assert shown.endswith("gradlaws: interrupted\r\n")
    assert "Traceback" not in shown
    # the progress bar hides the cursor; it must come back
    assert shown.count("\x1b[?25l") == shown.count("\x1b[?25h") == 1


FACTORY = """
import torch
from torch import nn

def make():
    net = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 2))
    nn.init.constant_(net[0].bias, -100.0)
    return net, torch.zeros(1, 2)
"""


@pytest.fixture(name="factory")
def fixture_factory(tmp_path):
    (tmp_path / "net.py").write_text(FACTORY)
    return f"{tmp_path / 'net.py'}:make"


def test_a_module_is_answered_at_its_weights(factory):
    result = CliRunner().invoke(app, ["count", factory, "--at", "weights", "--quiet"])
    assert (result.exit_code, result.stdout.split()[0]) == (ANSWERED, "15")


def test_both_engines_and_explanations_are_printed(factory):
    result = CliRunner().invoke(app, ["laws", factory, "--engine", "both", "--explain"])
    assert result.exit_code == ANSWERED
    assert "because scaling 0.weight, 0.bias by s > 0 is undone by 1/s on 2.weight" in result.stdout
    assert "the float64 engine agrees: 3 laws" in result.stdout


def test_lower_only_is_undecided(factory):
    result = CliRunner().invoke(app, ["laws", factory, "--lower-only", "--quiet"])
    assert (result.exit_code, result.stdout) == (UNDECIDED, "|0.weight[k,:]|^2 + 0.bias[k]^2 - |2.weight[:,k]|^2\n")


def test_the_float64_engine_refuses_a_spec():
    result = CliRunner().invoke(app, ["count", "relu 2-3-2", "--engine", "numeric"])
    assert result.exit_code == BAD_REQUEST
    assert result.stderr.startswith("gradlaws: the float64 engine runs torch modules")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["laws", "linear 2-2-2", "--flow", "nesterov"], "Conserved by Nesterov's flow with tau = 3/t, for every data"),
        (["laws", "linear 3-3-3", "--flow", "nesterov"], "W2'^T W2)    antisymmetric matrix, 3 laws"),
        (["count", "relu 2-2-2", "--flow", "momentum", "--quiet"], "0 PROVED\n"),
        (
            ["laws", "linear 1-2-1", "--flow", "mirror:entropy", "--explain"],
            "because the metric of the mirror map turns",
        ),
        (["laws", "linear 2-2-2", "--flow", "decay"], "exp(t)^2 (W1 W1^T - W2^T W2)    symmetric matrix, 3 laws"),
        (["laws", "linear 2-2-1", "--flow", "sign", "--json"], '"kind": "sign"'),
        (["laws", "linear 2-2-2", "--flow", "natural", "--latex"], "W_{1} W_{1}^\\top"),
        (["laws", "linear 2-2-2", "--flow", "momentum", "--explain"], "a rotation that acts on W1, W2 at once changes"),
    ],
    ids=str,
)
def test_other_flows(arguments, words):
    result = gradlaws(*arguments)
    assert result.exit_code == ANSWERED
    assert words in result.stdout


@pytest.mark.parametrize("flow", ["adam", "mirror:entropy:W9", "momentum:tau=x"])
def test_a_bad_flow_gets_one_sentence(flow):
    result = gradlaws("laws", "linear 2-2-2", "--flow", flow)
    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (BAD_REQUEST, "", 1)


def test_a_file_of_vector_fields(tmp_path):
    path = tmp_path / "prey.toml"
    path.write_text('variables = ["x", "y"]\nfields = [["x*(2/3 - 4/3*y)", "y*(x - 1)"]]\n')
    result = gradlaws("laws", str(path), "--quiet")
    assert (result.exit_code, result.stdout) == (ANSWERED, "3 x + 4 y - 3 log x - 2 log y\n")
    path.write_text('variables = ["x"]\nfields = [["exp(x)"]]\n')
    result = gradlaws("count", str(path))
    assert result.exit_code == BAD_REQUEST
    assert "prey.toml, line 2: exp(...) in 'exp(x)' is not rational" in result.stderr


@pytest.mark.parametrize("command", ["count", "laws", "symmetries"])
@pytest.mark.parametrize(("option", "value"), [("--loss", "cross_entropy"), ("--eps", "zero"), ("--at", "weights")])
def test_options_of_modules_are_refused_with_a_spec(command, option, value):
    result = CliRunner().invoke(app, [command, "relu 2-3-2", option, value])
    assert result.exit_code == 2
    assert f"{option} {value} goes with a module only: give FILE.py:FACTORY, or leave it out" in result.stderr
