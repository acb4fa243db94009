"""Real symmetric operators from what users have: matrices dense and sparse, linear operators, graphs; their spectra."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from gradlaws.errors import InputError

Interval = tuple[float, float]

_SYMMETRIC = 1e-10
_KRYLOV, _MARGIN = 40, 0.01
_SHARPENINGS = 5
_EXPECTED = (
    "expected a symmetric matrix (numpy, scipy.sparse, torch dense or sparse), a networkx graph, or a linear operator "
    "with .shape and .matvec or ()"
)


@dataclass(frozen=True, eq=False, slots=True)
class Symmetric:
    """A symmetric operator A on vectors of `size` entries.

    Args:
        size: n.
        apply: ``A v`` for v ``[n]`` or ``[n, k]``.
        vector: makes of a numpy array what `apply` takes.
        array: makes of that a numpy array.
        magnitudes: ``|A| v`` entry by entry and the diagonal of A, where the entries are known.
    """

    size: int
    apply: Callable[[Any], Any]
    vector: Callable[[Any], Any] = np.asarray
    array: Callable[[Any], Any] = np.asarray
    magnitudes: tuple[Callable[[Any], Any], Any] | None = None


def read_operator(operator: Any) -> Symmetric:
    """What A is, checked to be square, finite, real and symmetric.

    A graph stands for its combinatorial Laplacian, with the edge attribute ``weight`` where there is one; parallel
    edges add up and loops do not count. Symmetry is tested by ``<u, A v> = <v, A u>`` for random u and v.

    Raises:
        InputError: A is none of these.
    """
    read = _read(operator)
    _refuse_asymmetric(read)
    return read


def _read(operator: Any) -> Symmetric:
    if hasattr(operator, "adjacency") and hasattr(operator, "is_directed"):
        return _from_sparse(_laplacian(operator))
    if isinstance(operator, torch.Tensor):
        return _from_torch(operator)
    if hasattr(operator, "tocsr"):
        return _from_sparse(operator.tocsr())
    if isinstance(operator, np.ndarray | list | tuple):
        return _from_dense(np.asarray(operator))
    if hasattr(operator, "shape") and (hasattr(operator, "matvec") or callable(operator)):
        return _from_function(operator)
    raise InputError(f"cannot diffuse along {type(operator).__name__}: {_EXPECTED}")


def _from_dense(matrix: Any) -> Symmetric:
    _check(tuple(matrix.shape), matrix.dtype.kind in "biuf", matrix)
    matrix = np.ascontiguousarray(matrix, dtype=np.float64)
    size = np.abs(matrix)
    return Symmetric(len(matrix), lambda v: matrix @ v, magnitudes=(lambda v: size @ v, matrix.diagonal()))


def _from_sparse(matrix: Any) -> Symmetric:
    _check(tuple(matrix.shape), matrix.dtype.kind in "biuf", matrix.data)
    matrix = matrix.astype(np.float64)
    if hasattr(matrix, "sum_duplicates"):
        matrix.sum_duplicates()
    size = abs(matrix)
    return Symmetric(matrix.shape[0], lambda v: matrix @ v, magnitudes=(lambda v: size @ v, matrix.diagonal()))


def _from_torch(matrix: torch.Tensor) -> Symmetric:
    matrix = matrix.detach()
    sparse = matrix.layout is not torch.strided
    if sparse and matrix.layout is not torch.sparse_csr:
        matrix = matrix.to_sparse_coo().coalesce()
    values = matrix.values() if sparse else matrix
    real = not (values.is_complex() or values.is_quantized)
    _check(tuple(matrix.shape), real, values.cpu().numpy() if real and values.numel() else np.zeros(1))
    matrix = matrix.double()
    size = matrix.abs()
    return Symmetric(
        matrix.shape[0],
        lambda v: matrix @ v,
        vector=lambda v: torch.as_tensor(np.asarray(v), dtype=torch.float64, device=matrix.device),
        array=lambda v: v.cpu().numpy(),
        magnitudes=(lambda v: size @ v, _diagonal(matrix)),
    )


def _diagonal(matrix: torch.Tensor) -> torch.Tensor:
    if matrix.layout is torch.strided:
        return matrix.diagonal()
    entries = matrix.to_sparse_coo().coalesce()
    (rows, columns), values = entries.indices(), entries.values()
    found = values.new_zeros(len(matrix))
    found[rows[rows == columns]] = values[rows == columns]
    return found


def _from_function(operator: Any) -> Symmetric:
    _check(tuple(operator.shape), True, np.zeros(1))
    once = operator.matvec if hasattr(operator, "matvec") else operator
    many = getattr(operator, "matmat", None)

    def apply(v: Any) -> Any:
        if v.ndim == 1:
            return np.asarray(once(v), dtype=np.float64).reshape(v.shape)
        if many is not None:
            return np.asarray(many(v), dtype=np.float64)
        return np.stack([np.asarray(once(column), dtype=np.float64).reshape(-1) for column in v.T], axis=1)

    return Symmetric(operator.shape[0], apply)


def _laplacian(graph: Any) -> Any:
    """Degrees minus adjacency, rows in the order of the nodes of the graph."""
    if graph.is_directed():
        raise InputError("diffusion needs an undirected graph, this one is directed: pass graph.to_undirected()")
    try:
        from scipy import sparse  # noqa: PLC0415 - only graphs need it
    except ImportError:
        raise InputError("the Laplacian of a graph needs scipy: pip install 'gradlaws[geometry]'") from None
    number = {node: i for i, node in enumerate(graph)}
    edges = [(number[a], number[b], w) for a, b, w in graph.edges(data="weight", default=1.0) if a != b]
    rows = np.array([a for a, _, _ in edges], dtype=np.int64)
    columns = np.array([b for _, b, _ in edges], dtype=np.int64)
    try:
        values = np.array([w for _, _, w in edges], dtype=np.float64)
    except (TypeError, ValueError):
        raise InputError("an edge of the graph has a weight that is not a number: expected real weights") from None
    half = sparse.coo_array((values, (rows, columns)), shape=(len(number), len(number)))
    adjacency = (half + half.T).tocsr()
    return (sparse.diags_array(np.asarray(adjacency.sum(axis=1)).ravel()) - adjacency).tocsr()


def _check(shape: tuple[int, ...], real: bool, values: Any) -> None:
    if len(shape) != 2 or shape[0] != shape[1] or shape[0] == 0:
        raise InputError(f"an operator of shape {shape} cannot diffuse: expected a square one, [n, n]")
    if not real:
        raise InputError(
            "the operator is not real: expected real entries; split a Hermitian one into real and imaginary"
        )
    if not np.isfinite(values).all():
        raise InputError("the operator has entries that are NaN or infinite: expected finite numbers")


def _refuse_asymmetric(read: Symmetric) -> None:
    u, v = (read.vector(draw) for draw in np.random.default_rng(0).standard_normal((2, read.size)))
    au, av = read.array(read.apply(u)), read.array(read.apply(v))
    if not (np.isfinite(au).all() and np.isfinite(av).all()):
        raise InputError("the operator makes NaN or infinity of finite vectors: expected finite numbers")
    u, v = read.array(u), read.array(v)
    difference = abs(float(u @ av - v @ au))
    scale = float(np.abs(u) @ np.abs(av) + np.abs(v) @ np.abs(au))
    if difference > _SYMMETRIC * scale:
        raise InputError(
            f"the operator is not symmetric: <u, A v> and <v, A u> differ by {difference / scale:.1e} of their size; "
            "expected A = A^T; symmetrise it, as (A + A^T) / 2, or use scipy.sparse.linalg.expm_multiply"
        )


def certain_interval(read: Symmetric) -> Interval | None:
    """An interval that holds the spectrum, proved from the entries; None where they are not known.

    ``x^T A x <= |x|^T B |x|`` where B has the diagonal of A and elsewhere the sizes of its entries, and the largest
    eigenvalue of B is at most ``max_i (B v)_i / v_i`` for every positive v (Collatz, Wielandt). The lower end takes
    v = 1, which is exactly zero for Laplacians; the upper one sharpens v by a few power iterations.
    """
    if read.magnitudes is None:
        return None
    magnitude, diagonal = read.magnitudes
    diagonal = read.array(diagonal)
    v = read.vector(np.ones(read.size))
    sums = read.array(magnitude(v))
    low, high = float((diagonal + np.abs(diagonal) - sums).min()), np.inf
    sizes = np.abs(diagonal)
    for _ in range(_SHARPENINGS):
        image = read.array(magnitude(v))
        here = read.array(v)
        bound = float((image / here + diagonal - sizes).max())
        high = min(high, bound)
        mixed = image + (1e-3 * sums.max() + 1e-300) * here
        v = read.vector(mixed / mixed.max())
    rounding = 1e-14 * max(abs(low), abs(high))
    return (low if abs(low) > rounding else 0.0), high + rounding


def likely_interval(read: Symmetric, start: Any, longest: float) -> Interval:
    """The ends of the spectrum by Lanczos' method with full orthogonalisation; nothing is proved.

    It starts from a random vector plus a random combination of the columns of `start`: of what acts on these, most is
    seen. The upper end has a wide margin. A lower end that is too low by d makes results worse by exp(t d), so its
    margin is at most one over the longest time, and where no negative value shows it is zero.
    """
    random = np.random.default_rng(1)
    columns = start.reshape(read.size, -1) / (np.linalg.norm(start) or 1.0)
    v = random.standard_normal(read.size)
    v = v / np.linalg.norm(v) + columns @ random.standard_normal(columns.shape[1])
    alpha, beta = _lanczos(read, v)
    off = beta[:-1]
    values, vectors = np.linalg.eigh(np.diag(alpha) + np.diag(off, 1) + np.diag(off, -1))
    rounding = 1e-12 * float(np.abs(values).max())
    margins = beta[-1] * np.abs(vectors[-1]) + (_MARGIN * (values[-1] - values[0]) if beta[-1] else rounding)
    low = float(values[0] - min(margins[0], 1 / longest if longest else margins[0]))
    return (0.0 if values[0] >= -rounding else low), float(values[-1] + margins[-1])


def _lanczos(read: Symmetric, v: Any) -> tuple[Any, Any]:
    """Diagonal of the tridiagonal matrix, and what stands beside it; last comes the residual, 0 if A is exhausted."""
    basis = np.zeros((min(_KRYLOV, read.size), read.size))
    alpha, beta = np.zeros(len(basis)), np.zeros(len(basis))
    v = v / np.linalg.norm(v)
    for j in range(len(basis)):
        basis[j] = v
        w = read.array(read.apply(read.vector(v))).copy()
        alpha[j] = w @ v
        for _ in range(2):
            w -= basis[: j + 1].T @ (basis[: j + 1] @ w)
        beta[j] = np.linalg.norm(w)
        if j + 1 == read.size or beta[j] <= 1e-13 * max(np.abs(alpha[: j + 1]).max(), beta[: j + 1].max()):
            beta[j] = 0.0
            return alpha[: j + 1], beta[: j + 1]
        v = w / beta[j]
    return alpha, beta
