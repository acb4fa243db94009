"""Networks on a graph."""

import pytest
import torch

from gradlaws.errors import InputError
from gradlaws.models.quiver import QuiverNetwork
from gradlaws.models.radial import Radial
from tests.radials import QUIVERS, mlp, quiver
from tests.samplers import generator

WIDTHS = {"a": 2, "b": 3, "c": 2}
CHAIN = [("a", "b"), ("b", "c")]


def test_a_chain_is_an_mlp():
    net, chain = mlp((2, 5, 4, 3)), quiver({"a": 2, "b": 5, "c": 4, "d": 3}, [("a", "b"), ("b", "c"), ("c", "d")])
    for (_, mine), (_, its) in zip(net.arrows.items(), chain.arrows.items(), strict=True):
        chain.get_parameter(its).data.copy_(net.get_parameter(mine))
    for mine, its in zip(net.offsets.values(), chain.offsets.values(), strict=True):
        chain.get_parameter(its).data.copy_(net.get_parameter(mine))
    x = torch.randn(7, 2, generator=generator(), dtype=torch.float64)
    assert torch.equal(net(x), chain(x))


def test_each_vertex_adds_what_arrives():
    net = quiver(*QUIVERS["skip in the middle"][:2])
    x = torch.randn(5, 2, generator=generator(), dtype=torch.float64)
    weight = {arrow: net.get_parameter(name) for arrow, name in net.arrows.items()}
    bias = {vertex: net.get_parameter(name) for vertex, name in net.offsets.items()}
    rho = Radial("squashing")
    h1 = rho(x @ weight["x", "h1"].T + bias["h1"])
    h2 = rho(h1 @ weight["h1", "h2"].T + bias["h2"])
    h3 = rho(h2 @ weight["h2", "h3"].T + h1 @ weight["h1", "h3"].T + bias["h3"])
    torch.testing.assert_close(net(x), h3 @ weight["h3", "y"].T + bias["y"])


def test_several_inputs_and_outputs_go_by_name():
    net = quiver(*QUIVERS["two inputs, two outputs"][:2])
    found = net({"a": torch.ones(4, 1, dtype=torch.float64), "b": torch.ones(4, 2, dtype=torch.float64)})
    assert {name: tuple(value.shape) for name, value in found.items()} == {"d": (4, 2), "e": (4, 6)}
    assert (list(net.inputs), list(net.outputs), list(net.hidden)) == (["a", "b"], ["d", "e"], ["c"])


def test_activations_by_vertex_and_identities():
    net = QuiverNetwork({"a": 2, "b": 2, "c": 2}, [("a", "b")], {"c": "squashing"}, identities=[("b", "c"), ("a", "c")])
    x = torch.randn(3, 2, generator=generator())
    hidden = x @ net.weights["a->b"].T + net.biases["->b"]
    torch.testing.assert_close(net(x), Radial("squashing")(x + hidden + net.biases["->c"]))
    assert list(net.arrows) == [("a", "b")]
    assert "a=2, b=2, c=2; a->b, b->c, a->c" in repr(net)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: QuiverNetwork(WIDTHS, [*CHAIN, ("c", "a")]), "the quiver has a cycle, .* -> .*: expected an acyclic"),
        (lambda: QuiverNetwork(WIDTHS, [*CHAIN, ("b", "b")]), "the quiver has a cycle, b -> b"),
        (lambda: QuiverNetwork(WIDTHS, [*CHAIN, CHAIN[0]]), "two arrows a -> b: expected one"),
        (lambda: QuiverNetwork(WIDTHS, [("a", "b")]), "the vertex 'c' has no arrows"),
        (lambda: QuiverNetwork({}, []), "a quiver without arrows"),
        (lambda: QuiverNetwork(WIDTHS, [("a", "z")]), "expected a pair of the vertices 'a', 'b', 'c'"),
        (lambda: QuiverNetwork(WIDTHS, ["ab"]), "expected a pair of the vertices"),
        (lambda: QuiverNetwork(WIDTHS | {"a": 0}, CHAIN), "the vertex 'a' has dimension 0"),
        (lambda: QuiverNetwork(WIDTHS | {"a.b": 2}, CHAIN), "expected a text without '.' and '->'"),
        (lambda: QuiverNetwork(WIDTHS, CHAIN, "tanh"), "tanh is not a radial activation"),
        (lambda: QuiverNetwork(WIDTHS, CHAIN, {"a": "sigmoid"}), "an activation for 'a': expected some of 'b', 'c'"),
        (
            lambda: QuiverNetwork(WIDTHS, [("a", "b")], identities=[("b", "c")]),
            "the identity b -> c joins dimensions 3 and 2",
        ),
        (lambda: QuiverNetwork(WIDTHS, CHAIN)({"b": torch.ones(2)}), "inputs for 'b': expected one for each of 'a'"),
        (
            lambda: QuiverNetwork(WIDTHS, CHAIN)(torch.ones(2, 5)),
            r"the input 'a' has shape \(2, 5\): expected 2 entries",
        ),
    ],
)
def test_bad_requests_are_refused(make, words):
    with pytest.raises(InputError, match=words):
        make()


@pytest.mark.parametrize("name", ["training", "items", "keys", "forward", "weights"])
def test_any_name_will_do(name):
    net = QuiverNetwork({"a": 1, name: 2, "c": 1}, [("a", name), (name, "c")])
    assert net(torch.ones(3, 1)).shape == (3, 1)
