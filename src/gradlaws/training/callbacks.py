"""Tracking as a callback of Hugging Face's Trainer and of Lightning; either library is imported only when asked for."""

from __future__ import annotations

from importlib import import_module
from typing import Any, Protocol, final

import torch
from torch import nn

from gradlaws.errors import InputError
from gradlaws.training.record import Finding
from gradlaws.training.track import LawTracker, track


class LightningTrainer(Protocol):
    """What is needed of a Lightning trainer."""

    @property
    def optimizers(self) -> list[Any]:
        """Optimizers, wrapped or not."""
        ...


@final
class Tracking:
    """Begins and ends tracking when a trainer says so.

    Args:
        example_inputs: see `track`.
        **options: of `track`.
    """

    def __init__(self, example_inputs: Any = None, **options: Any) -> None:
        self.example_inputs, self.options = example_inputs, options
        self.tracker: LawTracker | None = None

    @property
    def findings(self) -> list[Finding]:
        """What was not as it should be."""
        return self.tracker.findings if self.tracker else []

    def begin(self, model: nn.Module, *optimizers: Any) -> None:
        """Start, with the optimizers under whatever wraps them; a run that was not ended is ended first."""
        self.end()
        bare = [unwrapped(optimizer) for optimizer in optimizers]
        self.tracker = track(model, bare if len(bare) > 1 else bare[0], self.example_inputs, **self.options)
        self.tracker.__enter__()

    def end(self) -> None:
        """Stop; the tracker stays for its summary."""
        if self.tracker is not None:
            self.tracker.__exit__(None, None, None)


def unwrapped(optimizer: Any) -> torch.optim.Optimizer:
    """The optimizer whose step moves the weights: wrappers of Accelerate and Lightning keep it as `optimizer`.

    Raises:
        InputError: there is none.
    """
    inner = optimizer
    for _ in range(8):
        deeper = getattr(inner, "_optimizer", None) or getattr(inner, "optimizer", None)
        if not isinstance(deeper, torch.optim.Optimizer):
            break
        inner = deeper
    if not isinstance(inner, torch.optim.Optimizer):
        raise InputError(
            f"cannot track {type(optimizer).__name__}: expected a torch.optim.Optimizer or a wrapper of one"
        )
    return inner


def hugging_face_callback(example_inputs: Any = None, **options: Any) -> Any:
    """A `transformers.TrainerCallback` for ``Trainer(..., callbacks=[...])``; its `tracking` holds the findings.

    Args:
        example_inputs: see `track`.
        **options: of `track`, such as every and store.

    Raises:
        InputError: transformers is not installed.
    """
    base = _library("transformers").TrainerCallback
    tracking = Tracking(example_inputs, **options)

    def on_train_begin(self: Any, args: Any, state: Any, control: Any, **seen: Any) -> None:
        tracking.begin(seen["model"], seen["optimizer"])

    def on_train_end(self: Any, args: Any, state: Any, control: Any, **seen: Any) -> None:
        tracking.end()

    return _made(base, tracking, on_train_begin, on_train_end)


def lightning_callback(example_inputs: Any = None, **options: Any) -> Any:
    """A `lightning.pytorch.Callback` for ``Trainer(callbacks=[...])``; its `tracking` holds tracker and findings.

    Its optimizers are tracked together, as `track` does with several. Laws are those of the LightningModule's forward.

    Args:
        example_inputs: see `track`.
        **options: of `track`, such as every and store.

    Raises:
        InputError: lightning is not installed.
    """
    base = _library("lightning.pytorch").Callback
    tracking = Tracking(example_inputs, **options)

    def on_train_start(self: Any, trainer: LightningTrainer, pl_module: nn.Module) -> None:
        tracking.begin(pl_module, *trainer.optimizers)

    def on_train_end(self: Any, trainer: LightningTrainer, pl_module: nn.Module) -> None:
        tracking.end()

    def on_exception(self: Any, trainer: LightningTrainer, pl_module: nn.Module, exception: BaseException) -> None:
        tracking.end()

    return _made(base, tracking, on_train_start, on_train_end, on_exception)


def _made(base: type, tracking: Tracking, *events: Any) -> Any:
    """An object of a class that is known at run time only."""
    contents = {event.__name__: event for event in events} | {"tracking": tracking}
    return type("LawTracking", (base,), contents)()


def _library(name: str) -> Any:
    try:
        return import_module(name)
    except ImportError:
        package = name.split(".", maxsplit=1)[0]
        raise InputError(
            f"{package} is not installed: pip install {package}, or use gradlaws.track in the loop"
        ) from None
