"""Networks on an acyclic graph, with skip connections and several inputs and outputs, activated radially."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import reduce
from graphlib import CycleError, TopologicalSorter
from typing import Any, Self, final

import torch
from torch import Tensor, nn

from gradlaws.errors import InputError
from gradlaws.models.radial import Arrow, Profile, Radial, RadialNetwork, as_radial, is_dimension


@final
class QuiverNetwork(RadialNetwork):
    """Each vertex adds ``W h_source`` over its incoming arrows and a bias, and activates the sum (Ganev, Walters 2022).

    Args:
        dimensions: the dimension of each vertex.
        arrows: pairs (source, target); vertices without incoming arrows are inputs, without outgoing ones outputs.
        activation: a profile or a `Radial` for the hidden vertices; or one for each of some vertices, outputs
            included, the others being linear.
        bias: a bias on each vertex that is not an input.
        identities: arrows with a fixed identity matrix; the network runs with them, `gradlaws.compress` refuses them.
        device: of the parameters.
        dtype: of the parameters.

    The parameter of the arrow (a, b) is ``weights.a->b`` of shape ``[b, a]``, the bias of b is ``biases.->b``; both are
    drawn uniformly within one over the root of the number of incoming entries.

    Raises:
        InputError: a cycle, a double arrow, a vertex without arrows or with a bad name or dimension.
    """

    def __init__(
        self,
        dimensions: Mapping[str, int],
        arrows: Iterable[Arrow],
        activation: str | Profile | Radial | Mapping[str, Any] = "step_relu",
        *,
        bias: bool = True,
        identities: Iterable[Arrow] = (),
        device: Any = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        trained, fixed = list(arrows), list(identities)
        _refuse_vertices(dimensions)
        self._sources = _sources(dimensions, (*trained, *fixed))
        self._dimensions = {v: dimensions[v] for v in _ordered(self._sources)}
        self._feeding = {s for sources in self._sources.values() for s in sources}
        self._activations = _activations(activation, self)
        self._identities = _checked_identities(dimensions, fixed)
        self.weights, self.biases = nn.ParameterDict(), nn.ParameterDict()
        factory = {"device": device, "dtype": dtype}
        for vertex, n in self._dimensions.items():
            sources = [s for s in self._sources[vertex] if (s, vertex) not in self._identities]
            bound = sum(dimensions[s] for s in sources) ** -0.5 if sources else 0.0
            for source in sources:
                self.weights[_name(source, vertex)] = _drawn((n, dimensions[source]), bound, factory)
            if bias and vertex not in self.inputs:
                self.biases[_name("", vertex)] = _drawn((n,), bound, factory)

    def forward(self, inputs: Tensor | Mapping[str, Tensor]) -> Tensor | dict[str, Tensor]:
        """From inputs ``[..., dimension]`` by vertex to outputs by vertex; a tensor where there is just one.

        Raises:
            InputError: an input is missing, unknown or of the wrong size.
        """
        found = self.run({self.inputs[0]: inputs} if isinstance(inputs, Tensor) else inputs)
        return next(iter(found.values())) if len(found) == 1 else found

    def run(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        self._refuse_wrong(inputs)
        state = dict(inputs)
        for vertex, sources in self._sources_in_order():
            if not sources:
                continue
            total = reduce(torch.add, [self._carried(source, vertex, state[source]) for source in sources])
            if (name := _name("", vertex)) in self.biases:
                total = total + self.biases[name]
            state[vertex] = self._activations[vertex](total) if vertex in self._activations else total
        return {vertex: state[vertex] for vertex in self.outputs}

    @property
    def dimensions(self) -> Mapping[str, int]:
        return dict(self._dimensions)

    @property
    def inputs(self) -> Sequence[str]:
        return [v for v in self._dimensions if not self._sources[v]]

    @property
    def outputs(self) -> Sequence[str]:
        """Vertices without outgoing arrows."""
        return [v for v in self._dimensions if v not in self._feeding]

    @property
    def hidden(self) -> Sequence[str]:
        return [v for v in self._dimensions if self._sources[v] and v in self._feeding]

    @property
    def arrows(self) -> Mapping[Arrow, str]:
        pairs = [(source, vertex) for vertex, sources in self._sources_in_order() for source in sources]
        return {pair: f"weights.{_name(*pair)}" for pair in pairs if pair not in self._identities}

    @property
    def offsets(self) -> Mapping[str, str]:
        return {name.removeprefix("->"): f"biases.{name}" for name in self.biases}

    @property
    def identities(self) -> Sequence[Arrow]:
        return self._identities

    def resized(self, dimensions: Mapping[str, int]) -> Self:
        some = next(self.parameters())
        made = type(self)(
            dimensions,
            self.arrows,
            self._activations,
            bias=bool(self.biases),
            identities=self._identities,
            device=some.device,
            dtype=some.dtype,
        )
        return made.train(self.training)

    def extra_repr(self) -> str:
        """The vertices and the arrows."""
        arrows = ", ".join(_name(*arrow) for arrow in (*self.arrows, *self._identities))
        return f"{', '.join(f'{v}={n}' for v, n in self._dimensions.items())}; {arrows}"

    def _sources_in_order(self) -> list[tuple[str, list[str]]]:
        return [(vertex, self._sources[vertex]) for vertex in self._dimensions]

    def _carried(self, source: str, target: str, value: Tensor) -> Tensor:
        name = _name(source, target)
        return nn.functional.linear(value, self.weights[name]) if name in self.weights else value

    def _refuse_wrong(self, inputs: Mapping[str, Tensor]) -> None:
        if set(inputs) != set(self.inputs):
            raise InputError(f"inputs for {_list(inputs)}: expected one for each of {_list(self.inputs)}")
        for vertex, value in inputs.items():
            if value.dim() < 1 or value.shape[-1] != self._dimensions[vertex]:
                raise InputError(
                    f"the input {vertex!r} has shape {tuple(value.shape)}: expected {self._dimensions[vertex]} entries "
                    "along the last axis"
                )


def _refuse_vertices(dimensions: Mapping[str, int]) -> None:
    """See that names and dimensions are such."""
    for vertex, n in dimensions.items():
        if not isinstance(vertex, str) or not vertex or "." in vertex or "->" in vertex:
            raise InputError(f"the vertex name {vertex!r}: expected a text without '.' and '->'")
        if not is_dimension(n):
            raise InputError(f"the vertex {vertex!r} has dimension {n!r}: expected a whole number of at least 1")


def _sources(dimensions: Mapping[str, int], arrows: Sequence[Any]) -> dict[str, list[str]]:
    """Where the arrows into each vertex come from; every vertex has an arrow."""
    found: dict[str, list[str]] = {vertex: [] for vertex in dimensions}
    for arrow in arrows:
        if not isinstance(arrow, tuple) or len(arrow) != 2 or not set(arrow) <= set(dimensions):
            raise InputError(f"the arrow {arrow!r}: expected a pair of the vertices {_list(dimensions)}")
        source, target = arrow
        if source in found[target]:
            raise InputError(f"two arrows {source} -> {target}: expected one; the sum of their matrices does the same")
        found[target].append(source)
    touched = {vertex for arrow in arrows for vertex in arrow}
    for vertex in dimensions:
        if vertex not in touched:
            raise InputError(f"the vertex {vertex!r} has no arrows: expected at least one, or leave it out")
    if not arrows:
        raise InputError("a quiver without arrows: expected at least one")
    return found


def _ordered(sources: Mapping[str, Sequence[str]]) -> list[str]:
    """The vertices, each after all that it hears from."""
    try:
        return list(TopologicalSorter(sources).static_order())
    except CycleError as error:
        cycle = " -> ".join(error.args[1])
        raise InputError(f"the quiver has a cycle, {cycle}: expected an acyclic one; unroll the loop") from None


def _checked_identities(dimensions: Mapping[str, int], arrows: Sequence[Arrow]) -> list[Arrow]:
    for source, target in arrows:
        if dimensions[source] != dimensions[target]:
            raise InputError(
                f"the identity {source} -> {target} joins dimensions {dimensions[source]} and {dimensions[target]}: "
                "expected equal ones"
            )
    return list(arrows)


def _activations(activation: Any, net: QuiverNetwork) -> dict[str, Radial]:
    """The activation of each vertex that has one."""
    if not isinstance(activation, Mapping):
        return dict.fromkeys(net.hidden, as_radial(activation))
    possible = [*net.hidden, *net.outputs]
    for vertex in activation:
        if vertex not in possible:
            raise InputError(f"an activation for {vertex!r}: expected some of {_list(possible)}")
    return {vertex: as_radial(radial) for vertex, radial in activation.items()}


def _drawn(shape: tuple[int, ...], bound: float, factory: dict[str, Any]) -> nn.Parameter:
    return nn.Parameter(torch.empty(shape, **factory).uniform_(-bound, bound))


def _name(source: str, target: str) -> str:
    """The key of an arrow, or of a bias, which comes from nowhere; no attribute of a dictionary is called so."""
    return f"{source}->{target}"


def _list(names: Iterable[Any]) -> str:
    return ", ".join(repr(name) for name in names) or "nothing"
