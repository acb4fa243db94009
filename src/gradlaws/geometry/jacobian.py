"""The Jacobian J of all outputs of a module on given inputs in its parameters, by products only."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.func import functional_call

from gradlaws.errors import InputError

Inputs = Tensor | tuple[Tensor, ...]


class Jacobian:
    """``J [outputs, D]``: one forward pass is kept, every product is one reverse derivative of it.

    The transpose ``c -> J^T c`` is linear in c, and its own transpose is J; no forward mode is used.

    Args:
        module: in the mode and precision that are meant; it is left as it is.
        inputs: what its forward takes, ``[N, ...]``, or a tuple of such.

    Raises:
        InputError: nothing is trained, a weight or an input is NaN, or the output is not one tensor.
    """

    def __init__(self, module: nn.Module, inputs: Inputs) -> None:
        name = type(module).__name__
        theta = {key: p.detach().clone() for key, p in module.named_parameters() if p.requires_grad}
        if not theta:
            raise InputError(f"{name} has no parameters that require a gradient: nothing is trained")
        refuse_nan({**dict(module.named_parameters()), **dict(module.named_buffers())}, "parameter")
        given = inputs if isinstance(inputs, tuple) else (inputs,)
        refuse_nan({str(i): x for i, x in enumerate(given)}, "input")
        with torch.inference_mode(False), torch.enable_grad():
            self._theta = [p.requires_grad_() for p in theta.values()]
            try:
                found = functional_call(module, theta, given)
            except RuntimeError as error:
                sizes = ", ".join(str(list(x.shape)) for x in given)
                raise InputError(
                    f"{name} fails on inputs {sizes} ({error}): expected what its forward takes"
                ) from error
            if not isinstance(found, Tensor):
                raise InputError(f"{name} returns {type(found).__name__}: expected one tensor")
            if not found.requires_grad:
                raise InputError(f"the output of {name} does not depend on its parameters: nothing is trained")
            self._cotangent = torch.zeros_like(found, requires_grad=True)
            self._pulled = torch.autograd.grad(
                found, self._theta, self._cotangent, create_graph=True, materialize_grads=True
            )
        self._outputs = found
        self.value = found.detach()
        self.rows, self.columns = found.numel(), sum(p.numel() for p in self._theta)

    def pull(self, cotangents: Tensor) -> Tensor:
        """``J^T c`` for each row: ``[m, outputs]`` to ``[m, D]``."""
        shaped = cotangents.to(self.value).reshape(-1, *self.value.shape)
        try:
            return pulled(self._outputs, self._theta, shaped)
        except RuntimeError:  # an operation whose derivative cannot be batched
            return torch.stack([torch.cat([p.flatten() for p in self._one(c)]) for c in shaped])

    def kernel(self, cotangent: Tensor) -> Tensor:
        """``J J^T c`` for c ``[outputs]``."""
        pulled = self._one(cotangent.to(self.value).reshape(self.value.shape))
        (pushed,) = torch.autograd.grad(
            self._pulled, self._cotangent, pulled, retain_graph=True, materialize_grads=True
        )
        return pushed.flatten()

    def _one(self, cotangent: Tensor) -> tuple[Tensor, ...]:
        return torch.autograd.grad(self._outputs, self._theta, cotangent, retain_graph=True, materialize_grads=True)


def pulled(image: Tensor, sources: Sequence[Tensor], cotangents: Tensor) -> Tensor:
    """``J^T c`` for each c of ``[m, *image]``, J the derivative of an image in its sources, used or not: ``[m, D]``."""
    found = torch.autograd.grad(image, sources, cotangents, retain_graph=True, is_grads_batched=True, allow_unused=True)
    count = len(cotangents)
    parts = [
        x.new_zeros(count, x.numel()) if g is None else g.reshape(count, -1)
        for g, x in zip(found, sources, strict=True)
    ]
    return torch.cat(parts, dim=1)


def refuse_nan(tensors: dict[str, Tensor], what: str) -> None:
    """Raise InputError where a number is not finite."""
    for name, x in tensors.items():
        if x.is_floating_point() and not bool(torch.isfinite(x).all()):
            raise InputError(f"{what} {name} has entries that are NaN or infinite: expected finite numbers")
