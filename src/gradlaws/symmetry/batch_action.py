"""The action of GL on the hidden units of any module that keeps its outputs on one batch, in the form that moves it.

What `gradlaws.symmetry.data_action` does for matrices, for two layers of a real module: with biases, convolutions,
attention or anything else between and around them, differentiable in the group element, so that teleportation and
valleys take it next to the couplings that keep the function for every input. Nothing is assumed about what stands
between the layers; the module is run with the new weights of the lower layer and the upper one makes up for it.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.utils import _pytree as pytree

from gradlaws.errors import InputError, UnsupportedError
from gradlaws.symmetry.data_action import Activation, refuse_element, refuse_large_batch
from gradlaws.symmetry.group_action import State

_LOWER = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)
_CLOSE = 1e-9


@dataclass(frozen=True, eq=False, slots=True)
class BatchAction:
    """GL on the units between two layers of a module; made by `batch_action`.

    Without `inverse`, g acts before the activation (Zhao et al. 2023): ``V -> g V``, ``b -> g b``, and with the inputs
    of the upper layer on the batch, a before and a' after, as columns: ``U -> U + U (a - a') a'^+``. Exact for any
    activation if a' has independent columns: at most as many examples, or positions, as inputs of the upper layer.

    With `inverse`, g acts after the activation (Zhao et al. 2022): ``U -> U g^-1`` and, with the inputs h of the lower
    layer and its outputs z, ``V -> V + (inverse(g a) - z) h^+``: at most as many examples as inputs of the lower layer.

    Both are the identity at g = 1 and leave alone what the batch does not see. (The published ``V -> inverse(g a) h^+``
    forgets it, even at g = 1.) Other inputs are changed.

    Args:
        module: what is moved; run in evaluation or training mode as it is.
        inputs: the batch, float64: a tuple of positional or a dict of keyword arguments.
        lower: name of the layer that g multiplies.
        upper: name of the layer that makes up for it.
        width: units between them.
        inverse: of the activation, entry by entry; None to act before it.
    """

    module: nn.Module
    inputs: tuple[Any, ...] | dict[str, Any]
    lower: str
    upper: str
    width: int
    inverse: Activation | None = None

    @property
    def group(self) -> str:
        """Invertible matrices."""
        return "gl"

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of a group element."""
        return (self.width, self.width)

    @property
    def dimension(self) -> int:
        """Dimension of the group."""
        return self.width**2

    @property
    def tensors(self) -> tuple[str, ...]:
        """What it moves."""
        bias = self.inverse is None and self.module.get_submodule(self.lower).bias is not None
        return (_key(self.lower), *([_key(self.lower, "bias")] if bias else []), _key(self.upper))

    def act(self, state: Mapping[str, Tensor], element: Tensor) -> State:
        """New tensors for what moves, in the dtype of the old ones.

        Raises:
            InputError: a tensor is missing, the element is not invertible, or the batch does not determine the rest.
        """
        missing = [name for name in self.tensors if name not in state]
        if missing:
            raise InputError(f"no tensor {missing[0]!r}: the action between {self.lower} and {self.upper} moves it")
        refuse_element(element, self.width)
        with torch.no_grad():
            new = self.moved({name: x.detach().double() for name, x in state.items()}, element.detach().double())
        return {name: new[name].to(state[name].dtype) for name in self.tensors}

    def act_(self, element: Tensor) -> None:
        """The same on the parameters of the module, in place; where anything is wrong, nothing is changed.

        Raises:
            InputError: see `act`.
        """
        parameters = dict(self.module.named_parameters())
        new = self.act(parameters, element)
        with torch.no_grad():
            for name, x in new.items():
                parameters[name].copy_(x)

    def moved(self, state: State, element: Tensor) -> State:
        """The whole state after the action of an element, float64; differentiable in both.

        Raises:
            InputError: the batch has dependent columns, there or after the action.
        """
        old = self._run(state)
        if self.inverse is not None:
            h, z, a = old
            refuse_large_batch(h, f"inputs of {self.lower}")
            change = (self.inverse(element @ a) - z) @ torch.linalg.pinv(h)
            upper = torch.linalg.solve(element.mT, _matrix(state[_key(self.upper)]).mT).mT
            return self._with(state, state[_key(self.lower)] + change, upper)
        turned = self._turned(state, element)
        a, b = old[2], self._run(turned)[2]
        refuse_large_batch(b, f"inputs of {self.upper}")
        u = _matrix(state[_key(self.upper)])
        return self._with(turned, turned[_key(self.lower)], u + u @ (a - b) @ torch.linalg.pinv(b))

    def undone(self, state: State, element: Tensor) -> State:
        """The state whose image under the element this is.

        Raises:
            InputError: see `moved`.
        """
        inverse = torch.linalg.inv(element)
        if self.inverse is not None:
            return self.moved(state, inverse)
        before = self._turned(state, inverse)
        a, b = self._run(before)[2], self._run(state)[2]
        refuse_large_batch(b, f"inputs of {self.upper}")
        mixed = torch.eye(len(b), dtype=b.dtype, device=b.device) + (a - b) @ torch.linalg.pinv(b)
        u = torch.linalg.solve(mixed.mT, _matrix(state[_key(self.upper)]).mT).mT
        return self._with(before, before[_key(self.lower)], u)

    def _turned(self, state: State, element: Tensor) -> State:
        """The lower layer multiplied by the element."""
        names = [name for name in (_key(self.lower), _key(self.lower, "bias")) if name in self.tensors]
        return state | {name: torch.tensordot(element, state[name], 1) for name in names}

    def _with(self, state: State, lower: Tensor, upper: Tensor) -> State:
        shape = state[_key(self.upper)].shape
        return state | {_key(self.lower): lower, _key(self.upper): upper.reshape(shape)}

    def _run(self, state: State) -> tuple[Tensor, Tensor, Tensor]:
        """What goes into the lower layer, comes out of it, goes into the upper one: columns, where they are needed."""
        seen: dict[str, Tensor] = {}
        lower, upper = (self.module.get_submodule(name) for name in (self.lower, self.upper))

        def below(_: nn.Module, args: tuple[Tensor, ...], out: Tensor) -> None:
            seen["h"], seen["z"] = args[0], out

        def above(_: nn.Module, args: tuple[Tensor, ...]) -> None:
            seen["a"] = args[0]

        hooks = [lower.register_forward_hook(below), upper.register_forward_pre_hook(above)]
        try:
            run(self.module, state, self.inputs)
        finally:
            for hook in hooks:
                hook.remove()
        if self.inverse is None:
            return seen["h"], seen["z"], _columns(upper, seen["a"])
        h, z, a = (x.reshape(-1, x.shape[-1]).mT for x in (seen["h"], seen["z"], seen["a"]))
        return h, z, a


def batch_action(
    module: nn.Module, inputs: Any, lower: str, upper: str, inverse: Activation | None = None
) -> BatchAction:
    """The action between two layers of a module, tried with one element close to the identity.

    Args:
        module: any torch module; it is left as it is.
        inputs: the batch: a tensor, a tuple of positional or a dict of keyword arguments.
        lower: name of a linear layer or a convolution (with `inverse` a linear layer).
        upper: name of a linear layer or a two-dimensional convolution (with `inverse` a linear layer).
        inverse: of the activation between them, where g is to act after it: entry by entry.

    Raises:
        InputError: no such layers, too many examples, `inverse` does not undo what stands between the layers, or the
            outputs on the batch change: the units feed something else, or the module draws random numbers.
        UnsupportedError: a layer of another kind.
    """
    found = BatchAction(module, _batch(inputs), lower, upper, _width(module, lower, upper, inverse), inverse)
    state = {name: p.detach().double() for name, p in module.named_parameters()}
    with torch.no_grad():
        z, a = found._run(state)[1:]
        if inverse is not None and not (
            z.shape == a.shape and bool(((inverse(a) - z).abs() <= _CLOSE * _size(z)).all())
        ):
            raise InputError(
                f"inverse does not lead from the inputs of {upper} back to the outputs of {lower}: expected the "
                "inverse of a bijective activation of each entry, and nothing else between the layers"
            )
        random = torch.Generator().manual_seed(0)
        near = 0.01 * torch.randn(found.shape, generator=random, dtype=torch.float64)
        moved = found.moved(state, torch.linalg.matrix_exp(near).to(z.device))
        before, after = (pytree.tree_leaves(run(module, each, found.inputs)) for each in (state, moved))
        for x, y in zip(before, after, strict=True):
            if isinstance(x, Tensor) and not float((x - y).abs().max()) <= _CLOSE * _size(x):
                raise InputError(
                    f"the outputs on the batch change: the units of {lower} feed more than {upper}, or the module "
                    "draws random numbers; name two layers with nothing around them, and call model.eval()"
                )
    return found


def batch_actions(module: nn.Module, inputs: Any, inverse: Activation | None = None) -> tuple[BatchAction, ...]:
    """The actions between all neighbouring layers of a module for which `batch_action` finds nothing wrong.

    Raises:
        InputError: there is none; the message says why for the first pair.
    """
    names = [name for name, part in module.named_modules() if isinstance(part, _LOWER)]
    found, reasons = list[BatchAction](), list[str]()
    for lower, upper in pairwise(names):
        try:
            found.append(batch_action(module, inputs, lower, upper, inverse))
        except InputError as error:
            reasons.append(f"between {lower} and {upper}: {error}")
    if not found:
        raise InputError(reasons[0] if reasons else f"{type(module).__name__} has no two layers to act between")
    return tuple(found)


def run(module: nn.Module, state: Mapping[str, Tensor], inputs: tuple[Any, ...] | dict[str, Any]) -> Any:
    """Outputs with these parameters in float64; buffers are copies."""
    others = [*module.named_parameters(), *module.named_buffers()]
    full = {name: _double(x.detach()).clone() for name, x in others if name not in state} | dict(state)
    return functional_call(module, full, *((), inputs) if isinstance(inputs, dict) else (inputs,))


def _batch(inputs: Any) -> tuple[Any, ...] | dict[str, Any]:
    given = inputs if isinstance(inputs, dict | tuple) else (inputs,)
    return pytree.tree_map(lambda x: _double(x.detach()) if isinstance(x, Tensor) else copy.copy(x), given)


def _double(x: Tensor) -> Tensor:
    return x.double() if x.is_floating_point() else x


def _width(module: nn.Module, lower: str, upper: str, inverse: Activation | None) -> int:
    """Units of the lower layer; both are such as can be moved."""
    layers = dict(module.named_modules())
    linear: tuple[type[nn.Module], ...] = (nn.Linear,)
    both = (linear, linear) if inverse is not None else (_LOWER, (nn.Linear, nn.Conv2d))
    for name, kinds in zip((lower, upper), both, strict=True):
        layer = layers.get(name)
        if layer is None:
            raise InputError(f"no layer {name!r} in {type(module).__name__}: expected a name of named_modules()")
        if type(layer) not in kinds or getattr(layer, "groups", 1) != 1:
            raise UnsupportedError(
                f"{name} is a {type(layer).__name__}: expected one of {', '.join(k.__name__ for k in kinds)}, ungrouped"
            )
        if isinstance(layer, nn.Conv2d) and name == upper and not _unfolds(layer):
            raise UnsupportedError(f"{name} pads with something else than zeros: expected plain zero padding")
        if not all(p.requires_grad for p in layer.parameters()):
            raise InputError(f"{name} is frozen: expected a layer that is trained")
    return len(layers[lower].get_parameter("weight"))


def _unfolds(layer: nn.Conv2d) -> bool:
    return layer.padding_mode == "zeros" and not isinstance(layer.padding, str)


def _columns(upper: nn.Module, x: Tensor) -> Tensor:
    """What the weights of the upper layer see, one column for each example or position."""
    if not isinstance(upper, nn.Conv2d):
        return x.reshape(-1, x.shape[-1]).mT
    options: Any = {"dilation": upper.dilation, "padding": upper.padding, "stride": upper.stride}
    patches = nn.functional.unfold(x, upper.kernel_size, **options)
    return patches.movedim(1, 0).flatten(1)


def _matrix(weight: Tensor) -> Tensor:
    return weight.flatten(1)


def _key(layer: str, kind: str = "weight") -> str:
    return f"{layer}.{kind}" if layer else kind


def _size(x: Tensor) -> float:
    return max(1.0, float(x.abs().max()))
