"""Runs an ordinary torch program, recorded as a graph of operations, over a prime field.

A recorded program is a sequence of calls of named operations. Calls that touch no field value run in torch as they
are; the others run by a rule of `gradlaws.exact.rules`. An operation without a rule is refused, with the line of user
code it came from: nothing is ever approximated.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import torch
from torch import Tensor, fx
from torch.utils import _pytree as pytree

from gradlaws.errors import UnsupportedError
from gradlaws.exact.constants import Residues
from gradlaws.exact.field import PrimeField
from gradlaws.exact.jet import Jet, constant
from gradlaws.exact.tape import Tape, tape_of

_TORCH = torch.__file__.rsplit("/", 1)[0]

Epsilon = Literal["generic", "zero"]
Rule = Callable[..., Any]
RULES: dict[str, Rule] = {}
"""Rules by operation, for example ``aten.linear``."""
TAKES_MASKS: set[str] = set()
"""Operations whose rule knows what to do with a value some of whose entries are minus infinity."""


@dataclass(frozen=True, eq=False, slots=True)
class Data:
    """Whole numbers or truth values that differ from example to example: ``[batch, *shape]``."""

    values: Tensor


@dataclass(frozen=True, eq=False, slots=True)
class OneHot:
    """Whole numbers as rows of scalars ``[*shape, rows]``, for runs on a tape: which scalar is 1 is left open."""

    rows: Jet


@dataclass(frozen=True, eq=False, slots=True)
class Masked:
    """A jet some of whose entries, ``dead [batch or 1, *shape]``, are minus infinity: softmax makes them zero."""

    jet: Jet
    dead: Tensor


@dataclass(frozen=True, eq=False)
class Context:
    """What the rules of one run share.

    Args:
        field: where to compute.
        choices: random residues of the instance for each node that needs some: gates, pooling weights.
        eps: keep the small constants of normalisations (as generic numbers) or set them to zero.
        free_roots: let inverse square roots keep only their differential equation, for runs in which too many radicands
            would have to be squares; the fields then range over a larger family.
        squares: hears, for each array of radicands, which entries are squares: ``[batch, entries]``.
    """

    field: PrimeField
    choices: Mapping[str, Jet]
    eps: Epsilon = "generic"
    free_roots: bool = False
    squares: list[Tensor] = dataclasses.field(default_factory=list)

    @cached_property
    def residues(self) -> Residues | Tape:
        """Residues of floating point constants."""
        return tape_of(self.field) or Residues(self.field)

    def number(self, value: float) -> Jet:
        """The jet of a number that the program contains."""
        return constant(self.residues.of(torch.tensor([value], dtype=torch.float64)), self.field)

    def epsilon(self, value: float) -> Jet:
        """The small constant of a normalisation."""
        return self.number(0.0 if self.eps == "zero" else value)

    def jet(self, x: Any) -> Jet:
        """Anything as a jet.

        Raises:
            UnsupportedError: a mask meets an operation that is no softmax.
        """
        if isinstance(x, Jet):
            return x
        _refuse_mask(x)
        if isinstance(x, Data):
            return constant(self.field.reduce(x.values.to(torch.float64)), self.field)
        if isinstance(x, Tensor):
            return constant(self.residues.of(x).unsqueeze(0), self.field)
        return self.number(float(x))


def execute(graph: fx.Graph, bindings: Mapping[str, Any], wanted: Sequence[fx.Node], context: Context) -> list[Any]:
    """Run a graph with placeholders bound by name; returns the values of the wanted nodes.

    Raises:
        UnsupportedError: an operation has no rule.
    """
    values: dict[fx.Node, Any] = {}
    needed = _ancestors(wanted)
    for node in graph.nodes:
        if node not in needed:
            continue
        if node.op == "placeholder":
            values[node] = bindings[node.name]
        elif node.op == "call_function":
            args, kwargs = fx.node.map_arg((node.args, node.kwargs), values.__getitem__)
            values[node] = _call(node, args, kwargs, context)
        else:
            raise UnsupportedError(f"cannot run a {node.op} step of the program ({node.target}): {user_line(node)}")
    return [values[node] for node in wanted]


def _ancestors(nodes: Sequence[fx.Node]) -> set[fx.Node]:
    """Everything that some values are computed from; checks and unused results are left out."""
    found: set[fx.Node] = set()
    todo = list(nodes)
    while todo:
        node = todo.pop()
        if node not in found:
            found.add(node)
            todo += node.all_input_nodes
    return found


def operation(node: fx.Node) -> str:
    """The name under which a call has its rule: ``aten.linear``, ``getitem``."""
    target = node.target
    return str(getattr(target, "overloadpacket", getattr(target, "__name__", target)))


def user_line(node: fx.Node) -> str:
    """The innermost line of the user's code that led to a step; a line of torch where there is none."""
    trace = node.meta.get("stack_trace") or ""
    lines = re.findall(r'File "(.+?)", line (\d+), in .*\n\s*(.*)', trace)
    if not lines:
        return f"step {node.name}"
    own = [line for line in lines if not line[0].startswith(_TORCH)]
    file, number, code = (own or lines)[-1]
    return f"{file.rsplit('/', 1)[-1]}:{number}: {code}"


def _refuse_mask(x: Any) -> None:
    if isinstance(x, Masked):
        raise UnsupportedError("a mask of minus infinities was used outside a softmax: apply softmax to it first")


def _call(node: fx.Node, args: tuple[Any, ...], kwargs: dict[str, Any], context: Context) -> Any:
    name = operation(node)
    if name.startswith("aten._assert"):
        return None  # checks of whole numbers, which recording already passed
    leaves = pytree.tree_leaves((args, kwargs))
    if isinstance(args and args[0], OneHot):
        return _moved(node, *args, **kwargs)
    if any(isinstance(x, Jet | Masked) for x in leaves) or name in _ALWAYS_EXACT:
        rule = RULES.get(name)
        if rule is None:
            raise UnsupportedError(
                f"no exact rule for {name} at {user_line(node)}: replace it by operations that have one, or freeze and "
                "leave out the part of the model that uses it"
            )
        try:
            if name not in TAKES_MASKS:
                for x in leaves:
                    _refuse_mask(x)
            return rule(_Site(context, node), *args, **kwargs)
        except UnsupportedError as error:
            raise UnsupportedError(f"{error} ({name} at {user_line(node)})") from None
    if any(isinstance(x, Data) for x in leaves):
        return _per_example(node.target, args, kwargs)
    return node.target(*args, **kwargs)  # type: ignore[operator]


def _moved(node: fx.Node, x: OneHot, *args: Any, **kwargs: Any) -> OneHot:
    """Whole numbers that are reshaped or copied."""
    name, c = operation(node), x.rows.coefficients
    if name not in COPIES:
        raise UnsupportedError(f"a certificate cannot hold what {name} makes of whole numbers at {user_line(node)}")
    shape = node.target(torch.zeros(x.rows.shape[:-1]), *args, **kwargs).shape  # type: ignore[operator]
    return OneHot(Jet(c.reshape(1, 1, *shape, c.shape[-1]), x.rows.field))


COPIES = frozenset(f"aten.{name}" for name in ("view", "reshape", "clone", "alias", "to", "_to_copy", "unsqueeze"))
"""Operations that change neither the numbers of a tensor nor their order."""

_ALWAYS_EXACT = ("aten.sin", "aten.cos", "aten.bernoulli")
"""Tables of rotary embeddings are made of constants but obey the addition law: they are exact from the start.

Random masks are drawn with the instance.
"""


@dataclass(frozen=True, eq=False, slots=True)
class _Site:
    """What a rule sees of the run: the context and the choices drawn for its own node."""

    context: Context
    node: fx.Node

    @property
    def choices(self) -> Jet:
        """Random residues drawn for this node."""
        return self.context.choices[self.node.name]


def _per_example(target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """An operation on whole numbers, example by example."""
    leaves, spec = pytree.tree_flatten((args, kwargs))
    batched = [x.values for x in leaves if isinstance(x, Data)]

    def one(*rows: Tensor) -> Any:
        row = iter(rows)
        filled = [next(row) if isinstance(x, Data) else x for x in leaves]
        inner_args, inner_kwargs = pytree.tree_unflatten(filled, spec)
        return target(*inner_args, **inner_kwargs)

    return pytree.tree_map(Data, torch.vmap(one)(*batched))
