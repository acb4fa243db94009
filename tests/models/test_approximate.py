"""Networks that are written down: the sheet's numbers, the promise everywhere, and exactness far outside."""

import pytest
import torch

from gradlaws.errors import InputError, TooLargeError
from gradlaws.models.approximate import approximate, from_balls
from tests.radials import mlp
from tests.samplers import generator

BOTH = pytest.mark.parametrize("widths", ["constant", "growing"])


def wave(x):
    return (1 - x.abs()).clamp_min(0) * torch.sin(3 * x)


def line(low, high, count=4001):
    return torch.linspace(low, high, count, dtype=torch.float64).unsqueeze(1)


def by_hand(x, centres, radii, values, affine):
    """What the network must be: the value of the first ball that holds the point."""
    a, b = affine
    found = x @ a.T + b
    taken = torch.zeros(len(x), dtype=torch.bool)
    for c, r, v in zip(centres, radii, values, strict=True):
        inside = ((x - c).norm(dim=1) < r) & ~taken
        found[inside] = v
        taken |= inside
    return found


@BOTH
@pytest.mark.parametrize(("count", "error"), [(5, 0.511), (20, 0.149), (80, 0.0375)])
def test_the_sheets_errors(count, error, widths):
    """max(0, 1 - |x|) sin 3x by balls of radius 1 / (N - 1) around N equally spaced points of [-1, 1]: sheet 2.5."""
    centres = line(-1, 1, count)
    net = from_balls(centres, torch.full((count,), 1 / (count - 1)), wave(centres), widths=widths)
    x = line(-3, 3, 6_001)
    assert (net(x) - wave(x)).abs().max().item() == pytest.approx(error, rel=4e-3)
    assert net.widths == (1, *([3] * count if widths == "constant" else range(2, count + 2)), 1)


@BOTH
def test_random_balls_in_the_plane(widths):
    random = generator(2)
    centres = torch.randn(12, 2, generator=random, dtype=torch.float64)
    radii = 0.1 + 0.8 * torch.rand(12, generator=random, dtype=torch.float64)
    values = torch.randn(12, 3, generator=random, dtype=torch.float64)
    values[3] = values[7]
    affine = torch.randn(3, 2, generator=random, dtype=torch.float64), torch.ones(3, dtype=torch.float64)
    net = from_balls(centres, radii, values, affine, widths=widths)
    x = 2 * torch.randn(3000, 2, generator=random, dtype=torch.float64)
    torch.testing.assert_close(net(x), by_hand(x, centres, radii, values, affine), rtol=0, atol=1e-12)


@BOTH
@pytest.mark.parametrize("tolerance", [0.5, 0.1])
def test_the_tolerance_is_kept_everywhere(tolerance, widths):
    net = approximate(wave, [-1], [1], tolerance, 3.0, widths=widths)
    x = line(-5, 5, 40_001)
    assert (net(x) - wave(x)).abs().max() < tolerance
    far = torch.tensor([[-1e6], [1e3], [50.0]], dtype=torch.float64)
    assert (net(far) - 0).abs().max() < 1e-9


def bump(x):
    """Vector valued, in the plane, with an affine part."""
    height = (1 - x.norm(dim=1, keepdim=True)).clamp_min(0)
    return torch.cat([height + x[:, :1] + 1, x[:, 1:] - height / 2], 1)


@BOTH
def test_the_plane_with_an_affine_part(widths):
    affine = torch.eye(2), torch.tensor([1.0, 0.0])
    options = {"affine": affine, "widths": widths}
    net = approximate(bump, [-1, -1], [1, 1], 1.2, 2.2, **options)
    x = 2 * torch.randn(4000, 2, generator=generator(), dtype=torch.float64)
    assert (net(x) - bump(x)).norm(dim=1).max() < 1.2
    assert (x.norm(dim=1) > 2).any()
    far = 1e3 * torch.randn(50, 2, generator=generator(), dtype=torch.float64)
    torch.testing.assert_close(net(far), bump(far), rtol=1e-12, atol=1e-9)


@pytest.mark.parametrize(("count", "error"), [(5, 0.511), (20, 0.149), (80, 0.0375)])
def test_one_unit_fewer_on_a_compact_set(count, error):
    """Width max(n, m) + 1: the errors of the wider constructions on [-1, 1], and anything outside."""
    centres = line(-1, 1, count)
    balls = centres, torch.full((count,), 1 / (count - 1)), wave(centres)
    net, x = from_balls(*balls, widths="compact"), line(-1, 1, 60_000)  # not where two balls touch
    assert net.widths == (1, *[2] * count, 1)
    assert (net(x) - wave(x)).abs().max().item() == pytest.approx(error, rel=4e-3)
    torch.testing.assert_close(net(x), from_balls(*balls)(x), rtol=0, atol=1e-12)


@pytest.mark.parametrize(("n", "m"), [(1, 3), (2, 1), (2, 2), (3, 2)])
def test_random_balls_on_a_compact_set(n, m):
    random = generator(n + 10 * m)
    centres = torch.randn(12, n, generator=random, dtype=torch.float64)
    radii = 0.1 + 0.8 * torch.rand(12, generator=random, dtype=torch.float64)
    values = torch.randn(12, m, generator=random, dtype=torch.float64)
    values[3] = values[7]
    net = from_balls(centres, radii, values, widths="compact")
    assert net.widths == (n, *[max(n, m) + 1] * 12, m)
    x = centres.repeat(200, 1) + 0.5 * torch.randn(2400, n, generator=random, dtype=torch.float64)
    x = x[(torch.cdist(x, centres) < radii).any(1)]
    assert len(x) > 500
    expected = by_hand(x, centres, radii, values, (torch.zeros(m, n).double(), torch.zeros(m).double()))
    torch.testing.assert_close(net(x), expected, rtol=0, atol=1e-11)


def spiral(x):
    return torch.cat([x * torch.cos(3 * x), x * torch.sin(3 * x)], 1)


def saddle(x):
    return x[:, :1] * x[:, 1:]


def saddle4(x):
    return x[:, :1] * x[:, 3:]


def turn(x):
    return torch.cat([x[:, :1] ** 2 - x[:, 1:] ** 2, 2 * x[:, :1] * x[:, 1:]], 1)


@pytest.mark.parametrize(
    ("f", "low", "high", "tolerance", "lipschitz"),
    [(spiral, [-1], [1], 0.2, 3.2), (saddle, [-1, -1], [1, 0.7], 0.2, 1.5), (turn, [-1, -1], [1, 1], 0.3, 2.9)],
)
@pytest.mark.parametrize("widths", ["compact", "narrow"])
def test_narrower_networks_keep_the_tolerance_on_the_box(widths, f, low, high, tolerance, lipschitz):
    net = approximate(f, low, high, tolerance, lipschitz, widths=widths)
    x = torch.cartesian_prod(*[line(a, b, 60).squeeze(1) for a, b in zip(low, high, strict=True)]).reshape(-1, len(low))
    assert (net(x) - f(x)).norm(dim=1).max() < tolerance
    n, m = len(low), f(x).shape[1]
    assert set(net.widths[1:-1]) == {max(n, m) + (widths == "compact")}
    assert f(x).std() > 0.5 * tolerance  # a constant would not do


def test_a_network_of_width_one_is_monotone():
    """So max(n, m) is not enough for n = m = 1, as published; it is refused with that reason."""
    x = line(-5, 5)
    for seed in range(20):
        net = mlp((1, 1, 1, 1, 1), "step_relu", seed)
        steps = net(x).diff(dim=0)
        assert bool((steps >= 0).all() or (steps <= 0).all())
    with pytest.raises(InputError, match="a network of width one is monotone"):
        approximate(wave, [-1], [1], 0.5, 3, widths="narrow")


def test_the_constant_is_estimated_where_it_is_not_given():
    net = approximate(wave, [-1], [1], 0.1)
    x = line(-5, 5, 40_001)
    assert (net(x) - wave(x)).abs().max() < 0.1
    assert len(net.widths) < 3 * len(approximate(wave, [-1], [1], 0.1, 3.0).widths)


def test_a_steep_place_that_was_missed_raises_the_constant():
    """A step so steep that random pairs miss it: the error at a random point shows it."""

    def step(x):
        return torch.sigmoid(400 * (x - 0.3))

    net = approximate(step, [-1], [1], 0.4, affine=None, widths="compact")
    x = line(-1, 1, 1001)
    assert (net(x) - step(x)).abs().max() < 0.4


def test_values_that_nearly_coincide_are_rounded_first():
    """Each value is a multiple of a quarter of the tolerance or so: stored differences are never tiny."""
    net = approximate(
        lambda x: 1e-9 * torch.sin(5 * x) + 2, [-1], [1], 0.1, 0.3, affine=(torch.zeros(1, 1), torch.ones(1))
    )
    assert max(p.abs().max().item() for p in net.parameters()) < 1e3


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: approximate(wave, [1], [1], 0.1, 3), InputError, "expected low < high, finite"),
        (lambda: approximate(wave, [], [], 0.1, 3), InputError, "expected low < high, finite"),
        (lambda: approximate(wave, [-1], [1], 0, 3), InputError, "tolerance = 0: expected a positive number"),
        (lambda: approximate(wave, [-1], [1], 0.1, -3), InputError, "lipschitz = -3: expected a positive number"),
        (lambda: approximate(wave, [-1], [1], 0.1, 0.3), InputError, "f varies faster than lipschitz = 0.3 says"),
        (
            lambda: approximate(lambda x: x[:, 0], [-1], [1], 0.1, 3),
            InputError,
            r"f returned shape \(1,\) for 1 points",
        ),
        (lambda: approximate(wave, [-1] * 3, [1] * 3, 0.01, 3), TooLargeError, "balls are needed, about"),
        (
            lambda: approximate(wave, [-1], [1], 1e-4, 3, widths="growing"),
            TooLargeError,
            "take a larger tolerance or a smaller box",
        ),
        (
            lambda: from_balls(torch.zeros(2, 1), torch.ones(2), torch.ones(2, 1)),
            InputError,
            "radii from 1 to 1: expected numbers between 0 and 1",
        ),
        (
            lambda: from_balls(torch.zeros(2, 2), torch.ones(2) / 2, torch.ones(2, 1), widths="narrow"),
            InputError,
            "a centre lies in another ball",
        ),
        (
            lambda: from_balls(
                torch.tensor([[0.0, 0], [1e-9, 0]]).double(), torch.full((2,), 1e-10), line(0, 1, 2), widths="narrow"
            ),
            InputError,
            "a point hides behind another; move the balls a little",
        ),
        (
            lambda: approximate(saddle4, [-1] * 4, [1] * 4, 2.0, 1, widths="narrow"),
            InputError,
            "widths 'narrow' with 4 inputs: expected at most 3",
        ),
        (
            lambda: from_balls(torch.zeros(1, 1), torch.ones(1) / 2, torch.ones(1, 1), widths="wide"),
            InputError,
            "unknown widths 'wide': expected one of constant, growing, compact, narrow",
        ),
        (
            lambda: approximate(wave, [-1], [1], 1, 3, affine=(torch.ones(1, 1), torch.ones(1)), widths="compact"),
            InputError,
            "widths 'compact' keep no affine map outside the balls",
        ),
        (lambda: from_balls(torch.zeros(2), torch.ones(2), torch.ones(2, 1)), InputError, "centres have shape"),
        (lambda: from_balls(torch.zeros(2, 1), torch.ones(3), torch.ones(2, 1)), InputError, "radii, values, A and b"),
        (
            lambda: from_balls(torch.zeros(2, 1), torch.ones(2) / 2, 1 + 1e-9 * line(0, 1, 2)),
            InputError,
            "two values differ by .* only: .*round them",
        ),
    ],
)
def test_bad_requests_are_refused(call, error, words):
    with pytest.raises(error, match=words):
        call()
