"""``gradlaws components``."""

from __future__ import annotations

import dataclasses
import json
from typing import Annotated

import typer

from gradlaws.commands.asked import AsJson
from gradlaws.commands.terminal import courteous, show
from gradlaws.geometry.components import components as components_of
from gradlaws.models.load import load_factory


def components(
    model: Annotated[
        str,
        typer.Argument(
            metavar="FILE.py:FACTORY", help="A function that returns (module, example_inputs); this runs the file."
        ),
    ],
    as_json: AsJson = False,
) -> None:
    """Where gradient flow can get from the weights of a ReLU network: components, Betti numbers, frozen signs."""
    with courteous():
        found = components_of(load_factory(model)[0])
        facts = {
            "count": found.count,
            "betti": found.betti,
            "holes": dataclasses.asdict(found.holes) | {"status": found.holes.status.value},
            "obstructed": found.obstructed,
            "warning": found.warning,
        }
        show(json.dumps(dataclasses.asdict(found) | facts, indent=2) if as_json else str(found))
