"""Actions that keep a batch, on real modules: exact, a way back, and in teleportation and valleys like any group."""

import pytest
import torch
from torch import nn
from torch.func import functional_call

from gradlaws.errors import InputError, UnsupportedError
from gradlaws.symmetry.along import along
from gradlaws.symmetry.batch_action import batch_action, batch_actions
from gradlaws.symmetry.data_action import act_on_batch, act_on_layers
from gradlaws.symmetry.teleport import Teleporting, teleport_
from gradlaws.symmetry.valley import chord, curve, ensemble, members
from tests.modules import Block, Head, mlp
from tests.samplers import generator


def draw(*shape, seed=0):
    return torch.randn(*shape, generator=generator(seed), dtype=torch.float64)


def unleaky(z):
    return torch.where(z > 0, z, 100 * z)


def stated(module):
    return {name: p.detach().clone() for name, p in module.named_parameters()}


def convolutional():
    return nn.Sequential(
        nn.Conv2d(1, 6, 3, padding=1),
        nn.Tanh(),
        nn.MaxPool2d(2),
        nn.Conv2d(6, 5, 2, stride=2),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(20, 3),
    )


MODULES = {
    "leaky, before": (lambda: mlp(nn.LeakyReLU, 5, 6, 7, 8), draw(4, 5), None, 2),
    "leaky, after": (lambda: mlp(nn.LeakyReLU, 5, 6, 7, 8), draw(4, 5), unleaky, 2),
    "tanh without biases": (lambda: mlp(nn.Tanh, 5, 6, 7, 8, bias=False), draw(4, 5), None, 2),
    "GELU": (lambda: mlp(nn.GELU, 5, 9, 2), draw(6, 5), None, 1),
    "convolutions": (convolutional, draw(2, 1, 8, 8), None, 2),
    "attention": (Head, draw(1, 2, 3), None, 1),
    "a residual block with a norm": (Block, draw(1, 2, 3), None, 2),
}


@pytest.fixture(params=MODULES)
def case(request):
    make, x, inverse, count = MODULES[request.param]
    with torch.random.fork_rng():
        torch.manual_seed(0)
        module = make().double()
    groups = batch_actions(module, x, inverse)
    assert len(groups) == count
    return module, x, groups


def logs_of(groups, size=0.3):
    return [size * draw(*group.shape, seed=i) / group.width**0.5 for i, group in enumerate(groups)]


def test_the_batch_stays_and_other_inputs_do_not(case):
    module, x, groups = case
    moved = along(stated(module), groups, logs_of(groups))
    other = draw(*x.shape, seed=7)
    assert float((functional_call(module, moved, (x,)) - module(x)).detach().abs().max()) < 1e-12
    change = float((functional_call(module, moved, (other,)) - module(other)).detach().abs().max())
    assert change > 1e-4 or isinstance(module, Head)  # values pass through attention linearly
    assert max(float((moved[name] - p).abs().max()) for name, p in stated(module).items()) > 1e-2


def test_the_identity_does_nothing_and_there_is_a_way_back(case):
    module, _, groups = case
    state = stated(module)
    for name, still in along(state, groups, [torch.zeros(g.shape).double() for g in groups]).items():
        torch.testing.assert_close(still, state[name], rtol=0, atol=1e-13)
    back = along(along(state, groups, logs_of(groups)), groups, logs_of(groups), back=True)
    for name, there in back.items():
        torch.testing.assert_close(there, state[name], rtol=0, atol=1e-10)


def test_the_same_as_the_actions_of_matrices():
    """Two ways: on a module by hooks, and on matrices by formulas."""
    module, x = mlp(nn.Tanh, 3, 4, 2, bias=False).double(), draw(3, 3)
    g = torch.matrix_exp(0.3 * draw(4, 4))
    u, v = (module[i].weight.detach() for i in (2, 0))
    expected = dict(zip(("2.weight", "0.weight"), act_on_batch(u, v, g, x.mT, torch.tanh), strict=True))
    for name, found in batch_action(module, x, "0", "2").act(stated(module), g).items():
        torch.testing.assert_close(found, expected[name], rtol=0, atol=1e-10)
    module, x = mlp(nn.LeakyReLU, 4, 4, 4, 2).double(), draw(3, 4)
    elements = [torch.matrix_exp(0.1 * draw(4, 4, seed=i)) for i in range(2)]
    layers = [module[i] for i in (0, 2, 4)]
    expected = act_on_layers(
        *([getattr(layer, name).detach() for layer in layers] for name in ("weight", "bias")),
        elements,
        x.mT,
        nn.LeakyReLU(),
        unleaky,
    )
    state = stated(module)
    for group, g in zip(batch_actions(module, x, unleaky), elements, strict=True):
        state |= group.act(state, g)
    for i, weight in zip((0, 2, 4), expected, strict=True):
        torch.testing.assert_close(state[f"{i}.weight"], weight, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("inverse", [None, unleaky])
def test_one_layer_has_the_group_law_after_the_activation_and_for_full_batches(inverse):
    module = mlp(nn.LeakyReLU, 4, 5, 2).double()
    group = batch_action(module, draw(5 if inverse is None else 4, 4), "0", "2", inverse)
    g1, g2 = (torch.matrix_exp(0.2 * draw(5, 5, seed=i)) for i in range(2))
    state = stated(module)
    twice, once = group.moved(group.moved(state, g2), g1), group.moved(state, g1 @ g2)
    for name in state:
        torch.testing.assert_close(twice[name], once[name], rtol=0, atol=1e-9)


@pytest.mark.parametrize("objective", ["gradient", "sharpness"])
def test_teleportation_takes_them(case, objective):
    module, x, groups = case
    y, before = module(x).detach() + draw(*module(x).shape, seed=5), module(x).detach()

    def loss(m):
        return (m(x) - y).square().mean()

    moved = teleport_(module, loss, groups, objective=objective, steps=3, lr=0.1)
    if objective == "gradient":  # by partial derivatives: published code counts that moved weights depend on others
        slopes = torch.autograd.grad(loss(module), [*module.parameters()])
        assert moved.objective_after == pytest.approx(float(sum(s.square().sum() for s in slopes)), rel=1e-9)
    better = moved.objective_after / moved.objective_before
    assert better > 1.01 if objective == "gradient" else better < 0.9999
    assert moved.loss_after == pytest.approx(moved.loss_before, rel=1e-9)
    assert float((module(x) - before).detach().abs().max()) < 1e-10


def test_momenta_move_as_gradients_do(case):
    """The momentum of the gradient at the old point, moved, is that of the new point."""
    module, x, groups = case
    y = draw(*module(x).shape, seed=5)
    optimizer = torch.optim.SGD(module.parameters(), lr=1e-300, momentum=0.9)

    def loss(m):
        return (m(x) - y).square().mean()

    loss(module).backward()
    optimizer.step()
    teleport_(module, loss, groups, steps=2, lr=0.05, optimizer=optimizer)
    for p, slope in zip(module.parameters(), torch.autograd.grad(loss(module), [*module.parameters()]), strict=True):
        torch.testing.assert_close(optimizer.state[p]["momentum_buffer"], slope, rtol=0, atol=1e-9)


def test_the_wrapper_takes_them_with_the_published_rule():
    module, x = mlp(nn.LeakyReLU, 5, 6, 7, 8).double(), draw(4, 5)
    y, groups = draw(4, 8, seed=1), batch_actions(mlp(nn.LeakyReLU, 5, 6, 7, 8).double(), x, unleaky)
    groups = batch_actions(module, x, unleaky)
    training = Teleporting.of(
        torch.optim.SGD(module.parameters(), lr=1e-2),
        module,
        lambda m: (m(x) - y).square().mean(),
        groups,
        (5,),
        rule="ascent",
        steps=8,
        lr=1e-3,
    )
    losses = [training.step() for _ in range(10)]
    ((number, moved),) = training.history
    assert number == 5
    assert moved.objective_after > moved.objective_before
    assert losses[5] == pytest.approx(moved.loss_before, rel=1e-12)


def test_actions_on_the_batch_of_each_step():
    """Mini-batches: the groups are asked for when it is time."""
    module, batches = mlp(nn.LeakyReLU, 5, 6, 7, 8).double(), [draw(4, 5, seed=i) for i in range(6)]
    y, now = draw(4, 8, seed=9), [0]
    training = Teleporting.of(
        torch.optim.Adam(module.parameters(), lr=1e-3),
        module,
        lambda m: (m(batches[now[0]]) - y).square().mean(),
        lambda m: batch_actions(m, batches[now[0]], unleaky),
        range(2, 5),
        steps=2,
    )
    for now[0] in range(6):
        training.step()
    assert [number for number, _ in training.history] == [2, 3, 4]
    for _, moved in training.history:
        assert moved.loss_after == pytest.approx(moved.loss_before, rel=1e-9)
        assert moved.objective_after > moved.objective_before


def test_an_ensemble_agrees_on_the_batch_only():
    module, x = mlp(nn.GELU, 5, 9, 2).double(), draw(6, 5)
    states = members(module, batch_actions(module, x), 5, scale=0.5)
    assert float((ensemble(module, states, x) - module(x)).detach().abs().max()) < 1e-9
    other = draw(6, 5, seed=3)
    assert float((ensemble(module, states, other) - module(other)).detach().abs().max()) > 1e-3


def test_curves_and_chords_of_the_valley_of_a_batch():
    module, x = mlp(nn.GELU, 5, 9, 2).double(), draw(6, 5)
    groups, state = batch_actions(module, x), stated(module)
    found = chord(state, groups, logs_of(groups, 0.2), points=9)
    assert 0 < found.strays <= found.deviation < 0.5 * found.distance
    for point in curve(state, groups, logs_of(groups), [0.25, 0.5, 1.0]):
        assert float((functional_call(module, point, (x,)) - module(x)).detach().abs().max()) < 1e-11


def test_in_place_and_in_single_precision():
    module, x = mlp(nn.GELU, 5, 9, 2), draw(6, 5).float()
    before = module(x).detach()
    batch_action(module, x, "0", "2").act_(torch.matrix_exp(0.1 * draw(9, 9)))
    assert module[0].weight.dtype == torch.float32
    assert 0 < float((module(x) - before).detach().abs().max()) < 1e-4


def test_a_loss_of_another_batch_is_refused_and_nothing_moves():
    module, x = mlp(nn.LeakyReLU, 5, 6, 7, 8).double(), draw(4, 5)
    groups, other, kept = batch_actions(module, x), draw(40, 5, seed=1), stated(module)
    with pytest.raises(InputError, match=r"the loss would change from .*: expected a loss of the batch"):
        teleport_(module, lambda m: m(other).square().mean(), groups, steps=2)
    assert all(torch.equal(p, kept[name]) for name, p in module.named_parameters())


class Skip(nn.Module):
    """The units of the first layer reach the output past the second one."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(3, 4), nn.Linear(4, 4)

    def forward(self, x):
        h = torch.tanh(self.a(x))
        return h + self.b(h)


def frozen():
    module = mlp(nn.Tanh, 3, 4, 2)
    module[0].bias.requires_grad_(False)
    return module


WRONG = {
    "too many": (lambda: mlp(nn.Tanh, 3, 4, 2), (draw(5, 3), "0", "2"), InputError, "5 examples but 4 inputs of 2"),
    "equal examples": (
        lambda: mlp(nn.Tanh, 3, 4, 2),
        (torch.ones(2, 3).double(), "0", "2"),
        InputError,
        "the batch is degenerate: its inputs of 2 are linearly dependent",
    ),
    "name": (lambda: mlp(nn.Tanh, 3, 4, 2), (draw(2, 3), "0", "9"), InputError, "no layer '9' in Sequential"),
    "kind": (lambda: mlp(nn.Tanh, 3, 4, 2), (draw(2, 3), "0", "1"), UnsupportedError, "1 is a Tanh: expected one of"),
    "frozen": (frozen, (draw(2, 3), "0", "2"), InputError, "0 is frozen: expected a layer that is trained"),
    "skip": (Skip, (draw(2, 3), "a", "b"), InputError, "the units of a feed more than b"),
    "inverse": (
        lambda: mlp(nn.Tanh, 3, 4, 2),
        (draw(2, 3), "0", "2", unleaky),
        InputError,
        "inverse does not lead from the inputs of 2 back to the outputs of 0",
    ),
    "after a convolution": (
        convolutional,
        (draw(2, 1, 8, 8), "0", "3", unleaky),
        UnsupportedError,
        "0 is a Conv2d: expected one of Linear",
    ),
    "padding": (
        lambda: nn.Sequential(nn.Conv2d(1, 3, 1), nn.Conv2d(3, 2, 3, padding=1, padding_mode="circular")),
        (draw(1, 1, 2, 2), "0", "1"),
        UnsupportedError,
        "1 pads with something else than zeros",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_cannot_be_kept_is_refused(name):
    make, arguments, error, words = WRONG[name]
    module = make().double()
    before = stated(module)
    with pytest.raises(error, match=words):
        batch_action(module, *arguments)
    assert all(torch.equal(p, before[key]) for key, p in module.named_parameters())


def test_no_pair_at_all():
    with pytest.raises(InputError, match="between 0 and 2: 5 examples but 4 inputs of 2"):
        batch_actions(mlp(nn.Tanh, 3, 4, 2).double(), draw(5, 3))
    with pytest.raises(InputError, match="Linear has no two layers to act between"):
        batch_actions(nn.Linear(2, 2), draw(1, 2))


def test_bad_elements_are_refused_and_nothing_moves():
    module, x = mlp(nn.Tanh, 3, 4, 2).double(), draw(2, 3)
    group, before = batch_action(module, x, "0", "2"), stated(module)
    for g, words in ((draw(3, 3), "expected 4 x 4"), (torch.ones(4, 4).double(), "singular"), (draw(4, 3), "square")):
        with pytest.raises(InputError, match=words):
            group.act_(g)
    with pytest.raises(InputError, match=r"no tensor '0\.bias'"):
        group.act({name: p for name, p in before.items() if name != "0.bias"}, torch.eye(4))
    assert all(torch.equal(p, before[name]) for name, p in module.named_parameters())
