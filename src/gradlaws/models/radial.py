"""Radial networks: activations that rescale a vector by a function of its norm, so that rotations pass through them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any, Self, final

import torch
from torch import Tensor, nn

from gradlaws.errors import InputError

Profile = Callable[[Tensor], Tensor]
Arrow = tuple[str, str]

_SHIFTS = {"shifted_relu": 0.5, "sigmoid": 0.0}
"""Profiles that are shifted along r, and by how much where nothing else is said."""

PROFILES = ("step_relu", "squashing", "shifted_relu", "sigmoid")


@final
class Radial(nn.Module):
    """``v -> h(|v|) v / |v|``, and 0 at v = 0; the norm is that of the last axis (Ganev, Laarhoven, Walters 2021).

    Args:
        profile: the function h: ``step_relu`` (r if r >= 1, else 0), ``squashing`` (r^2 / (1 + r^2)), ``shifted_relu``
            (max(0, r - shift)), ``sigmoid`` (1 / (1 + exp(shift - r))), or any function of a tensor of norms, entry by
            entry.
        shift: for shifted_relu (0.5 where not given) and sigmoid (0). With shift 0 shifted_relu is the identity.

    A profile with h(0+) != 0, such as sigmoid, makes the activation discontinuous at 0; step_relu is so at norm 1.

    Raises:
        InputError: the profile is unknown, or acts on entries instead of norms, such as torch.nn.ReLU().
    """

    def __init__(self, profile: str | Profile = "step_relu", shift: float | None = None) -> None:
        super().__init__()
        if isinstance(profile, nn.Module) or not (profile in PROFILES or callable(profile)):
            raise InputError(
                f"{_name(profile)} is not a radial activation: expected one of {', '.join(PROFILES)}, or a function of "
                "the norm of the whole vector; an activation of each entry, such as relu, belongs into torch.nn."
                "Sequential, which gradlaws.compress takes too"
            )
        if shift is not None and profile not in _SHIFTS:
            raise InputError(f"{_name(profile)} has no shift: only {' and '.join(_SHIFTS)} have")
        self.profile = profile
        self.shift = float(_SHIFTS.get(str(profile), 0.0) if shift is None else shift)

    def forward(self, v: Tensor) -> Tensor:
        """Vectors along the last axis, each made longer or shorter."""
        r = torch.linalg.vector_norm(v, dim=-1, keepdim=True)
        if self.profile == "step_relu":
            return v * _step(r - 1)
        if self.profile == "squashing":
            return v * (r / (1 + r * r))
        norm = r.detach()
        alive = norm / _above_zero(norm)  # 1, and 0 at v = 0, where h(r) / r may jump
        return v * (alive * self._profile(_above_zero(r)) / _above_zero(r))

    def _profile(self, r: Tensor) -> Tensor:
        if self.profile == "shifted_relu":
            return torch.relu(r - self.shift)
        if self.profile == "sigmoid":
            return torch.sigmoid(r - self.shift)
        assert callable(self.profile)
        return self.profile(r)

    def extra_repr(self) -> str:
        """The profile, with its shift where it has one."""
        return f"{_name(self.profile)}, shift={self.shift}" if self.profile in _SHIFTS else _name(self.profile)


class RadialNetwork(nn.Module, ABC):
    """Vertices that hold vectors, and arrows that carry matrices; hidden vertices are activated radially."""

    @property
    @abstractmethod
    def dimensions(self) -> Mapping[str, int]:
        """The dimension of each vertex, in an order in which every arrow points forward."""

    @property
    @abstractmethod
    def hidden(self) -> Sequence[str]:
        """Vertices that are neither inputs nor outputs."""

    @property
    @abstractmethod
    def arrows(self) -> Mapping[Arrow, str]:
        """For each arrow (source, target) the name of its parameter, of shape ``[target, source]``."""

    @property
    @abstractmethod
    def offsets(self) -> Mapping[str, str]:
        """For each vertex with a bias the name of its parameter."""

    @property
    def identities(self) -> Sequence[Arrow]:
        """Arrows that carry a fixed identity matrix instead of a parameter."""
        return ()

    @property
    @abstractmethod
    def inputs(self) -> Sequence[str]:
        """Vertices that are given."""

    @abstractmethod
    def resized(self, dimensions: Mapping[str, int]) -> Self:
        """A network of the same kind with other dimensions, on the same device; its parameters are fresh."""

    @abstractmethod
    def run(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Outputs by vertex, from inputs by vertex."""


@final
class RadialMLP(RadialNetwork):
    """``W_L rho( ... rho(W_1 x + b_1) ... ) + b_L`` with a radial rho on all layers but the last.

    Args:
        widths: input width first, output width last.
        activation: a profile, or a `Radial`.
        bias: biases on all layers.
        device: of the parameters.
        dtype: of the parameters.

    Parameters are ``layers.0.weight`` of shape ``[widths[1], widths[0]]``, ``layers.0.bias`` and so on, drawn as
    torch.nn.Linear draws them. Inputs are ``[..., widths[0]]``, outputs ``[..., widths[-1]]``.

    Raises:
        InputError: fewer than two widths, a width below one, or an activation that is not radial.
    """

    def __init__(
        self,
        widths: Sequence[int],
        activation: str | Profile | Radial = "step_relu",
        *,
        bias: bool = True,
        device: Any = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        if len(widths) < 2 or not all(is_dimension(n) for n in widths):
            raise InputError(f"widths {tuple(widths)!r}: expected two or more whole numbers of at least 1")
        self.widths = tuple(widths)
        self.activation = as_radial(activation)
        self.layers = nn.ModuleList(
            nn.Linear(n, m, bias=bias, device=device, dtype=dtype) for n, m in pairwise(self.widths)
        )

    def forward(self, x: Tensor) -> Tensor:
        """``[..., widths[0]] -> [..., widths[-1]]``."""
        for i, layer in enumerate(self.layers):
            x = layer(x if i == 0 else self.activation(x))
        return x

    @property
    def dimensions(self) -> Mapping[str, int]:
        return {str(i): n for i, n in enumerate(self.widths)}

    @property
    def hidden(self) -> Sequence[str]:
        return [str(i) for i in range(1, len(self.layers))]

    @property
    def arrows(self) -> Mapping[Arrow, str]:
        return {(str(i), str(i + 1)): f"layers.{i}.weight" for i in range(len(self.layers))}

    @property
    def offsets(self) -> Mapping[str, str]:
        names = {str(i + 1): f"layers.{i}.bias" for i in range(len(self.layers))}
        owned = dict(self.named_parameters(remove_duplicate=False))
        return {vertex: name for vertex, name in names.items() if name in owned}

    @property
    def inputs(self) -> Sequence[str]:
        return ["0"]

    def resized(self, dimensions: Mapping[str, int]) -> Self:
        weight = next(self.parameters())
        widths = [dimensions[vertex] for vertex in self.dimensions]
        made = type(self)(widths, self.activation, bias=bool(self.offsets), device=weight.device, dtype=weight.dtype)
        for mine, its in zip(self.layers, made.layers, strict=True):
            if mine.bias is None:
                its.register_parameter("bias", None)
        return made.train(self.training)

    def run(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {str(len(self.layers)): self(inputs["0"])}


def as_radial(activation: Any) -> Radial:
    """A profile as an activation; an activation as it is."""
    return activation if type(activation) is Radial else Radial(activation)


def is_dimension(n: Any) -> bool:
    """Whether something is a whole number of at least one."""
    return isinstance(n, int) and not isinstance(n, bool) and n >= 1


def _step(x: Tensor) -> Tensor:
    """1 for x >= 0, else 0, without a derivative; in operations that the exact engine knows as a free gate."""
    shifted = x.detach() + torch.finfo(x.dtype).tiny
    return torch.relu(shifted) / shifted


def _above_zero(r: Tensor) -> Tensor:
    return r.clamp_min(torch.finfo(r.dtype).tiny)


def _name(profile: Any) -> str:
    return profile if isinstance(profile, str) else getattr(profile, "__name__", type(profile).__name__)
