"""Which laws to watch: the structured ones of a model, found without a trace."""

from __future__ import annotations

import random
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import nn

from gradlaws.errors import GradlawsError, InputError
from gradlaws.laws.answer import laws as find_laws
from gradlaws.laws.law import Law
from gradlaws.training.shards import is_sharded

_STATISTICS = "track_running_stats"


class TrackingWarning(UserWarning):
    """Tracking cannot go on, or not as asked; training does."""


def laws_to_track(model: nn.Module, example_inputs: Any, **module_options: Any) -> tuple[Law, ...]:
    """The structured laws of a model, but for those about the tokens that an example happens to use.

    Model and random numbers are left as they are. A model that is going to be sharded has its laws found before.

    Args:
        model: what is trained; wrapped for data parallelism or not.
        example_inputs: see `gradlaws.laws`.
        **module_options: of `gradlaws.laws`.

    Returns:
        The laws; none, with a `TrackingWarning`, where none are found.
    """
    while isinstance(model, nn.DataParallel | nn.parallel.DistributedDataParallel):
        model = model.module
    try:
        if any(is_sharded(p) for p in model.parameters()):
            raise InputError(
                f"{type(model).__name__} is sharded: find its laws before, with laws = "
                "gradlaws.training.find.laws_to_track(model, example_inputs), and pass them on: track(..., laws=laws)"
            )
        with _same_random_numbers(), _as_trained(model):
            found = find_laws(model, example_inputs, lower_only=True, **module_options).laws
    except GradlawsError as error:
        warnings.warn(f"{str(error).rstrip('.')}. Tracking stops, training goes on.", TrackingWarning, stacklevel=3)
        return ()
    found = tuple(law for law in found if not _of_the_example(law, model))
    if not found:
        what = f"{type(model).__name__} has no structured laws to track"
        warnings.warn(f"{what}: training goes on unwatched.", TrackingWarning, stacklevel=3)
    return found


def _of_the_example(law: Law, model: nn.Module) -> bool:
    """Whether a law is about the tokens and positions that the example happens to use, or does not."""
    tables = {f"{path}.weight" if path else "weight" for path, part in model.named_modules() if _is_table(part)}
    rows = [term for term in law.terms if term.get("tensor") in tables and term.get("axis") == 0]
    return any("start" in term or "stop" in term for term in rows)


def _is_table(part: nn.Module) -> bool:
    return isinstance(part, nn.Embedding | nn.EmbeddingBag)


@contextmanager
def _as_trained(model: nn.Module) -> Iterator[None]:
    """Without dropout, which has no laws; with batch statistics where they are trained with, which make some."""
    parts = list(model.modules())
    modes = [(part, part.training, getattr(part, _STATISTICS, None)) for part in parts]
    try:
        for part in parts:
            part.training = part.training and "BatchNorm" in type(part).__name__
            if part.training and hasattr(part, _STATISTICS):
                setattr(part, _STATISTICS, False)  # or looking at it would count as a batch
        yield
    finally:
        for part, training, statistics in modes:
            part.training = training
            if statistics is not None:
                setattr(part, _STATISTICS, statistics)


@contextmanager
def _same_random_numbers() -> Iterator[None]:
    """Leave every generator as it was."""
    states = random.getstate(), np.random.get_state()
    devices = list(range(torch.cuda.device_count())) if torch.cuda.is_initialized() else []
    with torch.random.fork_rng(devices=devices):
        try:
            yield
        finally:
            random.setstate(states[0])
            np.random.set_state(states[1])
