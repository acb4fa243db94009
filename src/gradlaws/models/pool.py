"""Instances taken from data: the inputs of a data set, and the gates that a model has open on them at its weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx
from torch.utils import _pytree as pytree

from gradlaws.errors import InputError, UnsupportedError
from gradlaws.exact.execute import operation, user_line
from gradlaws.exact.rules.activation import choice_shape
from gradlaws.models.record import Program

MOST_ROWS = 2_048
"""Instances that are looked at."""

_WITHOUT_DATA = 512


@dataclass(frozen=True, eq=False, slots=True)
class Pool:
    """Inputs and gates that occur together: one row for each instance.

    Args:
        inputs: by name of the input, ``[rows, *shape]``; empty where inputs are arbitrary.
        choices: by name of the step, ``[rows, *shape]``; empty where gates are free.
    """

    inputs: Mapping[str, Tensor]
    choices: Mapping[str, Tensor]

    @property
    def rows(self) -> int:
        """How many instances there are; 0 where everything is free."""
        return next((len(values) for values in (*self.inputs.values(), *self.choices.values())), 0)


FREE = Pool({}, {})


def pool_of(program: Program, drawn: Mapping[str, int | None], data: Any, weights: Mapping[str, Tensor] | None) -> Pool:
    """The instances of a data set, at given weights if any.

    Args:
        program: the recorded forward pass.
        drawn: inputs that vary between instances; of whole numbers, how many there are.
        data: like the example inputs, with the examples along the first axis; None for arbitrary inputs.
        weights: values of all parameters, for gates as they are there; None for free gates.

    Raises:
        InputError: the data do not fit the example inputs.
        UnsupportedError: the state of an operation cannot be observed.
    """
    if data is None and weights is None:
        return FREE
    inputs = _random(program, drawn) if data is None else _rows_of(program, drawn, data)
    choices = {} if weights is None else _observed(program, inputs, weights)
    return Pool({} if data is None else inputs, choices)


def _random(program: Program, drawn: Mapping[str, int | None]) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)
    values = {}
    for name, rows in drawn.items():
        shape = (_WITHOUT_DATA, *program.inputs[name].shape)
        values[name] = (
            torch.randn(shape, generator=generator, dtype=torch.float64)
            if rows is None
            else torch.randint(0, rows, shape, generator=generator)
        )
    return values


def _rows_of(program: Program, drawn: Mapping[str, int | None], data: Any) -> dict[str, Tensor]:
    """One row for each example, or random batches of examples where the example inputs are a batch."""
    leaves = [leaf for leaf in pytree.tree_leaves(data) if isinstance(leaf, Tensor)]
    names = [name for name, value in program.inputs.items() if isinstance(value, Tensor)]
    if len(leaves) != len(names):
        raise InputError(
            f"the data hold {len(leaves)} tensors and the example inputs {len(names)}: expected the same structure, "
            "with the examples along the first axis of each"
        )
    if len({len(leaf) for leaf in leaves}) > 1 or not len(leaves[0]):
        raise InputError("every tensor of the data must hold the same number of examples, at least one")
    generator = torch.Generator().manual_seed(0)
    found, batches = {}, None
    for name, leaf in zip(names, leaves, strict=True):
        shape = tuple(program.inputs[name].shape)
        if tuple(leaf.shape[1:]) == shape:
            values = leaf
        elif shape and tuple(leaf.shape[1:]) == shape[1:]:
            batches = _batches(len(leaf), shape[0], generator) if batches is None else batches
            values = leaf[batches]
        else:
            raise InputError(
                f"the data have shape {list(leaf.shape)} and an example input {list(shape)}: expected "
                f"{['n', *shape]} or {['n', *shape[1:]]}".replace("'n'", "n")
            )
        if name in drawn:
            found[name] = values[_some(len(values), generator)].detach().cpu()
            found[name] = found[name].to(torch.float64) if drawn[name] is None else found[name]
    return found


def _batches(rows: int, size: int, generator: torch.Generator) -> Tensor:
    if size == 1:
        return torch.arange(rows).unsqueeze(1)
    return torch.randint(0, rows, (MOST_ROWS, size), generator=generator)


def _some(rows: int, generator: torch.Generator) -> Tensor:
    return (
        torch.arange(rows) if rows <= MOST_ROWS else torch.randperm(rows, generator=generator.clone_state())[:MOST_ROWS]
    )


def _observed(program: Program, inputs: Mapping[str, Tensor], weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Run the program on every row and note which pieces of its piecewise functions are in use."""
    rows: dict[str, list[Tensor]] = {}
    count = len(next(iter(inputs.values()))) if inputs else 1
    with torch.no_grad():
        for row in range(count):
            seen = _Observer(program, weights).on({name: values[row] for name, values in inputs.items()})
            for name, choice in seen.items():
                rows.setdefault(name, []).append(choice)
    return {name: torch.stack(values).to(torch.float64) for name, values in rows.items()}


class _Observer(fx.Interpreter):
    """Runs a program in floating point and keeps what its gates are."""

    def __init__(self, program: Program, weights: Mapping[str, Tensor]):
        super().__init__(fx.GraphModule(torch.nn.Module(), program.graph))
        self.program, self.weights = program, weights
        self.seen: dict[str, Tensor] = {}

    def on(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The gates of every step that has some."""
        program = self.program
        values: dict[str, Any] = {**program.constants, **program.inputs}
        values |= {name: self.weights[owner] for name, owner in program.parameters.items()}
        values |= {name: value.to(program.inputs[name].dtype) for name, value in inputs.items()}
        self.run(*(values[node.name] for node in program.graph.nodes if node.op == "placeholder"))
        return self.seen

    def run_node(self, n: fx.Node) -> Any:
        """One step."""
        if n.op == "call_function" and choice_shape(n) is not None:
            if operation(n) not in _CHOICES:
                raise UnsupportedError(
                    f"cannot read the state of {operation(n)} at {user_line(n)} off a run: ask without at='weights', "
                    "or with engine='numeric'"
                )
            args, kwargs = self.fetch_args_kwargs_from_env(n)
            self.seen[n.name] = _CHOICES[operation(n)](*args, **kwargs)
        return super().run_node(n)


def _inside(x: Tensor, low: float | None = None, high: float | None = None) -> Tensor:
    above = torch.ones_like(x, dtype=torch.bool) if low is None else x > low
    return above if high is None else above & (x < high)


def _positive(x: Tensor, *_args: Any, **_kwargs: Any) -> Tensor:
    return x > 0


_CHOICES: dict[str, Callable[..., Tensor]] = {
    "aten.relu": _positive,
    "aten.leaky_relu": lambda x, slope=0.01: torch.where(x > 0, 1.0, slope),
    "aten.abs": lambda x: torch.where(x < 0, -1.0, 1.0),
    "aten.hardtanh": lambda x, low=-1.0, high=1.0: _inside(x, low, high),
    "aten.relu6": lambda x: _inside(x, 0.0, 6.0),
    "aten.clamp": _inside,
    "aten.clamp_min": _inside,
    "aten.clamp_max": lambda x, high: _inside(x, None, high),
    "aten.prelu": _positive,
    "aten.elu": _positive,
    "aten.celu": _positive,
    "aten.selu": _positive,
    "aten.maximum": lambda a, b: a > b,
    "aten.minimum": lambda a, b: a < b,
}
"""What the rules of `gradlaws.exact.rules.activation` call the choice of a step."""
