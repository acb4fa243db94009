"""``gradlaws compress``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from torch import Tensor, nn

from gradlaws.commands.asked import AsJson, Quiet
from gradlaws.commands.terminal import courteous, progress, show
from gradlaws.errors import InputError
from gradlaws.models.chain import ORDINARY, chain_of
from gradlaws.models.load import load_factory
from gradlaws.models.radial import PROFILES
from gradlaws.models.weights import in_precision, read_weights, writable_weights, write_weights
from gradlaws.symmetry.compress import compress as compressed
from gradlaws.symmetry.compression import Compression

_ACTIVATION = "gradlaws.activation"


def compress(
    weights: Annotated[Path, typer.Argument(metavar="IN.safetensors", help="The weights to compress.")],
    output: Annotated[Path, typer.Argument(metavar="OUT.safetensors", help="Where the smaller network goes.")],
    activation: Annotated[
        str | None,
        typer.Option(
            help=f"Of a fully connected network: {', '.join(ORDINARY)}, or radial:NAME[:SHIFT] with NAME one of "
            f"{', '.join(PROFILES)}. Where IN was written by this command, it is known."
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            metavar="FILE.py:FACTORY",
            help="Any other network: a function that returns (module, example_inputs); this runs the file.",
        ),
    ] = None,
    reveal_rank: Annotated[
        bool, typer.Option("--reveal-rank", help="Of a radial network, keep numerical ranks where they are smaller.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace OUT if it is there.")] = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Write a smaller network with the same outputs; IN is left as it is."""
    with courteous():
        target = writable_weights(output, replace=force, source=weights)
        tensors, metadata = read_weights(weights)
        named = activation or (None if model else metadata.get(_ACTIVATION))
        with progress(quiet or as_json) as listener:
            if listener:
                listener("compressing", 0.0)
            found, smaller = _compressed(tensors, named, model, reveal_rank)
        write_weights(target, smaller, metadata | ({_ACTIVATION: named} if named else {}))
        if as_json:
            show(json.dumps({"weights": str(weights), "output": str(output), **_plain(found)}, indent=2))
        elif not quiet:
            show(f"{found}\nwrote {output}")


def _compressed(
    tensors: dict[str, Tensor], activation: str | None, model: str | None, reveal_rank: bool
) -> tuple[Compression, dict[str, Tensor]]:
    """What is found, and its tensors under the names of the file."""
    if (activation is None) == (model is None):
        raise InputError("expected either --activation, for a fully connected network, or --model FILE.py:FACTORY")
    if activation is not None:
        chain = chain_of(tensors, activation)
        found = compressed(chain.module, reveal_rank=reveal_rank)
        return found, chain.named_as_given(found.module)
    assert model is not None
    module, example_inputs = load_factory(model)
    kinds = {x.dtype for x in tensors.values() if x.is_floating_point()}
    example_inputs = in_precision(module, example_inputs, kinds)
    _load(module, tensors)
    found = compressed(module, _only(example_inputs), reveal_rank=reveal_rank)
    return found, found.module.state_dict()


def _load(module: nn.Module, tensors: dict[str, Tensor]) -> None:
    """Put the tensors into the module; all of them, and nothing else."""
    try:
        module.load_state_dict(tensors)
    except RuntimeError as error:
        lines = " ".join(line.strip() for line in str(error).splitlines()[1:3])
        raise InputError(f"the weights do not fit the module: {lines} expected the tensors of its state dict") from None


def _only(example_inputs: Any) -> Any:
    """The one input that a Sequential takes."""
    one = isinstance(example_inputs, tuple | list) and len(example_inputs) == 1
    return example_inputs[0] if one else example_inputs


def _plain(found: Compression) -> dict[str, Any]:
    return {
        "before": dict(found.before),
        "after": dict(found.after),
        "parameters": list(found.parameters),
        "largest_difference": found.error,
        "largest_output": found.scale,
        "notes": list(found.notes),
    }
