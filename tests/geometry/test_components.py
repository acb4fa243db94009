"""Components and Betti numbers: published values, linear programs, and training runs that may not cross."""

import itertools
import json

import numpy as np
import pytest
import torch
from scipy.optimize import linprog
from torch import nn
from typer.testing import CliRunner

import gradlaws as gl
from gradlaws.cli import app
from gradlaws.errors import InputError
from gradlaws.geometry.betti import betti_numbers
from gradlaws.geometry.chain import Layer, imbalances, read_chain
from gradlaws.geometry.components import frozen_places, reachable


def network(*widths, bias=False, seed=0):
    torch.manual_seed(seed)
    layers = []
    for a, b in itertools.pairwise(widths):
        layers += [nn.Linear(a, b, bias=bias), nn.ReLU()]
    return nn.Sequential(*layers[:-1]).double()


def units(inner, outer):
    """A two-layer network with these incoming and outgoing weights of each unit."""
    w, a = (torch.tensor(x, dtype=torch.float64) for x in (inner, outer))
    model = network(w.shape[1], len(w), a.shape[1])
    with torch.no_grad():
        model[0].weight[:], model[2].weight[:] = w, a.T
    return model


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ((2, 1, 2, 1), (2, 4, 2)),
        ((3, 1, 2, 1), (2, 0, 4, 0, 2)),
        ((2, 2, 2, 0), (1, 2, 1)),
        ((3, 2, 1, 1), (1, 1, 1, 1)),
        ((4, 3, 1, 2), (1, 0, 2, 1, 1, 2, 0, 1)),
        ((1, 1, 1, 1), (4,)),
        ((5, 5, 0, 0), (1,)),
    ],
)
def test_published_betti_numbers(sizes, expected):
    assert betti_numbers(*sizes) == expected


@pytest.mark.parametrize("sizes", [(2, 3, 2, 2), (3, 3, 1, 3), (4, 2, 3, 1)])
def test_betti_numbers_are_coefficients_of_the_product(sizes):
    d, e, plus, minus = sizes
    sphere = lambda n: np.bincount([0, n - 1])  # noqa: E731
    polynomial = np.ones(1)
    for factor in [sphere(d)] * plus + [sphere(e)] * minus:
        polynomial = np.convolve(polynomial, factor)
    assert betti_numbers(*sizes) == tuple(polynomial.astype(int))


def test_three_published_units():
    found = gl.components(units([[1, 0], [0, 2], [0.5, 0.5]], [[2], [1], [-1]]))
    assert found.imbalances == ((-3.0, 3.0, -0.5),)
    assert found.betti == (4, 4)
    assert (found.count, found.effective) == (4, 3)
    assert [sign.positive for sign in found.frozen] == [True, False]
    assert str(found.frozen[1]) == "2.weight[0, 2] stays negative"
    assert "2 weights cannot change sign (1 positive, 1 negative)" in found.warning


def test_two_published_units_below_zero():
    found = gl.components(units([[1, 0], [0, 0.5]], [[2], [-1]]))
    assert (found.count, found.effective) == (4, 3)


@pytest.mark.parametrize(("d", "e", "expected"), [(2, 2, 1), (2, 1, 4), (1, 2, 2), (1, 1, 8)])
def test_components_of_one_positive_and_two_negative_units(d, e, expected):
    inner = [[2.0] + [0.0] * (d - 1), *[[1.0] + [0.0] * (d - 1)] * 2]
    found = gl.components(units(inner, [[1.0] + [0.0] * (e - 1), *[[2.0] + [0.0] * (e - 1)] * 2]))
    assert found.count == expected == found.betti[0]


def test_a_bias_is_another_incoming_weight():
    assert gl.components(network(1, 3, 2)).betti[0] == gl.components(network(1, 3, 2)).count
    assert gl.components(network(1, 3, 2, bias=True)).count == 1


def test_a_unit_on_the_cone():
    found = gl.components(units([[3, 4], [2, 0]], [[5], [1]]))
    assert (found.count, found.cones, found.obstructed) == (1, ((1, 0),), True)
    assert "tip of a cone" in found.warning
    assert gl.components(units([[3, 4], [2, 0]], [[3, 4], [1, 0]])).cones == ((1, 0),)[:0]


def least_squares_of_weights(layers):
    """The slow twin: for every weight, the least square on the polyhedron, by a linear program."""
    sizes = [layer.weight.numel() for layer in layers] + [len(x.bias) for x in layers[:-1] if x.bias is not None]
    starts = np.cumsum([0, *sizes])
    rows, right = [], []
    biases = iter(starts[len(layers) :])
    for i, c in enumerate(imbalances(layers)):
        bias = next(biases) if layers[i].bias is not None else None
        for k, value in enumerate(c.tolist()):
            row = np.zeros(starts[-1])
            width = layers[i].weight.shape[1]
            row[starts[i] + k * width : starts[i] + (k + 1) * width] = 1
            row[starts[i + 1] + k : starts[i + 2] : layers[i + 1].weight.shape[1]] = -1
            if bias is not None:
                row[bias + k] = 1
            rows.append(row)
            right.append(value)
    found = []
    for i, layer in enumerate(layers):
        for number in range(layer.weight.numel()):
            cost = np.zeros(starts[-1])
            cost[starts[i] + number] = 1
            found.append(linprog(cost, A_eq=np.array(rows), b_eq=right, method="highs").fun)
    return np.array(found)


SHAPES = [
    (2, 3, 1),
    (1, 2, 1),
    (2, 2, 2),
    (1, 1, 1),
    (2, 2, 2, 1),
    (1, 2, 3, 2),
    (2, 3, 1, 2, 1),
    (2, 1, 1, 2),
    (1, 1, 1, 1),
]


@pytest.mark.parametrize("widths", SHAPES)
@pytest.mark.parametrize("bias", [False, True])
def test_frozen_weights_are_those_that_no_flow_avoids(widths, bias):
    for seed in range(4):
        model = network(*widths, bias=bias, seed=seed)
        with torch.no_grad():
            for p in model.parameters():
                p.mul_(0.2 + 2 * torch.rand(1).double())
            model[0].weight.abs_()  # so that random inputs open the units
        layers = layers_of(model)
        least = least_squares_of_weights(layers)
        assert count_of(layers) == 2 ** int((least > 1e-9).sum())


def layers_of(model):
    """Layers without the test whether the network bends, which unlucky narrow ones do not."""
    linear = [m for m in model if isinstance(m, nn.Linear)]
    return [Layer("", m.weight.detach(), None if m.bias is None else m.bias.detach()) for m in linear]


def count_of(layers):
    widths = (layers[0].weight.shape[1], *(len(layer.weight) for layer in layers))
    return 2 ** len(frozen_places(widths, [layer.bias is not None for layer in layers], imbalances(layers)))


def descend(w, a, steps=60_000, eta=1e-3):
    """Gradient descent on the published toy."""
    x = np.array([[1.0, 0], [0, 1], [1, 1]])
    y = -np.maximum(x @ [1, 0.5], 0)
    w = np.array(w)
    for _ in range(steps):
        z = x @ w
        h = np.maximum(z, 0)
        r = (a * h - y) / 3
        w, a = w - eta * a * (x.T @ (r * (z > 0))), a - eta * (r @ h)
    return 0.5 * np.mean((a * np.maximum(x @ w, 0) - y) ** 2), a


def test_the_obstructed_run_is_stuck_and_the_free_one_is_not():
    found = gl.components(units([[0.3, 0.2]], [[1.0]]))
    assert found.obstructed
    assert found.imbalances[0] == pytest.approx((-0.87,), abs=1e-14)
    loss, a = descend([0.3, 0.2], 1.0)
    assert loss == pytest.approx(0.583333, abs=1e-6)
    assert a == pytest.approx(0.9327, abs=1e-4)
    found = gl.components(units([[1.0, 0.8]], [[0.2]]))
    assert not found.obstructed
    assert found.imbalances[0] == pytest.approx((1.6,), abs=1e-14)
    loss, a = descend([1.0, 0.8], 0.2)
    assert loss < 1e-12
    assert a == pytest.approx(-0.75825, abs=1e-5)


def test_reachable_targets():
    assert reachable((1, 1), (1, 1), 2)
    assert not reachable((2, 0), (0, 1), 2)
    assert reachable((2, 0), (0, 1), 3)


def test_wide_networks_and_leaky_units():
    model = nn.Sequential(nn.Flatten(), nn.Linear(6, 50), nn.LeakyReLU(0.1), nn.Dropout(), nn.Linear(50, 1)).eval()
    found = gl.components(model)
    assert found.count == 2 ** sum(c < 0 for c in found.imbalances[0])
    assert found.effective == len(found.frozen) + 1


class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(3, 3), nn.Linear(3, 3)

    def forward(self, x):
        return x + self.b(torch.relu(self.a(x)))


class Tangled(Residual):
    def forward(self, x):
        h = torch.relu(self.a(x))
        return self.b(h) * h.sum()


def with_nan():
    model = network(2, 2, 1)
    with torch.no_grad():
        model[0].weight[0, 0] = torch.nan
    return model


BAD = {
    "nan": (with_nan, "parameter 0.weight has entries that are NaN"),
    "a spec": (lambda: "relu 2-3-1", "'relu 2-3-1' is no torch module with weights"),
    "one layer": (lambda: nn.Sequential(nn.Linear(2, 1)), "not a fully connected network: expected a chain"),
    "tanh": (
        lambda: nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 1)),
        "changes when a hidden unit is rescaled",
    ),
    "linear": (lambda: nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1)), "is affine on all inputs tried"),
    "norm": (lambda: nn.Sequential(nn.Linear(2, 3), nn.LayerNorm(3), nn.Linear(3, 1)), "not a fully connected"),
    "convolution": (lambda: nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Linear(2, 1)), "not a fully connected"),
    "tangled": (Tangled, "changes when a hidden unit is rescaled"),
}


@pytest.mark.parametrize("fault", BAD)
def test_what_is_no_relu_chain_is_refused_in_a_sentence(fault):
    make, words = BAD[fault]
    with pytest.raises(InputError, match=words):
        gl.components(make())


def test_a_skip_connection_around_everything_keeps_the_laws():
    assert gl.components(Residual()).count == 1


def test_the_model_is_only_read():
    model = network(2, 3, 1)
    before = [p.clone() for p in model.parameters()]
    assert len(read_chain(model)) == 2
    gl.components(model)
    assert all(torch.equal(a, b) and a.grad is None for a, b in zip(model.parameters(), before, strict=True))


def test_the_command_line():
    run = CliRunner().invoke(app, ["components", "examples/obstruction.py:make_obstructed"])
    assert run.exit_code == 0
    assert "the laws leave 2 components" in run.stdout
    found = json.loads(
        CliRunner().invoke(app, ["components", "examples/obstruction.py:make_obstructed", "--json"]).stdout
    )
    assert (found["count"], found["obstructed"], found["betti"]) == (2, True, [2])


FACTORIES = {
    "NaN": ("m[0].weight.data[0, 0] = float('nan')", "parameter 0.weight has entries that are NaN or infinite"),
    "infinity": ("m[2].bias.data[0] = float('inf')", "parameter 2.bias has entries that are NaN or infinite"),
    "tanh": ("m[1] = nn.Tanh()", "Sequential changes when a hidden unit is rescaled: expected a chain"),
    "a frozen layer": ("m[0].weight.requires_grad_(False)", "parameter 0.weight is frozen, where other laws hold"),
}


@pytest.mark.parametrize("fault", FACTORIES)
def test_bad_weights_are_a_sentence_on_the_command_line(tmp_path, fault):
    change, words = FACTORIES[fault]
    lines = ["import torch", "from torch import nn", "def make():"]
    lines += ["    m = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))", f"    {change}"]
    lines += ["    return m, torch.zeros(1, 2)"]
    (tmp_path / "bad.py").write_text("\n".join(lines))
    run = CliRunner().invoke(app, ["components", f"{tmp_path / 'bad.py'}:make"])
    assert run.exit_code == 2
    assert run.stderr.startswith("gradlaws: ")
    assert words in run.stderr
    assert "Traceback" not in run.stderr


def test_the_command_line_on_a_deep_network(tmp_path):
    lines = ["import torch", "from torch import nn", "def make():", "    torch.manual_seed(0)"]
    lines += ["    layers = (nn.Linear(20, 30), nn.ReLU(), nn.Linear(30, 30), nn.ReLU(), nn.Linear(30, 1))"]
    lines += ["    return nn.Sequential(*layers), torch.zeros(1, 20)"]
    (tmp_path / "deep.py").write_text("\n".join(lines))
    text, as_json = (
        CliRunner().invoke(app, ["components", f"{tmp_path / 'deep.py'}:make", *more]) for more in ((), ("--json",))
    )
    assert text.exit_code == as_json.exit_code == 0
    assert "BOUNDED (open: 60 hidden units" in text.stdout
    found = json.loads(as_json.stdout)
    assert (found["betti"], found["holes"]["status"], found["holes"]["exact"]) == (None, "BOUNDED", False)
    assert found["holes"]["lower"][0] == found["count"]


def test_the_command_line_refuses_a_spec():
    run = CliRunner().invoke(app, ["components", "relu 2-3-1"])
    assert run.exit_code == 2
    assert "expected FILE.py:FACTORY" in run.stderr


class Unbent(nn.Module):
    """Nothing between the first two layers: their laws are a matrix."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.c = nn.Linear(2, 3), nn.Linear(3, 3), nn.Linear(3, 1)

    def forward(self, x):
        return self.c(torch.relu(self.b(self.a(x))))


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (Unbent, "is affine on all inputs tried between two layers"),
        (lambda: nn.Sequential(nn.Linear(2, 3), nn.ReLU6(), nn.Linear(3, 1)), "changes when a hidden unit is rescaled"),
    ],
    ids=["no activation", "ReLU6"],
)
def test_what_is_a_chain_of_rectifiers_in_part_only_is_refused(make, sentence):
    with pytest.raises(InputError, match=sentence):
        gl.components(make())


@pytest.mark.parametrize("bias", [-100.0, 100.0])
def test_dead_and_open_units_are_no_reason_to_refuse(bias):
    net = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))
    net[0].bias.data.fill_(bias)
    assert gl.components(net).count == 1
