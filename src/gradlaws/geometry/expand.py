"""A two-layer network in more units: a random point of one subspace that `gradlaws.geometry.critical` counts."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from gradlaws.errors import InputError


def expand(
    incoming: Tensor, outgoing: Tensor, labels: Sequence[int], generator: torch.Generator | None = None
) -> tuple[Tensor, Tensor]:
    """A random point of one subspace: the same function in more units (Simsek et al. 2021).

    Copies of a unit share its outgoing weight; units of a further group are equal and cancel. Where no group cancels, a
    critical point of any loss stays one.

    Args:
        incoming: weights and biases of the r units, ``[r, inputs]``.
        outgoing: their weights to the outputs, ``[outputs, r]``.
        labels: for each new unit the unit 0, ..., r - 1 that it copies; a larger number is the name of a group of equal
            units, drawn at random, whose outgoing weights add up to zero.
        generator: source of the point.

    Returns:
        Weights ``[m, inputs]`` and ``[outputs, m]``.

    Raises:
        InputError: shapes that do not fit, a unit without a copy, or a negative label.
    """
    if not (isinstance(incoming, Tensor) and isinstance(outgoing, Tensor)):
        raise InputError("weights are no tensors: expected [r, inputs] and [outputs, r]")
    r = len(incoming)
    if incoming.dim() != 2 or outgoing.dim() != 2 or outgoing.shape[1] != r:
        raise InputError(
            f"expected weights [r, inputs] and [outputs, r], got {list(incoming.shape)} and {list(outgoing.shape)}"
        )
    if (
        not all(isinstance(label, int) for label in labels)
        or min(labels, default=-1) < 0
        or not set(range(r)) <= set(labels)
    ):
        raise InputError(f"labels {list(labels)}: expected each of 0 to {r - 1} at least once, and no negative number")
    wide_in = incoming.new_empty(len(labels), incoming.shape[1])
    wide_out = outgoing.new_empty(len(outgoing), len(labels))
    for label in set(labels):
        group = [i for i, other in enumerate(labels) if other == label]
        unit = incoming[label] if label < r else torch.randn(incoming.shape[1], generator=generator).to(incoming)
        total = outgoing[:, label] if label < r else outgoing.new_zeros(len(outgoing))
        parts = torch.randn(len(outgoing), len(group), generator=generator).to(outgoing)
        wide_in[group] = unit
        wide_out[:, group] = parts + ((total - parts.sum(1)) / len(group)).unsqueeze(1)
    return wide_in, wide_out
