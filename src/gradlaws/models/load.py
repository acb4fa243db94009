"""Gets a module and its example inputs from ``file.py:factory``. This runs the file; nothing is ever unpickled."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from torch import nn

from gradlaws.errors import InputError


def is_factory(text: str) -> bool:
    """Whether a request names a factory rather than a spec."""
    return ".py:" in text


def load_factory(text: str) -> tuple[nn.Module, Any]:
    """Call ``factory()`` of ``file.py``; it returns a module and the example inputs of its forward.

    Raises:
        InputError: this is no factory, or the file or the function is not there, fails, or returns something else.
    """
    if not is_factory(text):
        raise InputError(
            f"cannot get weights from {text!r}: expected FILE.py:FACTORY, a function that returns "
            "(module, example_inputs)"
        )
    path, _, name = text.rpartition(":")
    factory = getattr(_run(Path(path)), name, None)
    if not callable(factory):
        raise InputError(f"{path} has no function {name!r}: expected one that returns (module, example_inputs)")
    try:
        made = factory()
    except Exception as error:
        raise InputError(f"{name}() in {path} failed: {type(error).__name__}: {error}") from None
    if not (isinstance(made, tuple) and len(made) == 2 and isinstance(made[0], nn.Module)):
        raise InputError(f"{name}() in {path} returned {type(made).__name__}: expected (module, example_inputs)")
    return made


def _run(path: Path) -> ModuleType:
    if not path.is_file():
        raise InputError(f"no file {str(path)!r}: expected a Python file with a function that returns a model")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise InputError(f"{str(path)!r} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise InputError(f"{path} failed: {type(error).__name__}: {error}") from None
    return module
