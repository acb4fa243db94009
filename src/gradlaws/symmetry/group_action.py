"""What groups and shifts share: new tensors for some parameters, in place or as a state dict."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping

import torch
from torch import Tensor, nn

State = dict[str, Tensor]
"""Named parameters."""


class GroupAction(ABC):
    """A group of matrices, of numbers or of shifts that acts on the parameters of a module."""

    __slots__ = ()

    @property
    @abstractmethod
    def shape(self) -> tuple[int, ...]:
        """Shape of an element."""

    @abstractmethod
    def act(self, state: Mapping[str, Tensor], element: Tensor) -> State:
        """New tensors for what moves, in the dtype of the old ones; the arithmetic is in float64.

        Raises:
            InputError: a tensor is missing or of another shape, or the element does not fit.
        """

    def act_(self, module: nn.Module, element: Tensor) -> None:
        """The same on the parameters of a module, in place; where anything is wrong, nothing is changed.

        Raises:
            InputError: see `act`.
        """
        parameters = dict(module.named_parameters())
        new = self.act(parameters, element)
        with torch.no_grad():
            for name, x in new.items():
                parameters[name].copy_(x)

    def state_dict(self, module: nn.Module, element: Tensor) -> State:
        """The same as a whole state dict, shared parameters under all their names; the module is left as it is.

        Raises:
            InputError: see `act`.
        """
        new = self.act(dict(module.named_parameters()), element)
        named = {id(p): new[name] for name, p in module.named_parameters() if name in new}
        kept = module.state_dict(keep_vars=True)
        return {name: named[id(x)].clone() if id(x) in named else x.detach().clone() for name, x in kept.items()}
