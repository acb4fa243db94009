"""``gradlaws balance``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, cast

import torch
import typer
from torch import Tensor, nn

from gradlaws.commands.asked import Quiet, Seed
from gradlaws.commands.terminal import courteous, progress, show
from gradlaws.errors import InputError
from gradlaws.models.load import load_factory
from gradlaws.models.weights import in_precision, read_weights, writable_weights, write_weights
from gradlaws.symmetry.balance import balance_
from gradlaws.symmetry.shift import Loss


def balance(
    weights: Annotated[Path, typer.Argument(metavar="IN.safetensors", help="The weights; they are left as they are.")],
    output: Annotated[Path, typer.Argument(metavar="OUT.safetensors", help="Where the balanced weights go.")],
    model: Annotated[
        str,
        typer.Option(
            metavar="FILE.py:FACTORY", help="A function that returns (module, example_inputs); this runs the file."
        ),
    ],
    loss: Annotated[
        str, typer.Option(help="any, or cross_entropy: logits may all move by the same, the softmax stays as it is.")
    ] = "any",
    force: Annotated[bool, typer.Option("--force", help="Replace OUT if it is there.")] = False,
    seed: Seed = 0,
    quiet: Quiet = False,
) -> None:
    """Write the weights of least norm that compute the same function; IN is left as it is."""
    with courteous():
        target = writable_weights(output, replace=force, source=weights)
        module, example_inputs = load_factory(model)
        tensors, metadata = read_weights(weights)
        example_inputs = _load(module, example_inputs, tensors, weights)
        with progress(quiet) as listener:
            result = balance_(
                module,
                example_inputs,
                loss=cast(Loss, loss),
                seed=seed,
                tolerance=_tolerance(module),
                on_progress=listener,
            )
        changed = module.state_dict()
        write_weights(target, {name: changed[name] for name in tensors}, metadata)
        if not quiet:
            show(f"{result}\nwrote {output}")


def _load(module: nn.Module, example_inputs: Any, tensors: dict[str, Tensor], path: Path) -> Any:
    """Put the tensors of a file into a module, which takes their precision, as the example inputs do.

    Raises:
        InputError: names or shapes do not fit.
    """
    own: dict[str, Any] = module.state_dict()
    needed = {name for name, _ in module.named_parameters()}
    for name in (*needed, *tensors):
        if name not in tensors:
            raise InputError(f"{path} lacks the parameter {name!r} of {type(module).__name__}")
        if name not in own:
            raise InputError(f"{path} has the tensor {name!r}, which {type(module).__name__} does not know")
        if own[name].shape != tensors[name].shape:
            raise InputError(
                f"{name} has shape {tuple(tensors[name].shape)} in {path}: {type(module).__name__} expects "
                f"{tuple(own[name].shape)}"
            )
    fitting = in_precision(module, example_inputs, {tensors[name].dtype for name in needed})
    module.load_state_dict(tensors, strict=False)
    return fitting


def _tolerance(module: nn.Module) -> float:
    return 1e-9 if all(p.dtype == torch.float64 for p in module.parameters()) else 1e-6
