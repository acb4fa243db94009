"""Any torch module as a family of potentials: its own forward pass, run over a prime field."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal, cast, get_args

import torch
from torch import Tensor, fx, nn

import gradlaws.exact.rules  # noqa: F401 - registers the rules
from gradlaws.errors import InputError, UnsupportedError
from gradlaws.exact.constants import Residues
from gradlaws.exact.execute import COPIES, Context, Data, Epsilon, execute, operation
from gradlaws.exact.field import PrimeField
from gradlaws.exact.jet import Jet, constant, split
from gradlaws.exact.rules.activation import choice_shape
from gradlaws.exact.tape import tape_of
from gradlaws.models.arrays import centred, choices, constants, generic, one_hot
from gradlaws.models.assumptions import assumed_of, normalises
from gradlaws.models.family import Family, Shapes
from gradlaws.models.pool import FREE, Pool, pool_of
from gradlaws.models.record import Program, record
from gradlaws.models.refusal import refuse_constant
from gradlaws.models.sampling import accepted_instances, good_parameters

Loss = Literal["any", "mse", "bce", "cross_entropy"]
LOSSES: tuple[str, ...] = get_args(Loss)
EPSILONS: tuple[str, ...] = get_args(Epsilon)
PLACES = ("generic", "weights")

_EVERYTHING = 10**18


@dataclass(frozen=True, eq=False)
class ModuleFamily(Family):
    """``psi = <c, f(theta, x)>`` for the outputs f of a recorded forward pass.

    Args:
        title: what to call it.
        program: the recorded forward pass.
        shapes: names and shapes of the parameters that move.
        fixed: shapes of the other parameters; they hold generic numbers that never change.
        loss: restricts the cotangent c: ``cross_entropy`` makes it sum to zero over the last axis.
        eps: what becomes of the small constants of normalisations.
        free_roots: see `Context`; laws that hold then hold, but others may be missed.
        pool: inputs and gates that instances are drawn from, where they are not arbitrary.
        first: number of the first discrete case to draw, in turn; None for random ones.
    """

    title: str
    program: Program
    shapes: Shapes
    fixed: Shapes
    loss: Loss = "any"
    eps: Epsilon = "generic"
    free_roots: bool = False
    pool: Pool = FREE
    first: int | None = None

    @property
    def name(self) -> str:
        """The class of the module."""
        return self.title

    @property
    def parameters(self) -> Shapes:
        """The parameters that move."""
        return self.shapes

    @cached_property
    def instance(self) -> Shapes:
        """Inputs, one cotangent for each output, and what the activations choose."""
        shapes: dict[str, tuple[int, ...]] = {}
        for name, value in self.program.inputs.items():
            if isinstance(value, Tensor) and (value.is_floating_point() or name in self.vocabularies):
                shapes[f"input {name}"] = tuple(value.shape)
        for node in self.program.graph.nodes:
            if (shape := choice_shape(node)) is not None:
                shapes[f"choice {node.name}"] = shape
        return shapes | {f"cotangent {i}": tuple(node.meta["val"].shape) for i, node in enumerate(self.outputs)}

    @property
    def degree(self) -> int:
        """A bound on the degree is not tracked for modules; this one stands for rational functions of moderate size."""
        return 1_000

    @property
    def monomials(self) -> int:
        """Never expanded: laws of modules are proved step by step through the program."""
        return _EVERYTHING

    @property
    def proofs(self) -> str:
        """By propagation, see `gradlaws.laws.propagation`."""
        return (
            "every law is proved: its gradient, followed through the recorded program in exact polynomials, moves no "
            "output"
        )

    @cached_property
    def assumptions(self) -> tuple[str, ...]:
        """What the rules assume of the operations that occur."""
        found = assumed_of(self.program)
        if normalises(self.program):
            found.append(f"normalisations with eps {'as a generic number' if self.eps == 'generic' else 'set to zero'}")
        if self.fixed:
            found.append(f"{len(self.fixed)} parameter tensors are held fixed at generic values")
        return tuple(found)

    @property
    def scope(self) -> str:
        """For which data and losses the laws hold."""
        data = "these data" if self.pool.inputs else "every data set"
        loss = (
            "every cross entropy loss" if self.loss == "cross_entropy" else "every loss" if self.pool.inputs else "loss"
        )
        lasting = ", while the activation patterns seen at these weights last" if self.pool.choices else ""
        return f"for {data} and {loss}{lasting}"

    @cached_property
    def footprint(self) -> int:
        """Parameters and every intermediate value."""
        values = (node.meta.get("val") for node in self.program.graph.nodes)
        return self.dimension + sum(v.numel() for v in values if isinstance(v, Tensor))

    @cached_property
    def cases(self) -> int:
        """Rows of the pool, or tokens of the largest vocabulary: each of them at each place."""
        return max(self.pool.rows, *self.vocabularies.values(), 1)

    def covering(self, first: int) -> ModuleFamily:
        """Rows and tokens in turn; the tokens of different places are shifted against each other at random."""
        return replace(self.relaxed(), first=first)

    def idealised(self) -> ModuleFamily | None:
        """With the constants of normalisations set to zero."""
        return replace(self, eps="zero") if self.eps == "generic" and normalises(self.program) else None

    def relaxed(self) -> ModuleFamily:
        """The same program with inverse roots known by their differential equation only: radicands may be anything."""
        return replace(self, free_roots=True)

    def draw_parameters(self, count: int, field: PrimeField, generator: torch.Generator) -> Tensor:
        """Residues at which enough instances have square radicands."""
        return good_parameters(self, count, field, generator)

    def draw(self, theta: Tensor, field: PrimeField, generator: torch.Generator) -> dict[str, Tensor]:
        """Instances at which every radicand is a square, by rejection.

        Raises:
            UnsupportedError: there are too many radicands.
        """
        return accepted_instances(self, theta, field, generator)

    def potential(self, theta: Mapping[str, Any], s: Mapping[str, Any]) -> Any:
        """Run the program and pair its outputs with the cotangents."""
        some = next(iter(theta.values()))
        outputs = self._run(theta, s, Context(some.field, choices(s), self.eps, self.free_roots))
        total = None
        for i, output in enumerate(outputs):
            paired = (s[f"cotangent {i}"] * output).sum()
            total = paired if total is None else total + paired
        return total

    def _run(self, theta: Mapping[str, Jet], s: Mapping[str, Jet], context: Context) -> list[Jet]:
        """Outputs of the program as jets."""
        bindings: dict[str, Any] = dict(self.program.constants)
        for placeholder, name in self.program.parameters.items():
            bindings[placeholder] = theta[name] if name in theta else generic(name, self.fixed[name], context.field)
        for placeholder, value in self.program.inputs.items():
            drawn = s.get(f"input {placeholder}")
            if drawn is None:
                bindings[placeholder] = value
            elif placeholder in self.vocabularies:
                tokens = drawn.coefficients[0].long()
                bindings[placeholder] = one_hot(drawn) if tape_of(context.field) else Data(tokens)
            else:
                bindings[placeholder] = drawn
        return [context.jet(value) for value in execute(self.program.graph, bindings, self.outputs, context)]

    def squares(self, theta: Tensor, instance: dict[str, Tensor], field: PrimeField) -> list[Tensor]:
        """Which radicands are squares: ``[count or 1, entries]`` for each array of them."""
        with torch.no_grad():
            pieces = split(constant(theta, field), list(self.shapes.values()))
            s = constants(instance, field)
            context = Context(field, choices(s), self.eps, self.free_roots)
            self._run(dict(zip(self.shapes, pieces, strict=True)), s, context)
        return context.squares

    def uniform(self, count: int, field: PrimeField, generator: torch.Generator) -> dict[str, Tensor]:
        drawn = {name: field.random((count, *shape), generator) for name, shape in self.instance.items()}
        for name, rows in self.vocabularies.items():
            shape = drawn[f"input {name}"].shape
            tokens = torch.randint(0, rows, shape, generator=generator)
            if self.first is not None:
                turn = self.first + torch.arange(count).view(-1, *[1] * (tokens.dim() - 1))
                tokens = (tokens[:1] + turn) % rows
            drawn[f"input {name}"] = tokens.to(device=field.device, dtype=torch.float64)
        if self.pool.rows:
            drawn |= self._pooled(count, field, generator)
        return {name: values.coefficients[0] for name, values in self.confined(constants(drawn, field)).items()}

    def confined(self, s: Mapping[str, Jet]) -> dict[str, Jet]:
        """The instance with cotangents that are possible for the loss."""
        if self.loss != "cross_entropy":
            return dict(s)
        return {name: centred(values) if name.startswith("cotangent") else values for name, values in s.items()}

    def _pooled(self, count: int, field: PrimeField, generator: torch.Generator) -> dict[str, Tensor]:
        """Random rows of the pool."""
        rows, residues = torch.randint(0, self.pool.rows, (count,), generator=generator), Residues(field)
        if self.first is not None:
            rows = (self.first + torch.arange(count)) % self.pool.rows
        found = {f"choice {name}": residues.of(values[rows]) for name, values in self.pool.choices.items()}
        for name, values in self.pool.inputs.items():
            tokens = name in self.vocabularies
            found[f"input {name}"] = (
                values[rows].to(field.device, torch.float64) if tokens else residues.exact(values[rows])
            )
        return found

    @cached_property
    def vocabularies(self) -> dict[str, int]:
        """Rows of the table that each whole-number input looks up."""
        found: dict[str, int] = {}
        for table, name in self._lookups():
            rows = len(table.meta["val"])
            found[name] = min(rows, found.get(name, rows))
        return found

    @property
    def drawn_inputs(self) -> dict[str, int | None]:
        """Inputs that vary between instances; of whole numbers, how many there are."""
        names = [name.removeprefix("input ") for name in self.instance if name.startswith("input ")]
        return {name: self.vocabularies.get(name) for name in names}

    @cached_property
    def tables(self) -> frozenset[str]:
        """Parameters that a random whole number indexes."""
        return frozenset(self.program.parameters.get(table.name, "") for table, _ in self._lookups())

    def _lookups(self) -> list[tuple[fx.Node, str]]:
        """Table and name of the input for each look-up by a whole-number input."""
        pairs = [
            (node.args[0], _source(node.args[1]).name)
            for node in self.program.graph.nodes
            if operation(node) == "aten.embedding"
        ]
        return [(table, name) for table, name in pairs if name in self.program.inputs]

    @cached_property
    def outputs(self) -> list[fx.Node]:
        """What the user's forward returns, as far as it is floating point."""
        (last,) = [node for node in self.program.graph.nodes if node.op == "output"]
        nodes = [last.args[0][i] for i in self.program.outputs]
        return [n for n in nodes if isinstance(n, fx.Node) and n.meta["val"].is_floating_point()]


def from_module(
    module: nn.Module,
    example_inputs: Any,
    *,
    loss: str = "any",
    eps: str = "generic",
    parameters: str | None = None,
    data: Any = None,
    at: str = "generic",
) -> ModuleFamily:
    """The family of a torch module; the module itself is left as it is.

    Args:
        module: any module that the rules cover; in evaluation mode unless batch statistics are wanted.
        example_inputs: a tensor, a tuple of positional or a dict of keyword arguments. Shapes and whole numbers count,
            floats are replaced by random ones.
        loss: what is known of the loss: ``cross_entropy`` gradients sum to zero over the last axis of each output.
        eps: ``generic`` keeps the small constants of normalisations, ``zero`` drops them.
        parameters: only the parameters under this prefix move; the others are fixed at generic values.
        data: inputs are drawn from these only; like the example inputs, with examples along the first axis.
        at: ``generic`` for every activation pattern, ``weights`` for those that occur at the module's weights, on the
            data or else on random inputs: units that are dead or always active then show.

    Raises:
        InputError: the module fails on the inputs or has no parameters to train.
        UnsupportedError: an operation has no exact rule.
    """
    if loss not in LOSSES:
        raise InputError(f"unknown loss {loss!r}: expected one of {', '.join(LOSSES)}")
    if eps not in EPSILONS:
        raise InputError(f"unknown eps {eps!r}: expected one of {', '.join(EPSILONS)}")
    if at not in PLACES:
        raise InputError(f"unknown at {at!r}: expected one of {', '.join(PLACES)}")
    args, kwargs = _arguments(example_inputs)
    program = record(module, args, kwargs)
    moving = {
        name: tuple(p.shape)
        for name, p in module.named_parameters()
        if p.requires_grad and (parameters is None or f"{name}.".startswith(f"{parameters.rstrip('.')}."))
    }
    used = set(program.parameters.values())
    if not moving:
        raise InputError(_no_parameters(module, parameters))
    fixed = {name: tuple(p.shape) for name, p in module.named_parameters() if name not in moving and name in used}
    family = ModuleFamily(type(module).__name__, program, moving, fixed, cast(Loss, loss), cast(Epsilon, eps))
    if not family.outputs:
        raise UnsupportedError(f"{family.title} returns no floating point tensor: nothing can be trained")
    refuse_constant(family.outputs, {p for p, name in program.parameters.items() if name in moving}, family.title)
    weights = {name: p.detach() for name, p in module.named_parameters()} if at == "weights" else None
    return replace(family, pool=pool_of(program, family.drawn_inputs, data, weights))


def _source(node: Any) -> Any:
    """What a value is a reshaped copy of."""
    while operation(node) in COPIES:
        node = node.args[0]
    return node


def _no_parameters(module: nn.Module, prefix: str | None) -> str:
    if prefix is None:
        return f"{type(module).__name__} has no parameters that require a gradient: nothing is trained"
    some = ", ".join(list(dict(module.named_parameters()))[:3])
    return f"no trainable parameter of {type(module).__name__} is under {prefix!r}: names are like {some}"


def _arguments(example_inputs: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    if isinstance(example_inputs, dict):
        return (), example_inputs
    return (tuple(example_inputs) if isinstance(example_inputs, tuple | list) else (example_inputs,)), {}
