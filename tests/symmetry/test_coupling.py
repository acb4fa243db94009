"""Group elements on real modules: the function stays, and what is no element is refused before anything moves."""

import copy

import pytest
import torch
from benchmarks import transformers_table
from torch import nn

from gradlaws.errors import InputError
from gradlaws.laws.contraction import Contraction
from gradlaws.symmetry.couple import couplings, integers
from gradlaws.symmetry.coupling import Coupling
from gradlaws.symmetry.permute import permutations, signs
from gradlaws.symmetry.trial import arguments, outputs
from tests.modules import mlp

transformers_table.transformers.logging.set_verbosity_error()

# groups of each model, by hand: attention heads, gains of normalisations, rectified or gated units
GROUPS = {
    "gpt2": ["(R_>0)^4"] * 3 + ["(gl(2, R))^2"] * 2,
    "llama": ["(R_>0)^3"] + ["(R_>0)^4"] * 3 + ["C^*", "gl(2, R)"],
    "mixtral": ["(R_>0)^4"] * 4 + ["C^*", "gl(2, R)"],
    "bert": ["(gl(2, R))^2"] * 2,
    "vit": ["(R_>0)^4"] * 2 + ["(gl(2, R))^2"] * 2,
    "t5": ["(R_>0)^3"] * 2 + ["(R_>0)^4"] * 5 + ["gl(2, R)"] * 6,
    "resnet": ["(R_>0)^2"] * 5 + ["(R_>0)^3"] * 5,
    "block": ["(R_>0)^3"] * 2 + ["gl(2, R)"] * 2,
}


def made(name):
    """A model in float64 at generic weights, and float64 inputs."""
    with torch.random.fork_rng():
        torch.manual_seed(1)
        model, inputs = getattr(transformers_table, name)()
        model = model.double().eval()
        for p in model.parameters():
            p.data += 0.3 * torch.randn_like(p)
        args, kwargs = arguments(inputs)
        return model, tuple(_real(a) for a in args), {k: _real(v) for k, v in kwargs.items()}


def _real(x):
    return torch.randn(x.shape, dtype=torch.float64) if isinstance(x, torch.Tensor) and x.is_floating_point() else x


def element(group, seed=0):
    """A random element, not small."""
    random = torch.Generator().manual_seed(seed)
    x = torch.randn(group.shape, generator=random, dtype=torch.float64)
    if group.group == "positive":
        return x.exp()
    if group.group == "complex":
        return torch.complex(x, torch.randn(group.shape, generator=random, dtype=torch.float64))
    if group.group == "signs":
        return x.sign()
    if group.group == "permutation":
        return torch.randperm(group.width, generator=random)
    return torch.linalg.qr(x).Q if group.group == "orthogonal" else x + 2 * torch.eye(group.shape[-1])


def change(model, args, kwargs, groups):
    """Largest relative change of an output when one random element of each group acts."""
    with torch.no_grad():
        before = outputs(model, args, kwargs)
        moved = copy.deepcopy(model)
        parameters = dict(moved.named_parameters())
        for group in groups:
            for name, x in group.act(parameters, element(group)).items():
                parameters[name].copy_(x)
        pairs = zip(before, outputs(moved, args, kwargs), strict=True)
        return max(float((a - b).abs().max() / a.abs().max()) for a, b in pairs)


@pytest.mark.parametrize("name", GROUPS)
def test_the_groups_of_models_that_people_train(name):
    model, args, kwargs = made(name)
    groups = couplings(model, kwargs or args)
    assert sorted(group.text.partition(" on ")[0] for group in groups) == sorted(GROUPS[name])
    assert change(model, args, kwargs, groups) < 1e-12


def test_grouped_queries_share_a_matrix_and_rotary_pairs_a_complex_number():
    config = transformers_table.transformers.LlamaConfig(
        intermediate_size=5,
        **(
            transformers_table.DECODER
            | {"hidden_size": 16, "num_attention_heads": 4, "head_dim": 4, "num_key_value_heads": 2, "vocab_size": 9}
        ),
    )
    model = transformers_table.transformers.LlamaForCausalLM(config).double().eval()
    inputs = {"input_ids": torch.tensor([[3, 1, 4]]), "use_cache": False}
    groups = couplings(model, inputs)
    names = [group.text.partition(" on ")[0] for group in groups]
    assert names.count("(C^*)^4") == 1  # two key heads of two rotating pairs each
    assert names.count("(gl(4, R))^2") == 1
    assert change(model, (), inputs, groups) < 1e-12


class Radial(nn.Module):
    """``W2 rho(W1 x + b)`` with a radial rescaling of the hidden vector."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(2, 4), nn.Linear(4, 3)

    def forward(self, x):
        z = self.first(x)
        return self.second(z * torch.sigmoid(z.norm(dim=-1, keepdim=True)))


def test_radial_units_rotate_and_scale_not():
    model, x = Radial().double(), torch.randn(5, 2, dtype=torch.float64)
    (group,) = couplings(model, x)
    assert (group.group, group.width, group.dimension) == ("orthogonal", 4, 6)
    assert change(model, (x,), {}, [group]) < 1e-12


@pytest.mark.parametrize("activation", [nn.GELU, nn.ReLU, nn.Tanh])
def test_hidden_units_are_permuted(activation):
    model, x = mlp(activation, 3, 5, 4, 2).double(), torch.randn(6, 3, dtype=torch.float64)
    groups = permutations(model, x)
    assert sorted(group.text.partition(" on ")[0] for group in groups) == ["S_4", "S_5"]
    assert change(model, (x,), {}, groups) < 1e-12


@pytest.mark.parametrize(("activation", "odd"), [(nn.Tanh, 1), (nn.Identity, 1), (nn.ReLU, 0), (nn.GELU, 0)])
def test_units_of_odd_activations_change_sign(activation, odd):
    model, x = mlp(activation, 3, 5, 2), torch.randn(6, 3)
    assert len(signs(model, x, permutations(model, x))) == odd


def test_channels_are_permuted():
    model = nn.Sequential(nn.Conv2d(1, 3, 2), nn.BatchNorm2d(3), nn.GELU(), nn.Conv2d(3, 2, 2)).double().eval()
    x = torch.randn(2, 1, 4, 4, dtype=torch.float64)
    groups = permutations(model, x)
    assert [group.width for group in groups] == [3]
    model[1].running_mean.fill_(0.0)  # buffers do not move, and are equal here
    assert change(model, (x,), {}, groups) < 1e-12


class Squared(nn.Module):
    """Squared ReLU: homogeneous of degree two."""

    def __init__(self):
        super().__init__()
        self.up, self.down = nn.Linear(3, 5), nn.Linear(5, 2)

    def forward(self, x):
        return self.down(torch.relu(self.up(x)) ** 2)


def test_powers_follow_the_degree_of_the_activation():
    model, x = Squared().double(), torch.randn(6, 3, dtype=torch.float64)
    (group,) = couplings(model, x)
    powers = {piece.tensor: c for piece, c in group.parts}
    assert abs(powers["down.weight"]) == 2 * abs(powers["up.weight"])
    assert change(model, (x,), {}, [group]) < 1e-12


class Language(nn.Module):
    """Tokens and positions, of which few occur in the example."""

    def __init__(self):
        super().__init__()
        self.token, self.position = nn.Embedding(12, 4), nn.Embedding(8, 4)
        self.norm, self.up, self.down = nn.LayerNorm(4), nn.Linear(4, 6), nn.Linear(6, 12)

    def forward(self, tokens):
        x = self.token(tokens) + self.position(torch.arange(tokens.shape[-1]))
        return self.down(torch.relu(self.up(self.norm(x))))


def test_rows_that_were_not_seen_are_left_alone():
    """Their gradients are zero: equations that hold for no reason must not become groups."""
    model, seen = Language().double(), torch.tensor([[3, 5, 5]])
    groups = couplings(model, seen)
    assert sorted(group.text.partition(" on ")[0] for group in groups) == ["(R_>0)^4", "(R_>0)^6"]
    assert not {"token.weight", "position.weight"} & {name for group in groups for name in group.tensors}
    assert change(model, (torch.arange(8).unsqueeze(0),), {}, groups) < 1e-12


def test_no_group_where_there_is_none():
    assert couplings(mlp(nn.Tanh, 3, 5, 2), torch.randn(6, 3)) == ()


GL = Coupling("gl", ((Contraction("W1", 0, 2), 1), (Contraction("W2", 1, 2), -1)), 3)
POSITIVE = Coupling("positive", GL.parts, 3)
ROTATION = Coupling("orthogonal", GL.parts, 3)
ORDER = Coupling("permutation", GL.parts, 3)
SIGNS = Coupling("signs", GL.parts, 3)
STATE = {"W1": torch.randn(3, 2), "W2": torch.randn(4, 3)}

REFUSED = {
    "not square": (GL, torch.randn(3, 2), "square matrices"),
    "not a tensor": (GL, [[1.0]], "not list"),
    "singular": (GL, torch.ones(1, 3, 3), "singular"),
    "not finite": (GL, torch.full((1, 3, 3), torch.nan), "not finite"),
    "wrong length": (POSITIVE, torch.ones(2), r"expects \(3,\), one number for each index"),
    "negative": (POSITIVE, torch.tensor([1.0, -1.0, 1.0]), "must be positive"),
    "not orthogonal": (ROTATION, 2 * torch.eye(3), "not orthogonal"),
    "not a sign": (SIGNS, torch.tensor([1.0, -1.0, 0.5]), "1 or -1 for each index"),
    "not a permutation": (ORDER, torch.tensor([0, 0, 1]), r"not a permutation of 0\.\.2"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_element_is_refused(name):
    group, wrong, words = REFUSED[name]
    kept = {n: x.clone() for n, x in STATE.items()}
    with pytest.raises(InputError, match=words):
        group.act(STATE, wrong)
    assert all(torch.equal(STATE[n], x) for n, x in kept.items())


@pytest.mark.parametrize("wrong", [torch.ones(3, 3), torch.randn(2, 3), torch.full((3, 3), torch.inf)])
def test_a_module_is_moved_as_a_whole_or_not_at_all(wrong):
    model = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 4))
    (group,) = couplings(model, torch.randn(5, 2))
    kept = [p.detach().clone() for p in model.parameters()]
    with pytest.raises(InputError, match=r"singular|shape|finite"):
        group.act_(model, wrong)
    assert all(torch.equal(a, b) for a, b in zip(kept, model.parameters(), strict=True))
    x = torch.randn(5, 2)
    before = model(x).detach()
    group.act_(model, element(group)[0])
    assert torch.allclose(model(x), before, atol=1e-4)
    assert not torch.equal(kept[0], model[0].weight)


class Constant(nn.Module):
    """Has a parameter that does nothing."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(2))

    def forward(self, x):
        return x


def test_what_cannot_be_asked():
    with pytest.raises(InputError, match=r"returns no floating point tensor that its parameters move"):
        couplings(Constant(), torch.randn(2))
    with pytest.raises(InputError, match=r"ReLU has no parameters to train"):
        couplings(nn.ReLU(), torch.randn(2))


def test_unknown_or_misshapen_parameters_are_refused():
    with pytest.raises(InputError, match=r"unknown parameter 'W2': .* acts on W1, W2"):
        GL.act({"W1": STATE["W1"]}, torch.eye(3))
    with pytest.raises(InputError, match=r"W1 has shape \(4, 2\): .* expects 3 indices"):
        GL.act({"W1": torch.randn(4, 2), "W2": STATE["W2"]}, torch.eye(3))


def test_an_action_is_an_action():
    """g1 (g2 theta) = (g1 g2) theta."""
    a, b = element(GL, 1), element(GL, 2)
    state = {name: x.double() for name, x in STATE.items()}
    twice, once = GL.act(GL.act(state, b), a), GL.act(state, a @ b)
    assert all(torch.allclose(twice[name], once[name], atol=1e-12) for name in state)


def test_neural_teleportation_by_hand():
    """Armenta et al.: tau = (2, 0.5) on a ReLU layer; the published example."""
    model = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 1, bias=False)).double()
    values = ([[1.0, 2.0], [3.0, 4.0]], [1.0, -1.0], [[1.0, -1.0]])
    for p, value in zip(model.parameters(), values, strict=True):
        p.data = torch.tensor(value, dtype=torch.float64)
    x = torch.ones(1, 2, dtype=torch.float64)
    (group,) = couplings(model, torch.randn(8, 2))
    parameters = dict(model.named_parameters())
    up = group.parts[0][0].tensor == "0.weight" or group.parts[0][0].tensor == "0.bias"
    tau = torch.tensor([2.0, 0.5]) if up else torch.tensor([0.5, 2.0])
    for name, moved in group.act(parameters, tau).items():
        parameters[name].data = moved
    assert parameters["0.weight"].tolist() == [[2.0, 4.0], [1.5, 2.0]]
    assert parameters["2.weight"].tolist() == [[0.5, -2.0]]
    assert model(x).tolist() == [[-2.0]]


def test_null_vectors_of_real_matrices():
    columns = (
        torch.randn(20, 2, dtype=torch.float64) @ torch.tensor([[1.0, 0.0, 2.0, 1.0], [0.0, 1.0, -1.0, 0.0]]).double()
    )
    found = {tuple(c // max(v, key=abs) * max(v, key=abs) for c in v) for v in integers(columns)}
    assert len(found) == 2
    assert all(float((columns @ torch.tensor(v).double()).abs().max()) < 1e-9 for v in integers(columns))
    assert integers(torch.randn(20, 3, dtype=torch.float64)) == []


@pytest.mark.parametrize("seed", [13, 31, 49, 84])
def test_units_that_some_inputs_leave_dead_are_found_too(seed):
    """At these weights a unit is dead on the first inputs that are tried: more are, while that is cheap."""
    torch.manual_seed(seed)
    net, x = nn.Sequential(nn.Linear(3, 5), nn.ReLU(), nn.Linear(5, 2)), torch.randn(4, 3)
    every = {"0.weight", "0.bias", "2.weight"}
    assert [set(group.tensors) for group in couplings(net, x)] == [every]
    assert [set(order.tensors) for order in permutations(net, x)] == [every]


@pytest.mark.parametrize(("widths", "groups"), [((1, 1), 0), ((1, 2, 1), 1), ((1, 1, 1), 1)])
def test_the_smallest_networks(widths, groups):
    net = mlp(nn.ReLU, *widths, bias=False)
    assert len(couplings(net, torch.randn(3, 1))) == groups
