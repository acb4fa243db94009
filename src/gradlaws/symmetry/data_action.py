"""Actions of GL on hidden units that keep the outputs on one batch of data only (Zhao et al. 2023, 2022).

They need no property of the activation but are not symmetries of the function: other inputs are changed, and for more
examples than hidden units even the batch is. That condition is checked here, not assumed. The published code computes
activations from old weights and inverts ``I + T`` by ``I - T``, which is exact to first order only; here activations
are new and inverses true. The published formulas multiply a pseudo-inverse onto new activations and so forget the part
of a weight that the batch does not see, even at g = 1; here it stays.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from gradlaws.errors import InputError

Activation = Callable[[Tensor], Tensor]

_RANK = 1e-10


def carrying(z: Tensor) -> Tensor:
    """A matrix R with ``R e_1 = z``, ``R R^T = |z|^2 I`` and determinant ``|z|^h``, for a vector of h >= 2 entries.

    A Householder reflection away from z, with its last column turned: defined for every z but 0, whatever the signs.
    (Spherical coordinates by arccos lose the sign of the last entry.)

    Raises:
        InputError: z is zero, not a vector, or has one entry only.
    """
    if z.dim() != 1 or len(z) < 2:
        raise InputError(f"z has shape {tuple(z.shape)}: expected a vector of at least two entries")
    size = z.norm()
    if not float(size) > 0:
        raise InputError("z is the zero vector: no rotation carries the first axis to it")
    sign = 1.0 if float(z[0]) >= 0 else -1.0
    first = torch.zeros_like(z)
    first[0] = 1.0
    w = z / size + sign * first
    reflection = torch.eye(len(z), dtype=z.dtype) - 2 * torch.outer(w, w) / w.dot(w)
    rotation = -sign * reflection
    if (sign > 0 and len(z) % 2 == 0) or sign < 0:
        rotation = torch.cat([rotation[:, :-1], -rotation[:, -1:]], 1)
    return size * rotation


def act_on_input(u: Tensor, v: Tensor, g: Tensor, x: Tensor, activation: Activation) -> tuple[Tensor, Tensor]:
    """``(U R_a R_b^-1, g V)`` with ``a = act(V x)``, ``b = act(g V x)``: keeps ``U act(V x)`` for this one x.

    Args:
        u: ``[outputs, h]``.
        v: ``[h, inputs]``.
        g: invertible, ``[h, h]``.
        x: ``[inputs]``.
        activation: must not map what occurs to the zero vector.

    Raises:
        InputError: shapes do not fit, g is singular, or an activation vanishes.
    """
    refuse_element(g, len(v))
    old, new = carrying(activation(v @ x)), carrying(activation(g @ v @ x))
    return u @ old @ new.T / new[:, 0].dot(new[:, 0]), g @ v


def act_on_batch(u: Tensor, v: Tensor, g: Tensor, x: Tensor, activation: Activation) -> tuple[Tensor, Tensor]:
    """``(U + U (a - b) b^+, g V)``, ``a = act(V X)``, ``b = act(g V X)``: keeps ``U a`` for ``X [inputs, k]``, k <= h.

    Equal to the published ``U a b^+`` on what the batch sees.

    Raises:
        InputError: shapes do not fit, g is singular, or the activations of the batch are dependent.
    """
    refuse_element(g, len(v))
    old, new = activation(v @ x), activation(g @ v @ x)
    refuse_large_batch(new, "hidden units")
    return u + u @ (old - new) @ torch.linalg.pinv(new), g @ v


def act_on_layers(
    weights: Sequence[Tensor],
    biases: Sequence[Tensor | None],
    elements: Sequence[Tensor | None],
    x: Tensor,
    activation: Activation,
    inverse: Activation,
) -> list[Tensor]:
    """New weights of a multi-layer network that computes the same on the batch x; biases stay.

    With h the input of layer m on the batch, z its pre-activation and g its element: ``W_m`` becomes
    ``W_m + (inverse(g act(z)) - z) h^+`` and the layer above loses g by its true inverse; layers are visited from
    below, so every h is that of the new network (Zhao et al. 2022, made exact; biases cancel).

    Args:
        weights: ``[widths[i + 1], widths[i]]``, at least two.
        biases: one for each weight, or None.
        elements: for each hidden layer an invertible matrix, or None to leave it.
        x: ``[inputs, k]``; k must not exceed the input width of any layer that is acted on.
        activation: bijective.
        inverse: its inverse.

    Raises:
        InputError: shapes do not fit, an element is singular, or a batch is too large.
    """
    if len(elements) != len(weights) - 1 or len(biases) != len(weights):
        raise InputError(
            f"{len(weights)} weights, {len(biases)} biases and {len(elements)} group elements: expected as many biases "
            "as weights and one element for each hidden layer"
        )
    new, h = list(weights), x
    for m, g in enumerate(elements):
        b = biases[m]
        shift = 0.0 if b is None else b.unsqueeze(1)
        z = new[m] @ h + shift
        if g is not None:
            refuse_element(g, len(z))
            refuse_large_batch(h, f"inputs of layer {m + 1}")
            new[m] = new[m] + (inverse(g @ activation(z)) - z) @ torch.linalg.pinv(h)
            new[m + 1] = torch.linalg.solve(g.T, new[m + 1].T).T
            z = new[m] @ h + shift
        h = activation(z)
    return new


def refuse_element(g: Tensor, width: int) -> None:
    """One sentence for what is no group element.

    Raises:
        InputError: g is not square of this width, or singular.
    """
    if g.dim() != 2 or g.shape[0] != g.shape[1]:
        raise InputError(f"group element of shape {tuple(g.shape)}: expected a square matrix")
    if len(g) != width:
        raise InputError(f"group element of shape {tuple(g.shape)}: expected {width} x {width}, one row for each unit")
    values = torch.linalg.svdvals(g.detach())
    if not float(values[-1]) > 1e-12 * float(values[0]):
        raise InputError("the group element is singular: expected a matrix with an inverse")


def refuse_large_batch(h: Tensor, what: str) -> None:
    """The action is exact if the columns of h, one for each example, are independent.

    Raises:
        InputError: they are not.
    """
    if h.shape[1] > len(h):
        raise InputError(
            f"{h.shape[1]} examples but {len(h)} {what}: the outputs stay on at most as many examples as that"
        )
    if not bool(h.isfinite().all()):
        raise InputError(f"the batch has {what} that are not finite: expected numbers")
    values = torch.linalg.svdvals(h.detach())
    if not float(values[-1]) > _RANK * float(values[0]):
        raise InputError(f"the batch is degenerate: its {what} are linearly dependent over the examples")
