"""Affine maps of Step-ReLU networks that collapse one ball after another to a point and store its value there.

A layer computes ``back(rho(turn(x)))``: rho takes everything of norm less than one to zero and leaves the rest. So
with ``back`` the inverse of ``turn``, one ball, or ellipsoid, goes to its centre, and nothing else moves (Ganev, van
Laarhoven, Walters 2021). Each construction returns the maps from one hidden layer to the next.
"""

from __future__ import annotations

import torch
from torch import Tensor

from gradlaws.errors import InputError

Affine = tuple[Tensor, Tensor]

_TRIES = 50
_ROOM, _LEAST = 0.02, 1e-6
"""Widths of an ellipsoid as parts of its length: so much, over the number of points, is taken at once; what must be."""


def growing(c: Tensor, heights: Tensor, values: Tensor, affine: Affine) -> list[Affine]:
    """Theorem 3: the ball i is moved to ``c_i + e_i``, e_i a new direction each time."""
    count, n = c.shape
    maps: list[Affine] = []
    matrix, offset = torch.eye(n, dtype=c.dtype), torch.zeros(n, dtype=c.dtype)
    for i in range(count):
        width = n + i + 1
        padded = torch.zeros(width, dtype=c.dtype)
        padded[:n] = -c[i]
        padded[-1] = heights[i]
        padded[:-1] += offset
        maps.append((torch.nn.functional.pad(matrix, (0, 0, 0, 1)), padded))
        matrix, offset = torch.eye(width, dtype=c.dtype), torch.zeros(width, dtype=c.dtype)
        matrix[-1, -1] = -1 / heights[i]
        offset[:n], offset[-1] = c[i], 1.0
    a, b = affine
    out = torch.cat([a, (values - c @ a.T - b).T], 1)
    maps.append((out @ matrix, out @ offset + b))
    return maps


def constant(c: Tensor, heights: Tensor, values: Tensor, affine: Affine) -> list[Affine]:
    """Theorem 5: a state (x, y, t); the ball i is moved to (0, y_i, 1), where y_i stands for its value."""
    (count, n), m = c.shape, values.shape[1]
    a, b = affine
    scale = _gap(values - b) / 2
    y = (values - b) / scale
    eye = torch.eye(n + m + 1, dtype=c.dtype)
    back: Affine = (eye[:, :n], torch.zeros(n + m + 1, dtype=c.dtype))
    maps: list[Affine] = []
    for i in range(count):
        turn, shift = eye.clone(), torch.zeros(n + m + 1, dtype=c.dtype)
        turn[:n, -1], turn[n:-1, -1], turn[-1, -1] = c[i], -y[i], -heights[i]
        shift[:n], shift[-1] = -c[i], heights[i]
        maps.append((turn @ back[0], turn @ back[1] + shift))
        turned, moved = eye.clone(), torch.zeros(n + m + 1, dtype=c.dtype)
        turned[:n, -1], turned[n:-1, -1], turned[-1, -1] = c[i] / heights[i], -y[i] / heights[i], -1 / heights[i]
        moved[n:-1], moved[-1] = y[i], 1.0
        back = (turned, moved)
    out = torch.cat([a, scale * torch.eye(m, dtype=c.dtype), torch.zeros(m, 1, dtype=c.dtype)], 1)
    maps.append((out @ back[0], out @ back[1] + b))
    return maps


def compact(c: Tensor, heights: Tensor, values: Tensor) -> list[Affine]:
    """Width max(n, m) + 1, on the balls only: a state (x, 0), or (y, 1) where y stands for the value of a ball.

    Point and value share coordinates, for the last one tells which of them is there: the layer i subtracts c_i from
    points and y_i from values, ``(z - (1 - t) c_i - t y_i, h_i (1 - t))``, so values other than y_i keep a norm of at
    least one. Outside the balls the output means nothing.
    """
    (count, n), m = c.shape, values.shape[1]
    d = max(n, m)
    scale = _gap(values) / 2
    centres, y = c.new_zeros(count, d), c.new_zeros(count, d)
    centres[:, :n], y[:, :m] = c, values / scale
    eye = torch.eye(d + 1, dtype=c.dtype)
    back: Affine = (eye[:, :n], c.new_zeros(d + 1))
    maps: list[Affine] = []
    for i in range(count):
        turn, shift = eye.clone(), c.new_zeros(d + 1)
        turn[:d, -1], turn[-1, -1] = centres[i] - y[i], -heights[i]
        shift[:d], shift[-1] = -centres[i], heights[i]
        maps.append((turn @ back[0], turn @ back[1] + shift))
        turned, moved = eye.clone(), c.new_zeros(d + 1)
        turned[:d, -1], turned[-1, -1] = (centres[i] - y[i]) / heights[i], -1 / heights[i]
        moved[:d], moved[-1] = y[i], 1.0
        back = (turned, moved)
    maps.append((scale * back[0][:m], scale * back[1][:m]))
    return maps


def narrow(c: Tensor, radii: Tensor, values: Tensor) -> list[Affine]:
    """Width max(n, m) >= 2, on the balls only, with two layers for each ball, or three.

    First every ball is collapsed to its centre; no centre may lie in another ball. Then the points that are left are
    moved one by one to where their values stand, each by a thin ellipsoid around that place which reaches it and none
    of the others; where there is hardly room, by way of a third place. On a line there is no way around, and indeed
    maps of width one are monotone.

    Raises:
        InputError: n = m = 1, a centre lies in another ball, or no thin ellipsoid was found.
    """
    (count, n), m = c.shape, values.shape[1]
    d = max(n, m)
    if d < 2:
        raise InputError("a network of width one is monotone: expected points or values of at least two entries")
    apart = torch.cdist(c, c) + torch.diag(radii.new_full((count,), torch.inf))
    if not bool((apart >= radii).all()):
        raise InputError("a centre lies in another ball: expected balls that hold one centre each")
    points = c.new_zeros(count, d)
    points[:, :n] = c
    steps = [(torch.eye(d, dtype=c.dtype) / r, z) for r, z in zip(radii, points, strict=True)]
    places, scale, offset = _places(points, values)
    where, random = points.clone(), torch.Generator().manual_seed(1)
    for i in range(count):
        steps += _route(where, i, places[i], random)
        where[i] = places[i]
    maps: list[Affine] = []
    back: Affine = (torch.eye(d, dtype=c.dtype)[:, :n], c.new_zeros(d))
    for turn, centre in steps:
        maps.append((turn @ back[0], turn @ (back[1] - centre)))
        back = (torch.linalg.inv(turn), centre)
    maps.append((scale * back[0][:m], scale * (back[1][:m] - offset)))
    return maps


def _places(points: Tensor, values: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Where the values stand, off the points and in no special position: ``(places, scale, offset)``."""
    d, m = points.shape[1], values.shape[1]
    reach = 1 + float((points - points.mean(0)).norm(dim=1).max())
    spread = (values - values.mean(0)).norm(dim=1).max().clamp_min(torch.finfo(values.dtype).tiny)
    random = torch.Generator().manual_seed(0)
    away = torch.randn(d, generator=random, dtype=points.dtype)
    away *= 3 * reach / away.norm()
    places = points.new_zeros(len(points), d) + points.mean(0) + away
    offset = places[0, :m].clone() - values.mean(0) * reach / spread
    places[:, :m] = offset + values * reach / spread
    _, same = values.unique(dim=0, return_inverse=True)
    extra = reach * torch.randn(int(same.max()) + 1, d, generator=random, dtype=points.dtype)
    places[:, m:] += extra[same][:, m:]
    return places, spread / reach, offset


def _route(where: Tensor, i: int, place: Tensor, random: torch.Generator) -> list[Affine]:
    """Ellipsoids that carry the point i to its place, one or two."""
    width, turn = _needle(where, i, place)
    best, found = width, [(turn, place)]
    reach = (where[i] - place).norm()
    for _ in range(_TRIES):
        if best * len(where) > _ROOM:
            break
        stop = place + 0.5 * reach * torch.randn(len(place), generator=random, dtype=place.dtype)
        first, there = _needle(where, i, stop)
        moved = where.clone()
        moved[i] = stop
        second, back = _needle(moved, i, place)
        if min(first, second) > best:
            best, found = min(first, second), [(there, stop), (back, place)]
    if not best > _LEAST:
        raise InputError(
            "values and centres in special position: a point hides behind another; move the balls a little"
        )
    return found


def _needle(where: Tensor, i: int, place: Tensor) -> tuple[float, Tensor]:
    """A matrix whose unit ball around the place holds the point i, the place, and no other point.

    With its width as a part of its length; zero where another point is in the way.
    """
    step = where[i] - place
    length = step.norm()
    along = step / length
    others = where[(where - place).norm(dim=1) > 0] - place
    others = others[(others - step).norm(dim=1) > 0]
    flat = others @ along
    apart = (others - flat.unsqueeze(1) * along).norm(dim=1)[flat.abs() < 1.2 * length]
    width = min(0.5 * float(apart.min()) if len(apart) else float(length), float(length))
    projection = torch.outer(along, along)
    eye = torch.eye(len(along), dtype=along.dtype)
    turn = projection / (1.1 * length) + (eye - projection) / max(width, torch.finfo(place.dtype).tiny)
    return width / float(length), turn


def _gap(values: Tensor) -> Tensor:
    """The smallest difference of different values in one coordinate; 1 if all are equal.

    Raises:
        InputError: it is tiny, and the network would have to blow it up.
    """
    gaps = [column.unique().diff() for column in values.T]
    found = torch.cat(gaps)
    found = found[found > 0]
    if not len(found):
        return torch.ones((), dtype=values.dtype)
    if found.min() < 1e-8 * values.abs().max():
        raise InputError(
            f"two values differ by {found.min():.1e} only: expected equal ones or at least 1e-8 of the largest apart; "
            "round them"
        )
    return found.min()
