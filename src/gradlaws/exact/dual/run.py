"""Runs a recorded torch program on cells: which of its outputs move along one direction of the parameters?

Calls that no moving cell enters need no rule: whatever they compute does not move. So rules exist only for operations
through which symmetries act; where one is missing the proof is given up.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx
from torch.utils import _pytree as pytree

from gradlaws.exact.dual.cells import DEAD, Cells, NotProvedError
from gradlaws.exact.execute import operation

Rule = Callable[..., Any]
DUAL_RULES: dict[str, Rule] = {}
"""Rules by operation, for example ``aten.linear``; the first argument is the `Site`."""

STRUCTURAL: set[str] = set()
"""Operations whose rules always run, because they keep what is known of the cells: moves, masks, softmax."""


@dataclass(frozen=True, eq=False, slots=True)
class Entries:
    """A floating point array that depends on inputs or parameters: the numbers of its cells."""

    cells: Tensor


@dataclass(frozen=True, eq=False, slots=True)
class Unknown:
    """Whole numbers or truth values that differ from example to example: numbers that name them."""

    handles: Tensor


@dataclass(frozen=True, eq=False, slots=True)
class Site:
    """What a rule sees of the run.

    Args:
        cells: the cells of the proof.
        node: the call.
        eps: what becomes of the small constants of normalisations: ``generic`` or ``zero``.
    """

    cells: Cells
    node: fx.Node
    eps: str

    def entries(self, x: Any) -> Tensor:
        """Cells of an argument: of an array, a constant tensor or a number.

        Raises:
            NotProvedError: it is neither.
        """
        if isinstance(x, Entries):
            return x.cells
        if isinstance(x, Tensor):
            return self.cells.numbers(x)
        if isinstance(x, int | float):
            return torch.tensor(self.cells.number(x))
        raise NotProvedError(f"{operation(self.node)} of {type(x).__name__}")

    def epsilon(self, value: float) -> Tensor:
        """The small constant of a normalisation."""
        return self.entries(0.0 if self.eps == "zero" else value)

    def still(self) -> Any:
        """Outputs that do not move and of which nothing else is known."""
        return pytree.tree_map(self._still, self.node.meta.get("val"))

    def _still(self, value: Any) -> Any:
        if not isinstance(value, Tensor):
            return value
        fresh = self.cells.fresh(value.shape)
        return Entries(fresh) if value.is_floating_point() else Unknown(fresh)


def run_on_cells(
    graph: fx.Graph, bindings: Mapping[str, Any], wanted: Sequence[fx.Node], cells: Cells, eps: str
) -> list[Any]:
    """Values of the wanted nodes, with placeholders bound by name.

    Raises:
        NotProvedError: a moving cell meets an operation without a rule, or there was too much work.
    """
    values: dict[fx.Node, Any] = {}
    for node in graph.nodes:
        if node.op == "placeholder":
            values[node] = bindings[node.name]
        elif node.op == "call_function":
            args, kwargs = fx.node.map_arg((node.args, node.kwargs), values.__getitem__)
            values[node] = _call(Site(cells, node, eps), args, kwargs)
        elif node.op != "output":
            raise NotProvedError(f"a {node.op} step")
    return [values[node] for node in wanted]


def _call(site: Site, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    leaves = pytree.tree_leaves((args, kwargs))
    entries = [x.cells for x in leaves if isinstance(x, Entries)]
    if not entries and not any(isinstance(x, Unknown) for x in leaves):
        return site.node.target(*args, **kwargs)  # type: ignore[operator]
    name = operation(site.node)
    rule = DUAL_RULES.get(name)
    moving = any(bool(site.cells.moving(x).any()) for x in entries)
    if rule is not None and (moving or name in STRUCTURAL or site.cells.keep):
        try:
            return rule(site, *args, **kwargs)
        except NotProvedError:
            if moving or name in STRUCTURAL:
                raise
            return site.still()
        except (TypeError, ValueError, RuntimeError, IndexError) as error:
            # rules know the usual forms of a call; an unusual one is no error of the user
            raise NotProvedError(f"the rule for {name} does not cover this call: {error}") from error
    if moving:
        raise NotProvedError(f"no rule for {name}")
    return site.still()


def has_mask(cells: Tensor) -> bool:
    """Whether some entries stand for minus infinity."""
    return bool((cells == DEAD).any())
