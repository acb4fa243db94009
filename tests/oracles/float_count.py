"""The number of laws in float64: real gates, reverse mode on top of reverse mode, singular values."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.func import grad, vjp, vmap

from gradlaws.models.network import Network

GAP = 1e4
"""How far the last singular value that counts must stand above the first that does not."""

_SPARE = 6
_DEEPEST = 5
_ZERO = 1e-11

Field = Callable[[Tensor], Tensor]


def count_laws(network: Network, seed: int = 0) -> int:
    """D minus the dimension of the Lie algebra at a random point; raises AssertionError where it is not clear-cut."""
    random = torch.Generator().manual_seed(seed)
    theta = torch.randn(network.dimension, generator=random, dtype=torch.float64)
    span = theta.new_empty(0, len(theta))
    for length in range(1, _DEEPEST + 1):
        words = torch.randn(len(theta) - len(span) + _SPARE, length, _numbers(network), generator=random).double()
        words = vmap(vmap(lambda letter: _scaled(network, letter, theta)))(words)
        grown = extend(span, vmap(lambda word: _bracket(network, list(word))(theta))(words))
        if len(grown) in (len(span), len(theta)):
            return len(theta) - len(grown)
        span = grown
    raise AssertionError(f"no stagnation up to length {_DEEPEST}")


def singular_rank(rows: Tensor) -> int:
    """Number of singular values of rows of size one (or zero) above the gap, which must exist."""
    values = torch.linalg.svdvals(rows)
    rank = int((values > 1e-8 * max(1.0, float(values[0]))).sum())
    if 0 < rank < len(values):
        assert values[rank - 1] > GAP * values[rank], f"no clear gap: {values.tolist()}"
    return rank


def potential(network: Network, theta: Tensor, s: Tensor) -> Tensor:
    """``<c, f(theta, x)>`` with s = (x, c, one real number for each gate)."""
    x, c, *gates = s.split([network.widths[0], network.widths[-1], *_gates(network)])
    start, hidden, last = 0, x, len(network.widths) - 2
    for layer, width in enumerate(network.widths[1:]):
        end = start + width * len(hidden)
        hidden = theta[start:end].reshape(width, -1) @ hidden
        if network.output_bias if layer == last else network.bias:
            hidden = hidden + theta[end : end + width]
            end += width
        if layer < last and network.activation == "square":
            hidden = hidden**2
        elif layer < last and gates:
            hidden = gates[layer] * hidden
        start = end
    return c @ hidden


def extend(span: Tensor, rows: Tensor) -> Tensor:
    """An orthonormal basis of the old span and the new rows.

    Rows are brackets of fields of length one. Only rows that are not zero up to rounding on that scale are brought to
    length one, before and after the projection off the old span: noise stays noise.
    """
    for _ in range(2):
        norms = rows.norm(dim=1, keepdim=True)
        rows = torch.where(norms > _ZERO, rows / norms, torch.zeros_like(rows))
        rows = rows - rows @ span.T @ span
    rank = singular_rank(rows)
    if not rank:
        return span
    _, _, right = torch.linalg.svd(rows, full_matrices=False)
    return torch.linalg.qr(torch.cat([span, right[:rank]]).T)[0].T


def _bracket(network: Network, word: list[Tensor]) -> Field:
    """``[X_k, [..., [X_2, X_1]]]`` with ``[X, Y] = DY X - DX Y``."""
    *shorter, letter = word
    last = _velocity(network, letter)
    if not shorter:
        return last
    inner = _bracket(network, shorter)
    return lambda theta: _along(inner, theta, last(theta)) - _along(last, theta, inner(theta))


def _scaled(network: Network, s: Tensor, theta: Tensor) -> Tensor:
    """The instance with a shorter or longer cotangent, so that its field has length one at theta."""
    x, c, gates = s.split([network.widths[0], network.widths[-1], sum(_gates(network))])
    return torch.cat([x, c / _velocity(network, s)(theta).norm(), gates])


def _velocity(network: Network, s: Tensor) -> Field:
    return grad(lambda theta: potential(network, theta, s))


def _along(field: Field, theta: Tensor, direction: Tensor) -> Tensor:
    """Directional derivative as the transpose of a transpose: no forward mode of torch is used."""
    _, pull = vjp(field, theta)
    _, again = vjp(lambda u: pull(u)[0], torch.zeros_like(theta))
    return again(direction)[0]


def _gates(network: Network) -> list[int]:
    return list(network.widths[1:-1]) if network.activation in ("relu", "leaky") else []


def _numbers(network: Network) -> int:
    return network.widths[0] + network.widths[-1] + sum(_gates(network))
