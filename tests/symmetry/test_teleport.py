"""Teleportation: test functions in the plane with known best points, modules whose function stays."""

import math

import pytest
import torch
from torch import nn

from gradlaws.errors import InputError
from gradlaws.symmetry.couple import couplings
from gradlaws.symmetry.permute import permutations
from gradlaws.symmetry.plane import BOOTH, ROSENBROCK
from gradlaws.symmetry.teleport import Teleporting, teleport_
from tests.modules import Gated, Head, mlp
from tests.symmetry.test_coupling import Radial


def point(*w):
    return torch.tensor(w, dtype=torch.float64)


def test_booth_by_hand():
    """Level set of (5, -5): the largest |grad|^2 is 2 lambda_max L = 5184, at (1, 3) +- 2 sqrt2 (1, 1)."""
    w = point(5.0, -5.0)
    assert BOOTH.coordinates(w).tolist() == [-12.0, 0.0]
    assert float(BOOTH.loss(w)) == 144.0
    assert float(BOOTH.gradient(w).square().sum()) == 2880.0
    best = BOOTH.teleported(w)
    assert float(BOOTH.loss(best)) == pytest.approx(144.0)
    assert float(BOOTH.gradient(best).square().sum()) == pytest.approx(5184.0, rel=1e-6)
    offset = best - point(1.0, 3.0)
    assert float(offset.norm()) == pytest.approx(4.0, rel=1e-3)
    assert abs(float(offset[0] - offset[1])) < 1e-2
    hessian = torch.tensor([[10.0, 8.0], [8.0, 10.0]], dtype=torch.float64)
    newton = torch.linalg.solve(hessian, BOOTH.gradient(best))
    assert float(torch.cosine_similarity(newton, BOOTH.gradient(best), 0)) == pytest.approx(1.0, abs=1e-6)


def test_rosenbrock_by_hand():
    w = point(-1.0, -1.0)
    assert ROSENBROCK.coordinates(w).tolist() == [20.0, -2.0]
    assert float(ROSENBROCK.loss(w)) == 404.0
    for function in (BOOTH, ROSENBROCK):
        turned = function.rotated(w, 0.7)
        assert float(function.loss(turned)) == pytest.approx(float(function.loss(w)))
        assert torch.allclose(function.points(function.coordinates(w)), w)


@pytest.mark.parametrize(
    ("function", "start", "steps", "lr", "when"),
    [(BOOTH, (5.0, -5.0), 10, 0.08, (5,)), (ROSENBROCK, (-1.0, -1.0), 1000, 1e-3, tuple(range(100, 1000, 100)))],
)
def test_published_settings_descend_faster(function, start, steps, lr, when):
    plain, jumped = function.descent(point(*start), steps, lr), function.descent(point(*start), steps, lr, when)
    assert jumped[: when[0] + 1] == plain[: when[0] + 1]
    assert jumped[-1] < 0.01 * plain[-1]


def test_too_large_a_gradient_diverges():
    """Before the first step the steepest point of the level set is too steep for the published step size."""
    assert not math.isfinite(ROSENBROCK.descent(point(-1.0, -1.0), 100, 1e-3, (0,))[-1])


def test_a_quadratic_is_best_at_its_top_eigenvector():
    a = torch.randn(4, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    a = a @ a.mT + torch.eye(4)
    values, vectors = torch.linalg.eigh(a)
    level = 3.0
    best = math.sqrt(2 * level / float(values[-1])) * vectors[:, -1]
    assert float(0.5 * best @ a @ best) == pytest.approx(level)
    assert float((a @ best).square().sum()) == pytest.approx(2 * float(values[-1]) * level)


def test_one_best_teleport_of_a_quadratic_stays_best():
    """Gradient descent stays on the top eigenvector: |grad|^2 = 2 lambda_max L at every later step."""
    hessian = torch.tensor([[10.0, 8.0], [8.0, 10.0]], dtype=torch.float64)
    w = BOOTH.teleported(point(5.0, -5.0))
    for _ in range(10):
        slope = BOOTH.gradient(w)
        assert float(slope.square().sum()) == pytest.approx(2 * 18 * float(BOOTH.loss(w)), rel=1e-5)
        assert torch.allclose(hessian @ slope, 18 * slope, rtol=1e-2)
        w = w - 0.01 * slope


def test_rotations_do_not_help():
    """Of a radial network: orthogonal actions leave the norm of the gradient where it is."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model, x = Radial().double(), torch.randn(5, 2, dtype=torch.float64)
    groups = couplings(model, x)
    assert [group.group for group in groups] == ["orthogonal"]

    def loss(m):
        return m(x).square().sum()

    before = sum(float(g.square().sum()) for g in torch.autograd.grad(loss(model), [*model.parameters()]))
    moved = teleport_(model, loss, groups, steps=5)
    assert moved.objective_after == pytest.approx(before, rel=1e-9)


def regression(activation=nn.LeakyReLU):
    """Widths and batch of the published regression, with biases."""
    random = torch.Generator().manual_seed(0)
    model = mlp(activation, 5, 6, 7, 8).double()
    x, y = (torch.rand(4, n, generator=random, dtype=torch.float64) for n in (5, 8))
    return model, x, lambda m: (m(x) - y).square().mean()


@pytest.mark.parametrize("objective", ["gradient", "sharpness"])
def test_the_function_stays_and_the_objective_improves(objective):
    model, _, loss = regression()
    fresh = torch.randn(9, 5, dtype=torch.float64)
    before = model(fresh).detach()
    groups = couplings(model, fresh)
    assert len(groups) == 2
    moved = teleport_(model, loss, groups, objective=objective, steps=5, lr=0.5)
    better = moved.objective_after / moved.objective_before
    assert better > 1.5 if objective == "gradient" else better < 1.0
    assert moved.loss_after == pytest.approx(moved.loss_before, rel=1e-12)
    assert float((model(fresh) - before).detach().abs().max()) < 1e-13


class Image(nn.Module):
    """Convolutions with a normalisation, then a linear layer."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(1, 4, 3),
            nn.BatchNorm2d(4),
            nn.ReLU(),
            nn.Conv2d(4, 3, 3),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(12, 2),
        )

    def forward(self, x):
        return self.layers(x)


@pytest.mark.parametrize(("make", "shape"), [(Image, (5, 1, 6, 6)), (Head, (2, 5, 3)), (Gated, (5, 2))])
@pytest.mark.parametrize("objective", ["gradient", "sharpness"])
def test_convolutions_attention_and_gates(make, shape, objective):
    """With biases, for a batch larger than any width, and for other inputs."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = make().double().eval()
    random = torch.Generator().manual_seed(1)
    x, fresh = (torch.randn(shape, generator=random, dtype=torch.float64) for _ in range(2))
    y, before = model(x).detach() + 1, model(fresh).detach()
    moved = teleport_(model, lambda m: (m(x) - y).square().mean(), couplings(model, x), objective=objective, steps=4)
    better = moved.objective_after / moved.objective_before
    assert better > 1.05 if objective == "gradient" else better < 1
    assert float((model(fresh) - before).detach().abs().max()) < 1e-12


def test_momenta_move_as_gradients_do():
    """One step, then a teleport with momentum: the same as the momentum of the gradient at the new point."""
    model, x, loss = regression()
    groups = couplings(model, x)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-300, momentum=0.9)
    loss(model).backward()
    optimizer.step()
    teleport_(model, loss, groups, steps=2, optimizer=optimizer)
    gradients = torch.autograd.grad(loss(model), list(model.parameters()))
    for p, g in zip(model.parameters(), gradients, strict=True):
        assert torch.allclose(optimizer.state[p]["momentum_buffer"], g, atol=1e-13)


def test_the_wrapper_teleports_when_it_is_time():
    losses = {}
    for schedule in ((), (5,)):
        model, x, loss = regression()
        optimizer = torch.optim.SGD(model.parameters(), lr=1e-2)
        training = Teleporting.of(optimizer, model, loss, couplings(model, x), schedule, steps=8, radius=2.0)
        losses[schedule] = [training.step() for _ in range(40)]
        assert [number for number, _ in training.history] == list(schedule)
    assert losses[5,][:6] == pytest.approx(losses[()][:6])
    assert losses[5,][-1] < losses[()][-1]


def test_the_wrapper_remembers_where_it_was():
    model, x, loss = regression()
    training = Teleporting.of(torch.optim.SGD(model.parameters(), lr=1e-2), model, loss, couplings(model, x), ())
    training.step()
    saved = training.state_dict()
    training.step()
    training.load_state_dict(saved)
    assert len(training.done) == 1
    assert training.param_groups[0]["lr"] == 1e-2


def test_what_is_asked_is_checked():
    model, x, loss = regression()
    groups = couplings(model, x)
    kept = [p.detach().clone() for p in model.parameters()]
    for options, words in (
        ({"objective": "speed"}, "unknown objective 'speed': expected gradient or sharpness"),
        ({"steps": 0}, "expected positive numbers"),
        ({"radius": 0.0}, "expected positive numbers"),
    ):
        with pytest.raises(InputError, match=words):
            teleport_(model, loss, groups, **options)
    with pytest.raises(InputError, match="no groups"):
        teleport_(model, loss, [])
    with pytest.raises(InputError, match="permutations have no logarithm"):
        teleport_(model, loss, permutations(model, x))
    assert all(torch.equal(a, b) for a, b in zip(kept, model.parameters(), strict=True))
