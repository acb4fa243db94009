"""Diffusion on a graph at ten scales: `gradlaws.diffuse` against scipy's expm_multiply, in one run.

    python benchmarks/diffusion.py

Three ways to ``exp(-t L) x``, L the combinatorial Laplacian of a graph of 10,000 nodes, at ten equally spaced times:
ours; scipy's `expm_multiply` in its linspace form, which shares work between the times; one call of it for each time.
Errors are against a reference of our series at 1e-16 and, on a small graph, against the dense exponential; our
tolerance is set so that our measured error is no larger than that of scipy's, or than rounding.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median
from typing import Any

import networkx as nx
import numpy as np
from scipy import sparse
from scipy.sparse.linalg import expm_multiply

import gradlaws as gl

NODES, SCALES, REPEATS = 10_000, 10, 3
HORIZONS = {"short": (0.1, 1.0), "medium": (1.0, 10.0), "long": (5.0, 50.0)}
LONGEST = {"plane": 50.0, "hubs": 10.0}  # beyond, scipy takes minutes
ROUNDING = 1e-15  # errors below are as good as each other
TOLERANCES = (1e-13, 1e-14, 3e-15, 1e-15)


def laplacians() -> dict[str, Any]:
    """Graphs with edges between neighbours in the plane, and with hubs."""
    plane = nx.random_geometric_graph(NODES, 1.6 / NODES**0.5, seed=1)
    hubs = nx.barabasi_albert_graph(NODES, 5, seed=1)
    return {name: nx.laplacian_matrix(g).astype(float).tocsr() for name, g in {"plane": plane, "hubs": hubs}.items()}


def measured(work: Callable[[], np.ndarray], repeats: int = REPEATS) -> tuple[float, np.ndarray]:
    """Median seconds, and the result."""
    spent = []
    for _ in range(repeats):
        started = time.perf_counter()
        result = work()
        spent.append(time.perf_counter() - started)
    return median(spent), result


def error(result: np.ndarray, exact: np.ndarray, x: np.ndarray) -> float:
    """The largest over the times, relative to x."""
    return float(np.linalg.norm(result - exact, axis=1).max() / np.linalg.norm(x))


def check_reference() -> float:
    """Our series at its tightest against the dense eigendecomposition, on a graph of 400 nodes."""
    small = nx.laplacian_matrix(nx.random_geometric_graph(400, 0.08, seed=2)).astype(float)
    values, vectors = np.linalg.eigh(small.toarray())
    x, times = np.random.default_rng(0).standard_normal(400), np.linspace(0.1, 10, SCALES)
    exact = np.stack([vectors @ (np.exp(-t * values) * (vectors.T @ x)) for t in times])
    return error(gl.diffuse(small, x, times, tolerance=1e-16), exact, x)


def compare(name: str, laplacian: sparse.csr_matrix, horizon: str) -> None:
    """One line."""
    x = np.random.default_rng(0).standard_normal(laplacian.shape[0])
    low, high = HORIZONS[horizon]
    times = np.linspace(low, high, SCALES)
    exact = gl.diffuse(laplacian, x, times, tolerance=1e-17)
    shared, by_scipy = measured(lambda: expm_multiply(-laplacian, x, low, high, SCALES, endpoint=True))
    single, one_by_one = measured(lambda: np.stack([expm_multiply(-t * laplacian, x) for t in times]), 1)
    theirs = error(by_scipy, exact, x)
    for tolerance in TOLERANCES:
        seconds, ours = measured(lambda tol=tolerance: gl.diffuse(laplacian, x, times, tolerance=tol))
        if error(ours, exact, x) <= max(theirs, ROUNDING):
            break
    print(
        f"{name:<6}{low:>5} to {high:<5}{seconds:>8.3f} s{shared:>8.3f} s{single:>8.3f} s{shared / seconds:>9.1f}"
        f"{single / seconds:>9.1f}   {error(ours, exact, x):.0e} {theirs:.0e} {error(one_by_one, exact, x):.0e}",
        flush=True,
    )


def main() -> None:
    """Print one line for each graph and range of times."""
    print(f"reference against the dense exponential of 400 nodes: error {check_reference():.0e}")
    print(f"{NODES} nodes, {SCALES} times; seconds and errors of ours, linspace, one call each")
    print(f"{'graph':<6}{'times':>10}{'ours':>13}{'linspace':>10}{'one each':>10}{'ratio':>9}{'ratio':>9}   errors")
    for name, laplacian in laplacians().items():
        for horizon in (h for h, (_, last) in HORIZONS.items() if last <= LONGEST[name]):
            compare(name, laplacian, horizon)


if __name__ == "__main__":
    main()
