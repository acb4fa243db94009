"""Linearised training: a network replaced by its first-order expansion at the initial weights.

With J the Jacobian of all outputs on the training data and K = J J^T, the neural tangent kernel, gradient flow on half
the sum of squares moves the outputs u of the linearised network by ``u' = -K (u - y)``, so that
``u(t) = y + exp(-t K) (u(0) - y)`` (Jacot, Gabriel, Hongler 2018): one diffusion, at as many times as one likes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from gradlaws.errors import InputError
from gradlaws.geometry.diffusion import diffuse
from gradlaws.geometry.jacobian import Inputs, Jacobian, refuse_nan
from gradlaws.progress import Progress


class TangentKernel:
    """``K = J J^T`` on all outputs of a module on given inputs, as a linear operator.

    Args:
        module: in the mode that is meant; it is left as it is.
        inputs: what its forward takes, ``[N, ...]``, or a tuple of such.
    """

    def __init__(self, module: nn.Module, inputs: Inputs) -> None:
        self._jacobian = Jacobian(module, inputs)
        self.outputs = self._jacobian.value
        self.shape = (self._jacobian.rows, self._jacobian.rows)

    def matvec(self, v: Any) -> Any:
        """``K v`` for v ``[outputs]``, in the precision of the module."""
        return self._jacobian.kernel(torch.as_tensor(v)).double().cpu().numpy()


def linearised_training(
    module: nn.Module,
    inputs: Inputs,
    targets: Tensor,
    times: Sequence[float] | Any,
    *,
    tolerance: float = 1e-10,
    on_progress: Progress | None = None,
) -> Tensor:
    """Outputs on the training data along gradient flow of the linearised module, on half the sum of squares.

    Args:
        module: at its initial weights; float64 is best, the kernel is symmetric to its precision only.
        inputs: what its forward takes, ``[N, ...]``, or a tuple of such.
        targets: y, in the shape of the output.
        times: of at least zero. Of a mean over N examples instead of a sum, divide the times by N.
        tolerance: relative to ``|u(0) - y|``.
        on_progress: hears the name of the stage and the fraction done.

    Returns:
        Float64 ``[len(times), *output shape]``.

    Raises:
        InputError: shapes differ, a time is negative, a weight is NaN.
    """
    kernel = TangentKernel(module, inputs)
    start = kernel.outputs.double().cpu()
    if not isinstance(targets, Tensor):
        raise InputError(f"targets are {type(targets).__name__}: expected a tensor {list(start.shape)}")
    refuse_nan({"targets": targets}, "tensor")
    if targets.shape != start.shape:
        raise InputError(f"targets have shape {list(targets.shape)}: expected that of the output, {list(start.shape)}")
    y = targets.detach().double().cpu()
    moved = diffuse(
        kernel, (start - y).flatten(), times, tolerance=tolerance, spectrum=(0.0, None), on_progress=on_progress
    )
    return y + moved.reshape(len(moved), *start.shape)
