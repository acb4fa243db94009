"""Rotations of the hidden states of a radial network, and the descent that stays in reduced coordinates."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import TypeVar

import torch
from torch import Tensor

from gradlaws.errors import InputError
from gradlaws.models.radial import RadialNetwork
from gradlaws.symmetry.compression import Compression

N = TypeVar("N", bound=RadialNetwork)


def rotated(net: N, bases: Mapping[str, Tensor], *, inverse: bool = False) -> N:
    """A copy with ``W_e -> Q_target W_e Q_source^-1`` and ``b -> Q b``: the same function in other coordinates.

    Args:
        net: the network.
        bases: orthogonal matrices by hidden vertex; the identity where there is none.
        inverse: act by the inverse matrices instead.

    Raises:
        InputError: a matrix for a vertex that is not hidden, of the wrong size or not orthogonal.
    """
    for vertex, q in bases.items():
        _refuse(net, vertex, q)
    turns = {v: (q.T if inverse else q).to("cpu", torch.float64) for v, q in bases.items()}
    turned = copy.deepcopy(net)
    values = dict(turned.named_parameters())
    with torch.no_grad():
        for (source, target), name in net.arrows.items():
            weight = values[name].to("cpu", torch.float64)
            weight = turns[target] @ weight if target in turns else weight
            values[name].copy_(weight @ turns[source].T if source in turns else weight)
        for vertex, name in net.offsets.items():
            if vertex in turns:
                values[name].copy_(turns[vertex] @ values[name].to("cpu", torch.float64))
    return turned


def masks(net: RadialNetwork, dimensions: Mapping[str, int]) -> dict[str, Tensor]:
    """Zero where an arrow leads from reduced coordinates out of them, one elsewhere; by parameter."""
    found = {name: torch.ones_like(p) for name, p in net.named_parameters()}
    for (source, target), name in net.arrows.items():
        found[name][dimensions[target] :, : dimensions[source]] = 0
    for vertex, name in net.offsets.items():
        found[name][dimensions[vertex] :] = 0
    return found


def projected(net: N, compression: Compression) -> N:
    """The network in reduced coordinates, with hooks that mask its gradients (Ganev, Laarhoven, Walters 2021).

    Gradient descent on it is projected gradient descent: k steps from here are k steps of gradient descent on
    ``compression.module``, in the leading block of each parameter, and all other entries never move: Theorem 8. The
    same holds for every optimizer that treats each entry by itself, such as Adam. Gradient descent without the mask
    leaves the block: it is that of the original network, turned by Q.

    Args:
        net: the network that was compressed.
        compression: what `gradlaws.compress` answered.

    Raises:
        InputError: the compression is that of another network, or of other weights.
    """
    if dict(net.dimensions) != dict(compression.before):
        raise InputError(f"a compression of {compression.before}: expected one of this network, {net.dimensions}")
    turned = rotated(net, compression.transformation, inverse=True)
    found = masks(turned, compression.after)
    for name, p in turned.named_parameters():
        outside = float((p.detach() * (1 - found[name])).norm())
        if not outside <= torch.finfo(p.dtype).eps ** 0.5 * float(p.detach().norm()):
            raise InputError(f"the compression does not fit {name}: expected that of this network at these weights")
        p.detach().mul_(found[name])  # zero but for rounding
        if p.requires_grad:
            p.register_hook(lambda gradient, mask=found[name]: gradient * mask)
    return turned


def _refuse(net: RadialNetwork, vertex: str, q: Tensor) -> None:
    n = net.dimensions.get(vertex)
    if vertex not in net.hidden or n is None or tuple(q.shape) != (n, n):
        raise InputError(
            f"a matrix of shape {tuple(q.shape)} for {vertex!r}: expected square ones for some of the hidden vertices "
            f"{ {v: net.dimensions[v] for v in net.hidden} }"
        )
    error = float((q.T @ q - torch.eye(n, dtype=q.dtype, device=q.device)).abs().max())
    if not error <= torch.finfo(q.dtype).eps ** 0.75:
        raise InputError(f"the matrix for {vertex!r} is not orthogonal: Q^T Q differs from the identity by {error:.1e}")
