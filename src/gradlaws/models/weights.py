"""Weights in safetensors files: tensors by name, read without running anything, written at once or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Collection, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from gradlaws.errors import InputError

_SUFFIX = ".safetensors"


def read_weights(path: str | Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors and metadata of a safetensors file.

    Raises:
        InputError: there is no such file, or it is of another kind; pickles are never opened.
    """
    if not Path(path).is_file():
        raise InputError(f"no file {str(path)!r}: expected weights in a {_SUFFIX} file")
    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, dict(file.metadata() or {})  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise InputError(
            f"{str(path)!r} is not a safetensors file ({error}): pickles are not opened; write one from a state dict "
            "with safetensors.torch.save_file"
        ) from None


def writable_weights(path: str | Path, *, source: Path, replace: bool = False) -> Path:
    """Where weights that come from `source` are to be written, links followed.

    Raises:
        InputError: there is no such folder, the name has another ending, or what is there must stay.
    """
    target = Path(path).resolve()
    if target.suffix != _SUFFIX or not target.parent.is_dir() or (target.exists() and not target.is_file()):
        raise InputError(f"cannot write weights to {str(path)!r}: expected NAME{_SUFFIX} in a folder that exists")
    if target.exists() and not replace:
        raise InputError(f"{str(path)!r} exists: choose another name, or say that it may be replaced")
    if target == source.resolve():
        raise InputError(f"{str(path)!r} is the input: expected another name")
    return target


def in_precision(module: nn.Module, example_inputs: Any, kinds: Collection[torch.dtype]) -> Any:
    """Give a module, in place, and its example inputs the precision of the weights, where that is a single one.

    Returns:
        The example inputs.
    """
    if len(kinds) != 1:
        return example_inputs
    (kind,) = kinds
    module.to(kind)
    return pytree.tree_map(
        lambda x: x.to(kind) if isinstance(x, Tensor) and x.is_floating_point() else x, example_inputs
    )


def write_weights(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Write a temporary file beside the target, then put it in its place in one step.

    Raises:
        InputError: the folder cannot be written to.
    """
    temporary = ""
    try:
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
        os.close(handle)
        plain = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
        save_file(plain, temporary, dict(metadata))
        with open(temporary, "rb") as file:
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)  # mkstemp makes files private
        os.replace(temporary, path)
    except (OSError, SafetensorError) as error:
        raise InputError(f"cannot write {str(path)!r}: {error}") from None
    finally:
        if temporary:
            with suppress(OSError):
                os.unlink(temporary)
