"""``gradlaws count`` and ``gradlaws laws``."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from gradlaws.commands.asked import (
    PRIMES,
    AsJson,
    Asked,
    At,
    Device,
    Engine,
    Eps,
    Flow,
    Loss,
    OutputBias,
    Part,
    Primes,
    Quiet,
    Seed,
    Spec,
    read,
    read_primes,
)
from gradlaws.commands.terminal import courteous, leave, progress, show
from gradlaws.errors import InputError
from gradlaws.laws.answer import count as count_of
from gradlaws.laws.answer import laws as laws_of
from gradlaws.laws.certificate import certify, writable
from gradlaws.laws.result import Answer
from gradlaws.report.json import answer_to_json, count_to_json
from gradlaws.report.text import answer_latex, answer_text, count_text


def count(
    model: Spec,
    output_bias: OutputBias = False,
    loss: Loss = "any",
    eps: Eps = "generic",
    parameters: Part = None,
    at: At = "generic",
    engine: Engine = "exact",
    flow: Flow = "gradient",
    seed: Seed = 0,
    primes: Primes = PRIMES,
    device: Device = "cpu",
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """How many independent conservation laws the training of MODEL has."""
    with courteous():
        asked = read(model, output_bias, {"loss": loss, "eps": eps, "parameters": parameters, "at": at})
        with progress(quiet or as_json) as listener:
            result = count_of(
                *asked.model,
                **asked.options,
                engine=engine,
                flow=flow,
                seed=seed,
                primes=read_primes(primes),
                device=device,
                on_progress=listener,
            )
        if as_json:
            show(json.dumps({"model": asked.name, **count_to_json(result)}, indent=2))
        else:
            show(str(result) if quiet else count_text(asked.name, result))
        leave(result)


def laws(
    model: Spec,
    degree: Annotated[
        int | None, typer.Option(help="Search all polynomials up to this degree, written out term by term.")
    ] = None,
    output_bias: OutputBias = False,
    loss: Loss = "any",
    eps: Eps = "generic",
    parameters: Part = None,
    at: At = "generic",
    engine: Engine = "exact",
    flow: Flow = "gradient",
    seed: Seed = 0,
    primes: Primes = PRIMES,
    device: Device = "cpu",
    as_json: AsJson = False,
    latex: Annotated[bool, typer.Option("--latex", help="Print the laws as LaTeX.")] = False,
    explained: Annotated[bool, typer.Option("--explain", help="Say for each law which symmetry is behind it.")] = False,
    lower_only: Annotated[bool, typer.Option("--lower-only", help="List the laws, do not ask for others.")] = False,
    quiet: Quiet = False,
    certificate: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write a proof that `gradlaws check` verifies on its own.")
    ] = None,
) -> None:
    """The conservation laws of the training of MODEL, and whether there are any others."""
    with courteous():
        if certificate:
            writable(certificate)  # refuse at once what would fail after all the work
        asked = read(model, output_bias, {"loss": loss, "eps": eps, "parameters": parameters, "at": at})
        with progress(quiet or as_json) as listener:
            answer = laws_of(
                *asked.model,
                **asked.options,
                engine=engine,
                flow=flow,
                degree=degree,
                lower_only=lower_only,
                seed=seed,
                primes=read_primes(primes),
                device=device,
                on_progress=listener,
            )
        show(_shown(answer, as_json, latex, quiet, explained))
        if certificate:
            _certify(asked, answer, certificate)
        leave(answer.count)


def _shown(answer: Answer, as_json: bool, latex: bool, quiet: bool, explained: bool) -> str:
    if as_json:
        return json.dumps(answer_to_json(answer), indent=2)
    if latex:
        return answer_latex(answer)
    return "\n".join(law.text for law in answer.laws) if quiet else answer_text(answer, explained=explained)


def _certify(asked: Asked, answer: Answer, path: Path) -> None:
    """Write the certificate; where the bounds do not meet, say so and leave the exit status to them."""
    model, *example_inputs = asked.model
    try:
        written = certify(model, answer, *example_inputs, **asked.options)
    except InputError as error:
        if answer.complete:
            raise
        sys.stderr.write(f"gradlaws: {error}\n")
        return
    written.save(path)
    sys.stderr.write(f"gradlaws: wrote {path}, {written}\n")
