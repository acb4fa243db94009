"""What torch's own optimizers do to laws and to broken ones, against published numbers."""

import pytest
import torch
from torch import nn

import gradlaws as gl
from gradlaws.flows.fields import vector_fields

SGD = torch.optim.SGD


def factors(options, steps, eta=0.01, decoupled=0.0):
    """``u^2 - v^2`` after each step on ``(u v - 2)^2 / 2`` from (3, 1/2)."""
    theta = nn.Parameter(torch.tensor([3.0, 0.5], dtype=torch.float64))
    optimizer, values = SGD([theta], lr=eta, **options), []
    for _ in range(steps):
        optimizer.zero_grad()
        ((theta[0] * theta[1] - 2) ** 2 / 2).backward()
        with torch.no_grad():
            theta.mul_(1 - eta * decoupled)
        optimizer.step()
        u, v = theta.tolist()
        values.append(u * u - v * v)
    return values


@pytest.mark.parametrize(
    ("options", "decoupled", "expected"),
    [
        ({}, 0.0, (8.74978125, 8.749601131349504, 8.749452918301257)),
        ({"momentum": 0.5}, 0.0, (8.74978125, 8.749129194630754, 8.748107091058408)),
        ({"momentum": 0.9}, 0.0, (8.74978125, 8.748672895255753, 8.745807435446471)),
        ({"weight_decay": 0.1}, 0.0, (8.73229, 8.714651972981494, 8.69707944636962)),
        ({}, 0.1, (8.73229, 8.714651972981494, 8.69707944636962)),
        ({"momentum": 0.9, "weight_decay": 0.1}, 0.0, (8.73229, 8.69801030464712, 8.647962820980025)),
        ({"momentum": 0.9}, 0.1, (8.73229, 8.713722092593455, 8.69341666956173)),
        ({"momentum": 0.9, "nesterov": True}, 0.0, (8.7492103125, 8.747302579127753, 8.743832500815387)),
    ],
)
def test_three_steps_of_each_optimizer(options, decoupled, expected):
    assert factors(options, 3, decoupled=decoupled) == pytest.approx(expected, abs=1e-13)


def test_one_step_changes_the_law_by_the_square_of_the_step():
    change = factors({}, 1)[0] - 8.75
    assert change == pytest.approx(-0.00021875, abs=1e-14)
    assert change == pytest.approx(0.01**2 * (0.25**2 - 1.5**2), abs=1e-14)


def heavy_ball(eta, time, beta=0.5):
    u, v, mu, mv = 3.0, 0.5, 0.0, 0.0
    for _ in range(round(time / eta)):
        e = u * v - 2
        mu, mv = beta * mu - eta * e * v, beta * mv - eta * e * u
        u, v = u + mu, v + mv
    return (u * u - v * v - 8.75) / eta


@pytest.mark.parametrize(("eta", "expected"), [(0.0025, -0.118188623), (0.00125, -0.117484459)])
def test_the_drift_of_gradient_descent_at_fixed_time(eta, expected):
    """Larger steps are in test_modified."""
    assert heavy_ball(eta, 5, beta=0.0) == pytest.approx(expected, abs=1e-9)


def test_the_limit_of_heavy_ball_at_fixed_time():
    """The limit is the one that was derived; -0.74084, -0.72072, -0.71071 on the way to it were wrong."""
    found = [heavy_ball(eta, 5) for eta in (0.002, 0.001, 0.0005)]
    assert found == pytest.approx([-0.70559, -0.70316, -0.70195], abs=1e-5)
    assert 2 * found[2] - found[1] == pytest.approx(-0.70073, abs=1e-5)
    assert found[0] - found[1] == pytest.approx(2 * (found[1] - found[2]), rel=0.01)


def shifted(eta, decay, beta, steps):
    """The sum of the inputs of a softmax, relative to where it began."""
    theta = nn.Parameter(torch.tensor([1.0, 0.5, -0.2], dtype=torch.float64))
    optimizer, first, seen = SGD([theta], lr=eta, weight_decay=decay, momentum=beta), float(theta.detach().sum()), {}
    for step in range(1, max(steps) + 1):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(theta[None], torch.tensor([2])).backward()
        optimizer.step()
        seen[step] = float(theta.detach().sum()) / first
    return [seen[step] for step in steps]


def test_a_sum_under_weight_decay():
    assert shifted(0.1, 0.01, 0.0, [200])[0] == pytest.approx(0.8186488294786356, rel=1e-10)
    found = shifted(0.1, 0.01, 0.9, [1, 2, 10, 100, 200])
    assert found == pytest.approx([0.999, 0.997101, 0.9589790578, 0.3686285999, 0.1204100312], abs=1e-9)
    assert shifted(0.1, 0.5, 0.9, [10])[0] == pytest.approx(-0.3109, abs=1e-4)


def test_the_length_of_what_is_normalised():
    w = nn.Parameter(torch.tensor([1.0, 0.5, 0.25], dtype=torch.float64))
    optimizer, diagonal, seen = SGD([w], lr=0.1, weight_decay=0.05), torch.tensor([1.0, 3.0, 7.0]), []
    for _ in range(51):
        seen.append(float(w.detach().square().sum()))
        optimizer.zero_grad()
        q = w / w.norm()
        ((q * diagonal) @ q / 2).backward()
        if len(seen) == 1:
            assert float(w.grad.square().sum()) == pytest.approx(1.5479969766, abs=1e-10)
        optimizer.step()
    expected = [1.3125, 1.3148877822656841, 1.3096667215162976, 1.3010916933313097]
    assert seen[:4] == pytest.approx(expected, rel=1e-12)
    assert [seen[10], seen[50]] == pytest.approx([1.221588102218359, 0.8186794562395311], rel=1e-12)


@pytest.mark.parametrize(
    ("names", "field", "expected"),
    [
        ("x y", ["y", "x"], ["x^2 - y^2"]),
        ("x y", ["-(x*y - 2)*y", "-(x*y - 2)*x"], ["x^2 - y^2"]),
        ("x y z", ["y*z", "x*z", "x*y"], ["x^2 - y^2", "x^2 - z^2"]),
    ],
)
def test_first_integrals_that_another_program_finds(names, field, expected):
    """genpolconslaw of polynomial_conservation_laws (Singular) on the same fields, bound 1, up to a combination."""
    answer = gl.laws(vector_fields(names.split(), [field]), degree=2)
    assert answer.complete
    assert [law.text for law in answer.laws] == expected
