"""What stands between two linear layers: what it does to single units, which of them it makes constant or alike."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from gradlaws.errors import UnsupportedError
from gradlaws.models.radial import Radial

_DROPOUTS = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout, nn.FeatureAlphaDropout)
_SLOPED = (nn.LeakyReLU, nn.PReLU, nn.RReLU)
_RISING = (
    *(nn.Identity, nn.ReLU, nn.ReLU6, nn.ELU, nn.CELU, nn.SELU, nn.Sigmoid, nn.Tanh, nn.Softplus, nn.Softsign),
    *(nn.Hardtanh, nn.Hardsigmoid, nn.LogSigmoid, nn.Tanhshrink, nn.Softshrink, nn.Hardshrink),
)
_OTHER = (nn.GELU, nn.SiLU, nn.Mish, nn.Hardswish)
_ODD = (nn.Identity, nn.Tanh, nn.Softsign, nn.Tanhshrink, nn.Softshrink, nn.Hardshrink)
_AVERAGES = (nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d)
_POOLS = (
    *_AVERAGES,
    *(nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d, nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d, nn.AdaptiveAvgPool3d),
    *(nn.AdaptiveMaxPool1d, nn.AdaptiveMaxPool2d, nn.AdaptiveMaxPool3d),
)
_MAXIMA = (nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d, nn.AdaptiveMaxPool1d, nn.AdaptiveMaxPool2d, nn.AdaptiveMaxPool3d)


@dataclass(frozen=True, eq=False, slots=True)
class Between:
    """Operations that act on each unit, or on each channel, by itself.

    Args:
        named: names and modules in order.
    """

    named: tuple[tuple[str, nn.Module], ...] = ()

    @property
    def parts(self) -> list[nn.Module]:
        """The modules."""
        return [part for _, part in self.named]

    @property
    def linear(self) -> bool:
        """Whether it does nothing at all."""
        return all(type(part) is nn.Identity or type(part) in _DROPOUTS for part in self.parts)

    @property
    def homogeneous(self) -> bool:
        """Whether a positive factor passes through."""
        kinds = (nn.ReLU, nn.Identity, nn.Flatten, *_SLOPED, *_DROPOUTS, *_POOLS)
        return all(type(part) in kinds for part in self.parts)

    @property
    def odd(self) -> bool:
        """Whether a sign passes through."""
        kinds = (*_ODD, nn.Flatten, *_DROPOUTS, *(kind for kind in _POOLS if kind not in _MAXIMA))
        return all(type(part) in kinds or _symmetric(part) for part in self.parts)

    def values(self, low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
        """Bounds on each unit after, from bounds before; equal ones where a unit is constant.

        An average with padding mixes in zeros.
        """
        for part in self.parts:
            if isinstance(part, _AVERAGES) and any(_tuple(part.padding)):
                low, high = low.clamp(max=0), high.clamp(min=0)
            if type(part) in (*_RISING, *_SLOPED, *_OTHER):
                act = copy.deepcopy(part).to("cpu", torch.float64)
                with torch.no_grad():
                    after_low, after_high = act(low), act(high)
                bounded = (low == high) | torch.tensor(_rises(part))
                low = torch.where(bounded & ~after_low.isnan(), after_low, -torch.inf)
                high = torch.where(bounded & ~after_high.isnan(), after_high, torch.inf)
        return low, high


def between(parts: Sequence[tuple[str, nn.Module]], spatial: bool, units: int, following: nn.Module) -> Between:
    """See that all that stands between two layers treats units one by one.

    Args:
        parts: names and modules.
        spatial: whether the layer before is a convolution: units are channels.
        units: of the layer before.
        following: the layer after.

    Raises:
        UnsupportedError: something mixes units, or is unknown.
    """
    for name, part in parts:
        _refuse_settings(f"{name} ({type(part).__name__})", part)
        if spatial and type(part) in _POOLS:
            continue
        if type(part) is nn.Flatten:
            if (part.start_dim, part.end_dim) != (1, -1) or not (spatial or _fits(following, units)):
                raise UnsupportedError(f"{name} (Flatten) mixes units with other axes: expected Flatten() of channels")
            spatial = False
            continue
        if type(part) is Radial:
            raise UnsupportedError(
                f"{name} (Radial) turns with the whole layer: write the network as a gradlaws.RadialMLP"
            )
        if type(part) not in (*_RISING, *_SLOPED, *_OTHER, *_DROPOUTS):
            raise UnsupportedError(
                f"{name} ({type(part).__name__}) may mix units or treat them differently: expected activations of each "
                "entry, pooling after convolutions, or batch normalisation right after a layer; compress the parts "
                "before and after it, each on its own"
            )
    if spatial and type(following) is nn.Linear:
        raise UnsupportedError(
            "a linear layer after a convolution acts on the last axis, not on channels: put torch.nn.Flatten() between"
        )
    return Between(tuple(parts))


def _refuse_settings(title: str, part: nn.Module) -> None:
    """See that a known kind of module is set to treat all units alike, and not at random."""
    if isinstance(part, (*_DROPOUTS, nn.RReLU)) and part.training:
        raise UnsupportedError(f"{title} draws random numbers: call model.eval() first")
    if isinstance(part, nn.PReLU) and part.num_parameters != 1:
        raise UnsupportedError(f"{title} has a slope for each unit: expected one for all")
    if getattr(part, "return_indices", False) or getattr(part, "divisor_override", None) is not None:
        raise UnsupportedError(f"{title} returns indices or overrides its divisor: expected plain pooling")


def _fits(following: nn.Module, units: int) -> bool:
    return isinstance(following, nn.Linear) and following.in_features == units


def _rises(part: nn.Module) -> bool:
    """Whether it is monotone."""
    if isinstance(part, nn.PReLU):
        return bool((part.weight >= 0).all())
    falling = any(getattr(part, name, 0.0) < 0 for name in ("negative_slope", "lower", "alpha"))
    return type(part) not in _OTHER and not falling


def _symmetric(part: nn.Module) -> bool:
    return type(part) is nn.Hardtanh and part.min_val == -part.max_val


def _tuple(padding: int | tuple[int, ...]) -> tuple[int, ...]:
    return padding if isinstance(padding, tuple) else (padding,)
