"""Parameters moved along the orbit of several groups, by logarithms of their elements."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from gradlaws.symmetry.batch_action import BatchAction
from gradlaws.symmetry.coupling import Coupling, put
from gradlaws.symmetry.group_action import State

Action = Coupling | BatchAction
"""What moves parameters without changing the function, or without changing the outputs on one batch."""


def along(
    state: Mapping[str, Tensor], groups: Sequence[Action], logs: Sequence[Tensor], *, back: bool = False
) -> State:
    """The state moved by ``exp`` of each logarithm, one group after the other; differentiable.

    Args:
        state: named parameters.
        groups: couplings, actions on a batch.
        logs: one for each, of the shape of an element.
        back: the way back instead.

    Raises:
        InputError: the batch of an action is degenerate there.
    """
    now = {name: x.to(torch.float64) for name, x in state.items()}
    pairs = list(zip(groups, logs, strict=True))
    for group, log in reversed(pairs) if back else pairs:
        if isinstance(group, BatchAction):
            now = (group.undone if back else group.moved)(now, exponential(group, log))
            continue
        element = exponential(group, -log if back else log)
        for piece, c in group.parts:
            x = now[piece.tensor]
            now[piece.tensor] = put(x, piece, group.moved(piece.rows({piece.tensor: x}), c, element, piece))
    return {name: x.to(state[name].dtype) for name, x in now.items()}


def exponential(group: Action, log: Tensor) -> Tensor:
    """The element of a logarithm of the shape of an element; antisymmetric ones only for rotations."""
    if group.group == "positive":
        return torch.exp(log)
    if group.group == "complex":
        return torch.exp(log).to(torch.complex128)
    if group.group == "orthogonal":
        log = (log - log.mT) / 2
    return torch.linalg.matrix_exp(log)
