"""Idle hidden units of any module, such as those of the MLPs of a transformer: found by switching units off.

Nothing is known of the architecture. `permutations` finds hidden indices that one layer reads; units that may be
exchanged are computed alike, so units with equal incoming weights are equal, and their outgoing weights are added up.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from gradlaws.errors import InputError, UnclearError, UnsupportedError
from gradlaws.laws.contraction import Contraction
from gradlaws.symmetry.compression import Compression
from gradlaws.symmetry.coupling import Coupling
from gradlaws.symmetry.faithful import SCALES, measured, random_like
from gradlaws.symmetry.permute import permutations
from gradlaws.symmetry.trial import arguments, duplicate_of, outputs
from gradlaws.symmetry.units import Removed, leaders

_SIZES = {
    "Linear": ({0: "out_features", 1: "in_features"}, {0: "out_features"}),
    "Conv1d": ({0: "out_channels", 1: "in_channels"}, {0: "out_channels"}),
    "Conv2d": ({0: "out_channels", 1: "in_channels"}, {0: "out_channels"}),
    "Conv3d": ({0: "out_channels", 1: "in_channels"}, {0: "out_channels"}),
    "Conv1D": ({0: "nx", 1: "nf"}, {0: "nf"}),  # the transposed linear layer of transformers
}
"""Attributes that hold the lengths of the axes of a weight and of a bias, by the class of the layer."""

_INPUTS = ("in_features", "in_channels", "nx")


@dataclass(frozen=True, eq=False, slots=True)
class Thinned:
    """Hidden units of one layer that went.

    Args:
        removed: how many, and why.
        embedding: ``[units, units that are left]``: the old units as multiples of the new; zero for unseen ones.
    """

    removed: Removed
    embedding: Tensor


def without_idle_hidden(module: nn.Module, example_inputs: Any) -> Compression:
    """A copy of a module without hidden units that are zero, unseen or copies; evaluation mode is meant.

    Args:
        module: any module; its forward pass must not fix the number of its hidden units.
        example_inputs: a tensor, a tuple of positional or a dict of keyword arguments.

    Raises:
        InputError: the module fails on the inputs.
        UnsupportedError: there are no hidden units in linear layers or convolutions that a single layer reads.
        UnclearError: the outputs differ by more than half of the digits.
    """
    made, widths, now = copy.deepcopy(module), dict[str, int](), dict[str, int]()
    found, stuck, gone = dict[str, Thinned](), set[str](), 1
    while gone:
        gone = 0
        for group in _resizable(made, example_inputs):
            name, trial = _owner(_sides(made, group)[0][0]), copy.deepcopy(made)
            if name in stuck:
                continue
            thinned = _thin_(trial, group, example_inputs)
            left = thinned.embedding.shape[1]
            if left < group.width and not _runs_alike(module, trial, example_inputs):
                stuck.add(name)  # its forward pass fixes the number of its units, as attention does
                continue
            widths.setdefault(name, group.width)
            made, now[name], gone = trial, left, gone + group.width - left
            found[name] = _then(found.get(name), thinned)
    if not widths:
        raise UnsupportedError(
            f"{type(module).__name__} has no hidden units, in linear layers or convolutions, that a single layer reads "
            "and that may be exchanged: there is nothing to compress"
        )
    before, after = (copy.deepcopy(each).eval() for each in (module, made))
    error, scale = measured(lambda m, x: outputs(m, *x), before, after, _probes(example_inputs))
    sizes = tuple(sum(p.numel() for p in each.parameters()) for each in (module, made))
    return Compression(
        made,
        widths,
        now,
        {name: each.embedding for name, each in found.items()},
        (sizes[0], sizes[1]),
        error,
        scale,
        tuple(filter(None, (str(each.removed) for each in found.values()))),
    )


def _runs_alike(module: nn.Module, trial: nn.Module, example_inputs: Any) -> bool:
    """Whether a copy with fewer units still runs, with the same outputs."""
    try:
        first, second = (copy.deepcopy(m).eval() for m in (module, trial))
        measured(lambda m, x: outputs(m, *x), first, second, _probes(example_inputs))
    except (InputError, UnclearError):
        return False
    return True


def _thin_(module: nn.Module, group: Coupling, example_inputs: Any) -> Thinned:
    """Take the idle units of one group out of a module, in place."""
    parameters = dict(module.named_parameters())
    state = {name: parameters[name].detach().to("cpu", torch.float64) for name in group.tensors}
    fed, (reader,) = _sides(module, group)
    incoming = torch.cat([piece.rows(state) for piece in fed], 1)
    outgoing = reader.rows(state)
    unseen = (outgoing == 0).all(1)
    zero = _zero(module, group, state, example_inputs) & ~unseen
    rounding = max(torch.finfo(parameters[name].dtype).eps for name in group.tensors)
    spread = leaders(incoming, torch.ones(group.width, dtype=torch.float64), ~(unseen | zero), rounding)
    kept = spread.any(0).nonzero().squeeze(1)
    copies = int((~(unseen | zero)).sum()) - len(kept)
    if not len(kept):  # a layer keeps a unit
        kept, unseen[0] = torch.zeros(1, dtype=torch.long), False
    if len(kept) < group.width:
        for piece in fed:
            _resize_(module, piece, parameters[piece.tensor].detach().index_select(piece.axis, kept))
        gathered = (spread[:, kept].T @ outgoing).reshape(len(kept), *_rest(state[reader.tensor], reader.axis))
        _resize_(module, reader, gathered.movedim(0, reader.axis).to(parameters[reader.tensor]))
    removed = Removed(_owner(fed[0]), int(zero.sum()), int(unseen.sum()), copies)
    return Thinned(removed, spread[:, kept])


def _zero(module: nn.Module, group: Coupling, state: Mapping[str, Tensor], example_inputs: Any) -> Tensor:
    """Units that hear nothing and are zero: all their weights are, and no output depends on who reads them."""
    fed, (reader,) = _sides(module, group)
    silent = torch.stack([(piece.rows(state) == 0).all(1) for piece in fed if piece.order > 1] or [torch.zeros(1)])
    found = torch.zeros(group.width, dtype=torch.bool)
    duplicate, inputs = duplicate_of(module), arguments(example_inputs)
    inputs = pytree.tree_map(lambda x: x.double() if isinstance(x, Tensor) and x.is_floating_point() else x, inputs)
    tensor = dict(duplicate.named_parameters())[reader.tensor]
    with torch.no_grad():
        before = outputs(duplicate, *inputs)
        for unit in silent.all(0).nonzero().flatten().tolist():
            row = tensor.movedim(reader.axis, 0)[unit]
            kept = row.clone()
            row += 1
            after = outputs(duplicate, *inputs)
            row.copy_(kept)
            found[unit] = all(torch.equal(a, b) for a, b in zip(before, after, strict=True))
    return found


def _resizable(module: nn.Module, example_inputs: Any) -> list[Coupling]:
    """Hidden indices along whole axes of layers whose widths are written down in known places."""
    owned: dict[int, list[str]] = {}
    for name, p in module.named_parameters(remove_duplicate=False):
        owned.setdefault(id(p), []).append(name)
    tied = {name for names in owned.values() if len(names) > 1 for name in names}
    return [
        group
        for group in permutations(module, example_inputs)
        if all(piece.whole and piece.tensor not in tied and _attribute(module, piece) for piece, _ in group.parts)
        and len(_sides(module, group)[1]) == 1
    ]


def _sides(module: nn.Module, group: Coupling) -> tuple[list[Contraction], list[Contraction]]:
    """What feeds the units, in the order of the module, and the layers that read them."""
    order = [name for name, _ in module.named_parameters()]
    pieces = sorted((piece for piece, _ in group.parts), key=lambda piece: order.index(piece.tensor))
    readers = [piece for piece in pieces if _attribute(module, piece) in _INPUTS]
    return [piece for piece in pieces if piece not in readers], readers


def _attribute(module: nn.Module, piece: Contraction) -> str | None:
    """Where the owner of a tensor holds the length of the axis; None where that is not known."""
    owner = module.get_submodule(_owner(piece))
    weight, bias = _SIZES.get(type(owner).__name__, ({}, {}))
    known = {"weight": weight, "bias": bias}.get(piece.tensor.rpartition(".")[2], {})
    name = known.get(piece.axis)
    return name if name and hasattr(owner, name) and getattr(owner, "groups", 1) == 1 else None


def _resize_(module: nn.Module, piece: Contraction, value: Tensor) -> None:
    owner, name = module.get_submodule(_owner(piece)), piece.tensor.rpartition(".")[2]
    old, attribute = owner.get_parameter(name), _attribute(module, piece)
    setattr(owner, name, nn.Parameter(value.contiguous(), requires_grad=old.requires_grad))
    setattr(owner, str(attribute), value.shape[piece.axis])


def _owner(piece: Contraction) -> str:
    return piece.tensor.rpartition(".")[0]


def _rest(tensor: Tensor, axis: int) -> list[int]:
    return [n for i, n in enumerate(tensor.shape) if i != axis]


def _then(first: Thinned | None, second: Thinned) -> Thinned:
    """One after the other."""
    if first is None:
        return second
    a, b = first.removed, second.removed
    total = Removed(a.layer, a.constant + b.constant, a.unseen + b.unseen, a.copies + b.copies)
    return Thinned(total, first.embedding @ second.embedding)


def _probes(example_inputs: Any) -> list[Any]:
    """Random numbers of several sizes for floats; whole numbers as they are."""
    given, random = arguments(example_inputs), torch.Generator().manual_seed(0)
    if not any(isinstance(leaf, Tensor) for leaf in pytree.tree_leaves(given)):
        raise InputError("example_inputs hold no tensor: expected what the module is called with")
    return [
        pytree.tree_map(lambda x, s=scale: random_like(x, s, random) if isinstance(x, Tensor) else x, given)
        for scale in SCALES
    ]
