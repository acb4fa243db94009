"""What a command is asked about: its MODEL argument and the options that several commands share."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from gradlaws.errors import InputError
from gradlaws.exact.field import DEFAULT_PRIMES
from gradlaws.flows.toml import is_fields_file, read_fields_file
from gradlaws.models.load import is_factory, load_factory
from gradlaws.models.spec import read_spec

Spec = Annotated[
    str,
    typer.Argument(
        metavar="MODEL",
        help="linear|relu|leaky|square a-b-...-z [bias], input width first; or FILE.py:FACTORY, a function that "
        "returns (module, example_inputs): this runs the file; or FILE.toml with vector fields or potentials.",
    ),
]
OutputBias = Annotated[bool, typer.Option("--output-bias", help="Put a bias on the output layer too.")]
Seed = Annotated[int, typer.Option(help="Seed of every random choice.")]
Primes = Annotated[str, typer.Option(help="Moduli, separated by commas.")]
Loss = Annotated[str, typer.Option(help="For a module: any, mse, bce or cross_entropy.")]
Eps = Annotated[str, typer.Option(help="For a module: generic keeps the epsilons of normalisations, zero drops them.")]
Part = Annotated[str | None, typer.Option("--parameters", help="For a module: only what is under this prefix moves.")]
At = Annotated[str, typer.Option(help="For a module: generic, or weights for its activation patterns as they are.")]
Engine = Annotated[str, typer.Option(help="For a module: exact, numeric (float64, proves nothing) or both.")]
Flow = Annotated[
    str,
    typer.Option(
        metavar="FLOW",
        help="How MODEL is trained: gradient, rates:W1=1/10, mirror:entropy, decay:lambda=1/100, natural, sign, "
        "momentum:tau=1/2, nesterov:k=3, momentum:mirror:entropy (docs/flows.md).",
    ),
]
Device = Annotated[str, typer.Option(help="Torch device of the arithmetic: cpu or cuda.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON (docs/json.md).")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print the answer only: no evidence, no progress bar.")]
PRIMES = ",".join(map(str, DEFAULT_PRIMES[:2]))


_DEFAULTS = {"loss": "any", "eps": "generic", "parameters": None, "at": "generic"}


@dataclass(frozen=True, eq=False, slots=True)
class Asked:
    """What a command is about: arguments and options of `gradlaws.count` and `gradlaws.laws`."""

    name: str
    model: tuple[Any, ...]
    options: dict[str, Any]


def read(text: str, output_bias: bool, options: dict[str, Any]) -> Asked:
    """A network from its spec, or the module that a factory makes.

    Raises:
        InputError: it cannot be read, or an option is given that goes with a module only.
    """
    if not is_factory(text):
        for name, value in options.items():
            if value != _DEFAULTS[name]:
                raise InputError(f"--{name} {value} goes with a module only: give FILE.py:FACTORY, or leave it out")
    if is_fields_file(text):
        fields = read_fields_file(Path(text))
        return Asked(text, (fields,), {})
    if is_factory(text):
        module, example_inputs = load_factory(text)
        return Asked(type(module).__name__, (module, example_inputs), options)
    family = read_spec(text + " output-bias" if output_bias else text)
    return Asked(family.name, (family,), {})


def read_primes(text: str) -> list[int]:
    """The moduli that ``--primes`` names."""
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isascii() and part.isdigit() and len(part) < 30 for part in parts):
        raise InputError(f"cannot read --primes {text!r}: expected whole numbers separated by commas, such as {PRIMES}")
    return [int(part) for part in parts]
