"""The loss of a module as a function of one flat vector, on a private copy in float64."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils._pytree import tree_map

from gradlaws.errors import InputError
from gradlaws.laws.law import unflatten
from gradlaws.models.family import Shapes

Array = NDArray[np.float64]
Loss = Callable[[Any], Tensor]
"""Takes the module, gives one number: ``lambda f: (f(x) - y).square().mean()``."""

_SAME = 1e-9


@final
class Objective:
    """L, its gradient, and that of ``L + c |grad L|^2``, as functions of the trainable parameters ``[D]``.

    Where several losses are given, of batches, L is their mean and |grad L|^2 the mean of their squares.

    Args:
        model: in the mode that is meant; it is left as it is. The copy is float64, and so is what its forward takes.
        loss: of the copy; one, or one for each batch.

    Attributes:
        shapes: the trainable parameters by name, in their order.
        start: their values, ``[D]``.
        evaluations: how many gradients were computed.

    Raises:
        InputError: a weight is NaN, the loss is no finite number or has no gradient, or is random.
    """

    def __init__(self, model: nn.Module, loss: Loss | Sequence[Loss]) -> None:
        self._losses = tuple(loss) if isinstance(loss, Sequence) else (loss,)
        if not self._losses or not all(callable(one) for one in self._losses):
            raise InputError(
                f"the loss is {loss!r}: expected a function of the module, or a list of such, for example "
                "lambda f: (f(x) - y).square().mean()"
            )
        self._model = _private(model)
        named = {name: p for name, p in self._model.named_parameters() if p.requires_grad}
        self._parameters = list(named.values())
        self.shapes: Shapes = {name: tuple(p.shape) for name, p in named.items()}
        self.start = _checked(named)
        self.evaluations = 0
        self._check()

    def point(self, flat: Array) -> dict[str, Tensor]:
        """Named float64 tensors of a flat vector ``[D]``, or of several ``[*batch, D]``."""
        return unflatten(torch.as_tensor(flat), self.shapes)

    def value(self, flat: Array) -> float:
        """L."""
        self._move(flat)
        with torch.inference_mode(False), torch.no_grad():
            return float(sum(float(loss(self._model)) for loss in self._losses) / len(self._losses))

    def gradient(self, flat: Array, penalty: float = 0.0) -> Array:
        """``grad (L + penalty |grad L|^2) = g + 2 penalty H g``, ``[D]``."""
        self._move(flat)
        self.evaluations += 1
        total = np.zeros_like(self.start)
        with torch.inference_mode(False), torch.enable_grad():
            for loss in self._losses:
                total += _gradient(loss(self._model), self._parameters, penalty)
        return total / len(self._losses)

    def _move(self, flat: Array) -> None:
        with torch.inference_mode(False), torch.no_grad():
            for p, x in zip(self._parameters, self.point(flat).values(), strict=True):
                p.copy_(x)

    def _check(self) -> None:
        """Ask for the loss and its gradient once, and once more."""
        try:
            with torch.inference_mode(False), torch.enable_grad():
                seen = [loss(self._model) for loss in self._losses]
        except RuntimeError as error:
            raise InputError(
                f"the loss fails on a float64 copy of the module ({error}): expected losses and data that take "
                "float64, for example x.double()"
            ) from error
        for value in seen:
            if not isinstance(value, Tensor) or value.numel() != 1 or not value.is_floating_point():
                what = f"a tensor of shape {list(value.shape)}" if isinstance(value, Tensor) else type(value).__name__
                raise InputError(f"the loss gives {what}: expected one real number, such as a mean over the examples")
            if not value.requires_grad:
                raise InputError(
                    "the loss does not depend on the parameters: expected a function of the module it is given, such "
                    "as lambda f: (f(x) - y).square().mean()"
                )
            if not bool(torch.isfinite(value)):
                raise InputError(f"the loss is {float(value.detach())} at the start: expected a finite number")
        first, second = self.gradient(self.start), self.gradient(self.start)
        self.evaluations = 0
        if not np.linalg.norm(first - second) <= _SAME * np.linalg.norm(first):
            raise InputError(
                "the loss is not the same when computed twice: call model.eval() to switch off dropout, and use the "
                "same batch each time"
            )


def _gradient(value: Tensor, parameters: list[nn.Parameter], penalty: float) -> Array:
    """By one backward pass, or two where the gradient is penalised."""
    first = torch.autograd.grad(value, parameters, create_graph=bool(penalty), materialize_grads=True)
    if penalty:
        square = torch.stack([g.square().sum() for g in first]).sum()
        if square.requires_grad:
            second = torch.autograd.grad(square, parameters, materialize_grads=True)
            first = tuple(g + penalty * h for g, h in zip(first, second, strict=True))
    return torch.cat([g.detach().reshape(-1) for g in first]).cpu().numpy()


def _private(model: nn.Module) -> nn.Module:
    if not isinstance(model, nn.Module):
        raise InputError(f"cannot train {type(model).__name__}: expected a torch module")
    lazy = [name for name, p in model.named_parameters() if isinstance(p, nn.parameter.UninitializedParameter)]
    if lazy:
        raise InputError(f"parameter {lazy[0]} has no shape yet: run the module once on its inputs before")
    bad = [name for name, p in model.named_parameters() if p.requires_grad and p.is_complex()]
    if bad:
        raise InputError(f"parameter {bad[0]} is complex: expected real parameters")
    try:
        private = copy.deepcopy(model).double()
    except RuntimeError as error:
        raise InputError(f"cannot copy {type(model).__name__}: {error}") from error
    private.register_forward_pre_hook(_widened, with_kwargs=True)
    return private


def _widened(module: nn.Module, args: Any, kwargs: Any) -> Any:
    """What a forward takes, with floating point tensors in float64."""

    def wide(x: Any) -> Any:
        return x.double() if isinstance(x, Tensor) and x.is_floating_point() else x

    return tree_map(wide, args), tree_map(wide, kwargs)


def _checked(named: dict[str, nn.Parameter]) -> Array:
    """All values in one vector."""
    if not named:
        raise InputError("the module has no parameters that require a gradient: nothing is trained")
    bad = [name for name, p in named.items() if not bool(torch.isfinite(p).all())]
    if bad:
        raise InputError(f"parameter {bad[0]} has entries that are NaN or infinite: expected finite weights")
    return torch.cat([p.detach().reshape(-1) for p in named.values()]).cpu().numpy().astype(np.float64)
