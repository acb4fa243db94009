"""Networks that are written down: the sheet's numbers, the promise everywhere, and exactness far outside."""

import pytest
import torch

from gradlaws.errors import InputError, TooLargeError
from gradlaws.models.approximate import approximate, from_balls
from tests.samplers import generator

BOTH = pytest.mark.parametrize("constant_width", [True, False])


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
def test_the_sheets_errors(count, error, constant_width):
    """max(0, 1 - |x|) sin 3x by balls of radius 1 / (N - 1) around N equally spaced points of [-1, 1]: sheet 2.5."""
    centres = line(-1, 1, count)
    net = from_balls(centres, torch.full((count,), 1 / (count - 1)), wave(centres), constant_width=constant_width)
    x = line(-3, 3, 6_001)
    assert (net(x) - wave(x)).abs().max().item() == pytest.approx(error, rel=4e-3)
    assert net.widths == (1, *([3] * count if constant_width else range(2, count + 2)), 1)


@BOTH
def test_random_balls_in_the_plane(constant_width):
    random = generator(2)
    centres = torch.randn(12, 2, generator=random, dtype=torch.float64)
    radii = 0.1 + 0.8 * torch.rand(12, generator=random, dtype=torch.float64)
    values = torch.randn(12, 3, generator=random, dtype=torch.float64)
    values[3] = values[7]
    affine = torch.randn(3, 2, generator=random, dtype=torch.float64), torch.ones(3, dtype=torch.float64)
    net = from_balls(centres, radii, values, affine, constant_width=constant_width)
    x = 2 * torch.randn(3000, 2, generator=random, dtype=torch.float64)
    torch.testing.assert_close(net(x), by_hand(x, centres, radii, values, affine), rtol=0, atol=1e-12)


@BOTH
@pytest.mark.parametrize("tolerance", [0.5, 0.1])
def test_the_tolerance_is_kept_everywhere(tolerance, constant_width):
    net = approximate(wave, [-1], [1], tolerance, 3.0, constant_width=constant_width)
    x = line(-5, 5, 40_001)
    assert (net(x) - wave(x)).abs().max() < tolerance
    far = torch.tensor([[-1e6], [1e3], [50.0]], dtype=torch.float64)
    assert (net(far) - 0).abs().max() < 1e-9


def bump(x):
    """Vector valued, in the plane, with an affine part."""
    height = (1 - x.norm(dim=1, keepdim=True)).clamp_min(0)
    return torch.cat([height + x[:, :1] + 1, x[:, 1:] - height / 2], 1)


@BOTH
def test_the_plane_with_an_affine_part(constant_width):
    affine = torch.eye(2), torch.tensor([1.0, 0.0])
    options = {"affine": affine, "constant_width": constant_width}
    net = approximate(bump, [-1, -1], [1, 1], 1.2, 2.2, **options)
    x = 2 * torch.randn(4000, 2, generator=generator(), dtype=torch.float64)
    assert (net(x) - bump(x)).norm(dim=1).max() < 1.2
    assert (x.norm(dim=1) > 2).any()
    far = 1e3 * torch.randn(50, 2, generator=generator(), dtype=torch.float64)
    torch.testing.assert_close(net(far), bump(far), rtol=1e-12, atol=1e-9)


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
            lambda: approximate(wave, [-1], [1], 1e-4, 3, constant_width=False),
            TooLargeError,
            "take a larger tolerance or a smaller box",
        ),
        (
            lambda: from_balls(torch.zeros(2, 1), torch.ones(2), torch.ones(2, 1)),
            InputError,
            "radii from 1 to 1: expected numbers between 0 and 1",
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
