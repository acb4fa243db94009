"""``gradlaws symmetries``."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from gradlaws.commands.asked import PRIMES, AsJson, At, Eps, Loss, OutputBias, Part, Primes, Quiet, Seed, Spec, read
from gradlaws.commands.asked import read_primes as primes_of
from gradlaws.commands.terminal import courteous, leave, progress, show
from gradlaws.report.symmetries import symmetries_text, symmetries_to_json
from gradlaws.symmetry.symmetries import symmetries as symmetries_of


def symmetries(
    model: Spec,
    output_bias: OutputBias = False,
    loss: Loss = "any",
    eps: Eps = "generic",
    parameters: Part = None,
    at: At = "generic",
    seed: Seed = 0,
    primes: Primes = PRIMES,
    generators: Annotated[bool, typer.Option("--generators", help="Write out every generator.")] = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """The linear transformations of the parameters of MODEL that change nothing, and the group that they form."""
    with courteous():
        asked = read(model, output_bias, {"loss": loss, "eps": eps, "parameters": parameters, "at": at})
        with progress(quiet or as_json) as listener:
            found = symmetries_of(
                *asked.model, **asked.options, seed=seed, primes=primes_of(primes), on_progress=listener
            )
        if as_json:
            show(json.dumps(symmetries_to_json(found), indent=2))
        else:
            show(str(found) if quiet else symmetries_text(found, generators=generators))
        leave(found.count)
