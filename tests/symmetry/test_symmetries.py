"""All affine symmetries: against a dense solution, against published groups, and against real arithmetic."""

import pytest
import torch
from torch import nn

import gradlaws as gl
from gradlaws.errors import InputError, TooLargeError
from gradlaws.laws.count import Status
from gradlaws.models.module import from_module
from gradlaws.models.network import Network
from gradlaws.symmetry.couple import couplings
from gradlaws.symmetry.generator import Generator
from gradlaws.symmetry.symmetries import _unproved
from tests.modules import Gated, Head, mlp
from tests.oracles.dense_symmetries import dense_symmetries
from tests.samplers import SMALL_NETWORKS, spec_of

DENSE = [network for network in SMALL_NETWORKS if network.dimension <= 12]


@pytest.mark.parametrize("network", DENSE, ids=spec_of)
def test_as_many_as_a_dense_solution_finds(network):
    found = gl.symmetries(network)
    assert found.dimension + len(found.translations) * (network.dimension + 1) == len(dense_symmetries(network))
    assert found.status is Status.PROVED


@pytest.mark.parametrize("seed", [1, 2])
def test_the_seed_and_the_primes_change_nothing(seed):
    first, second = gl.symmetries("linear 2-2-3 bias"), gl.symmetries("linear 2-2-3 bias", seed=seed, primes=[1048571])
    assert [g.text for g in first.generators] == [g.text for g in second.generators]


# the groups of section 1.2 of Zhao et al. 2023, with the widths of the hidden layers
NAMES = {
    "linear 2-3-2": ["gl(3, R)"],
    "linear 2-2-2-2": ["gl(2, R)", "gl(2, R)"],
    "relu 2-5-3": ["(R_>0)^5"],
    "relu 2-3-2-1 bias": ["(R_>0)^3", "(R_>0)^2"],
    "square 2-3-2": ["(R_>0)^3"],
    "linear 1-1-1": ["R_>0"],
}


@pytest.mark.parametrize("spec", NAMES)
def test_the_group_has_its_name(spec):
    assert sorted(block.name for block in gl.symmetries(spec).blocks) == sorted(NAMES[spec])


def test_one_input_and_one_output_have_the_group_of_a_quadratic_form():
    """u . v has signature (4, 4): more than the gl(4) that acts on any input and output."""
    found = gl.symmetries("linear 1-4-1")
    assert [block.name for block in found.blocks] == ["so(4, 4)"]
    assert (found.dimension, found.laws, found.rotations) == (28, 16, 12)


def test_hidden_biases_of_linear_layers_are_absorbed():
    found = gl.symmetries("linear 2-2-3-2 bias")
    assert found.unipotent == 2
    assert [block.name for block in found.blocks if "absorb" in block.name] == ["R^2 (shifts that others absorb)"]
    assert any(g.text.startswith("b1[0]' = 1; b2[:]' = -W2[:,0]") for g in found.generators)


@pytest.mark.parametrize(
    ("spec", "carry", "rotations"), [("linear 2-3-2", 6, 3), ("relu 2-4-2", 4, 0), ("linear 3-4-2 bias", 10, 6)]
)
def test_symmetric_directions_are_the_quadratic_laws(spec, carry, rotations):
    found = gl.symmetries(spec)
    assert (found.laws, found.rotations) == (carry, rotations)
    assert sum(block.laws for block in found.blocks) == carry


def test_structure_constants_are_those_of_the_matrices():
    found = gl.symmetries("linear 2-2-2-1 bias")
    matrices = []
    for g in found.generators:
        matrix = torch.zeros(found.count.parameters + 1, found.count.parameters + 1, dtype=torch.float64)
        for i, j, c in g.entries:
            matrix[i, j] = float(c)
        matrices.append(matrix)
    expected = {(i, j): 0.0 for i in range(len(matrices)) for j in range(i)}
    for i, j, k, c in found.structure:
        expected[j, i] = expected[j, i] + float(c) * matrices[k]
    for (j, i), total in expected.items():
        assert torch.equal(matrices[i] @ matrices[j] - matrices[j] @ matrices[i], total + torch.zeros_like(matrices[0]))


MODULES = {
    "gated": (Gated, torch.zeros(1, 2), ["(R_>0)^3"], 0),
    "relu": (lambda: mlp(nn.ReLU, 2, 3, 2), torch.zeros(1, 2), ["(R_>0)^3"], 0),
    "tanh": (lambda: mlp(nn.Tanh, 2, 3, 2), torch.zeros(1, 2), [], 0),
}


@pytest.mark.parametrize("name", ["gated", "relu", "tanh"])
def test_modules(name):
    make, inputs, names, still = MODULES[name]
    found = gl.symmetries(make(), inputs)
    assert [block.name for block in found.blocks] == names
    assert (len(found.translations), found.status) == (still, Status.PROVED)
    groups = couplings(make(), inputs)  # another arithmetic, which knows nothing of absorbed shifts
    assert sum(group.dimension for group in groups) == found.dimension - found.unipotent


def test_attention_acts_on_queries_and_keys_and_on_values():
    model, inputs = Head().double(), torch.randn(1, 3, 3, dtype=torch.float64)
    found = gl.symmetries(model, inputs[:, :2])
    assert [block.name for block in found.blocks] == ["gl(2, R)", "gl(2, R)"]
    assert len(found.translations) == 2  # the key bias
    parameters = dict(model.named_parameters())
    output = model(inputs)
    gradients = torch.autograd.grad((output * torch.randn_like(output)).sum(), list(parameters.values()))
    for g in (*found.generators, *found.translations):
        moved = g.velocity(parameters)
        slope = sum((a * b).sum() for a, b in zip(gradients, moved.values(), strict=True))
        assert abs(float(slope)) < 1e-12


def test_what_is_discrete_is_said():
    found = gl.symmetries(mlp(nn.Tanh, 2, 3, 2), torch.randn(4, 2))
    assert found.discrete == (
        "permutations S_3 on 0.weight[k,:], 0.bias[k], 2.weight[:,k] (found in float64)",
        "signs (Z/2)^3 of the same units as 0.weight[k,:], 0.bias[k], 2.weight[:,k]",
    )
    assert gl.symmetries("square 2-2-1").discrete == (
        "permutations S_2 of hidden layer 1",
        "signs (Z/2)^2 of what enters hidden layer 1",
    )


class SinglePrecision(nn.Module):
    """Casts to float32."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(2, 2, bias=False)

    def forward(self, x):
        return self.linear(x.to(torch.float32))


class NoDouble(SinglePrecision):
    """Does not run in float64."""

    def forward(self, x):
        if x.dtype == torch.float64:
            raise TypeError("single precision only")
        return self.linear(x)


def test_what_casts_to_float32_is_tried_in_float64_all_the_same():
    found = gl.symmetries(SinglePrecision(), torch.zeros(1, 2))
    assert (found.dimension, found.status, found.discrete) == (0, Status.PROVED, ())


def test_what_does_not_run_in_float64_has_an_answer_all_the_same():
    found = gl.symmetries(NoDouble(), torch.zeros(1, 2))
    assert (found.dimension, found.status) == (0, Status.PROVED)
    assert found.discrete[0].startswith("permutations were not looked for: NoDouble fails")


def test_parameters_that_are_held_fixed_are_not_permuted():
    model = mlp(nn.Tanh, 2, 3, 2)
    assert gl.symmetries(model, torch.zeros(4, 2), parameters="0").discrete == ()


def test_a_wrong_generator_is_not_proved():
    network = Network("relu", (2, 2, 1))
    found = gl.symmetries(network)
    right = found.generators[0]
    (i, j, c), *rest = right.entries
    wrong = Generator(((i, j, -c), *rest), right.shapes)
    assert _unproved(network, [right, wrong]) == [wrong]


def test_data_of_low_rank_have_more_symmetries():
    """One input only: the second column of the first layer is never seen."""
    model = nn.Sequential(nn.Linear(2, 2, bias=False), nn.ReLU(), nn.Linear(2, 1, bias=False))
    found = gl.symmetries(model, torch.zeros(1, 2), data=torch.tensor([[1.0, 0.0], [2.0, 0.0]]))
    assert found.functional == 2
    assert len(found.translations) == 2
    assert found.scope.startswith("for these data")


def test_what_is_asked_is_checked():
    with pytest.raises(TooLargeError, match=r"22000 parameters are too many .* narrower layers of the same shape"):
        gl.symmetries("relu 200-100-20")
    with pytest.raises(InputError, match="no prime given"):
        gl.symmetries("relu 2-2-2", primes=[])
    with pytest.raises(InputError, match="seed -1 is out of range"):
        gl.symmetries("relu 2-2-2", seed=-1)
    with pytest.raises(InputError, match="example inputs"):
        gl.symmetries(mlp(nn.ReLU, 2, 3, 2))


def test_normalisations_say_what_they_assume():
    model = nn.Sequential(nn.LayerNorm(2), nn.Linear(2, 2))
    found = gl.symmetries(model, torch.zeros(1, 2))
    assert any("small constants of normalisations are free numbers" in words for words in found.evidence.assumptions)
    assert from_module(model, torch.zeros(1, 2)).dimension == found.count.parameters


def test_directions_that_only_some_data_do_not_see():
    """They have no small rational coefficients: no generator is claimed that would need them."""
    model = nn.Sequential(nn.Linear(6, 3), nn.ReLU(), nn.Linear(3, 2))
    random = torch.Generator().manual_seed(0)
    data = torch.randint(-999, 999, (4, 6), generator=random) / 256
    found = gl.symmetries(model, data[:1], data=data)
    assert found.dimension == 3
    assert [block.name for block in found.blocks] == ["(R_>0)^3"]
    assert any(note.endswith("are not written out") for note in found.evidence.notes)
