"""Diffusion on a graph at ten scales: `gradlaws.diffuse` against scipy's expm_multiply, in one run.

    python benchmarks/diffusion.py [--compare | --no-compare] [--nodes 10000]

Four ways to ``exp(-t L) x``, L the combinatorial Laplacian of a graph of 10,000 nodes, at ten equally spaced times:
ours; scipy's `expm_multiply` in its linspace form, which shares work between the times; one call of it for each time;
ours with one call for each time, which is what sharing is worth. Without comparison only ours is timed. It fails where
ours is not at least twice as fast as the linspace form and eight times as fast as one call for each time. Errors are
against a reference of our series at 1e-16 and, on a small graph, against the dense exponential; our tolerance is set so
that our measured error is no larger than that of scipy's, or than rounding.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from statistics import median
from typing import Any

import networkx as nx
import numpy as np
from scipy import sparse
from scipy.sparse.linalg import expm_multiply

import gradlaws as gl

SCALES, REPEATS = 10, 3
LEAST_SHARED, LEAST_SINGLE = 2.0, 8.0  # how many times as fast it must be
HORIZONS = {"short": (0.1, 1.0), "medium": (1.0, 10.0), "long": (5.0, 50.0)}
LONGEST = {"plane": 50.0, "hubs": 10.0}  # beyond, scipy takes minutes
ROUNDING = 1e-15  # errors below are as good as each other
TOLERANCES = (1e-13, 1e-14, 3e-15, 1e-15)


def laplacians(nodes: int) -> dict[str, Any]:
    """Graphs with edges between neighbours in the plane, and with hubs."""
    plane = nx.random_geometric_graph(nodes, 1.6 / nodes**0.5, seed=1)
    hubs = nx.barabasi_albert_graph(nodes, 5, seed=1)
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


def alone(laplacian: sparse.csr_matrix, x: np.ndarray, times: np.ndarray) -> str:
    """What our series takes at its default tolerance, and its error."""
    exact = gl.diffuse(laplacian, x, times, tolerance=1e-17)
    seconds, ours = measured(lambda: gl.diffuse(laplacian, x, times))
    return f"{seconds:>8.3f} s   {error(ours, exact, x):.0e}"


def compare(laplacian: sparse.csr_matrix, x: np.ndarray, times: np.ndarray) -> tuple[str, float, float]:
    """One line, and how many times as fast as the linspace form and as one call for each time."""
    exact = gl.diffuse(laplacian, x, times, tolerance=1e-17)
    shared, by_scipy = measured(lambda: expm_multiply(-laplacian, x, times[0], times[-1], len(times), endpoint=True))
    single, one_by_one = measured(lambda: np.stack([expm_multiply(-t * laplacian, x) for t in times]), 1)
    theirs = error(by_scipy, exact, x)
    for tolerance in TOLERANCES:
        seconds, ours = measured(lambda tol=tolerance: gl.diffuse(laplacian, x, times, tolerance=tol))
        if error(ours, exact, x) <= max(theirs, ROUNDING):
            break
    else:
        raise SystemExit(f"our error {error(ours, exact, x):.1e} is larger than scipy's, {theirs:.1e}")
    apart, _ = measured(lambda: np.stack([gl.diffuse(laplacian, x, t, tolerance=tolerance)[0] for t in times]), 1)
    errors = f"{error(ours, exact, x):.0e} {theirs:.0e} {error(one_by_one, exact, x):.0e}"
    spent = "".join(f"{s:>8.3f} s" for s in (seconds, shared, single, apart))
    ratios = shared / seconds, single / seconds
    return f"{spent}{ratios[0]:>9.1f}{ratios[1]:>9.1f}   {errors}", *ratios


def main() -> None:
    """Print one line for each graph and range of times."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--compare", action=argparse.BooleanOptionalAction, default=True, help="with scipy")
    parser.add_argument("--nodes", type=int, default=10_000, help="of each graph")
    asked = parser.parse_args()
    print(f"reference against the dense exponential of 400 nodes: error {check_reference():.0e}")
    print(f"{asked.nodes} nodes, {SCALES} times; errors of ours, linspace, one call of scipy for each time")
    names = ("ours", "linspace", "one each", "our each") if asked.compare else ("ours",)
    print(
        f"{'graph':<6}{'times':>13}{''.join(f'{n:>10}' for n in names)}{'    ratio    ratio' * asked.compare}   errors"
    )
    slowest = (np.inf, np.inf)
    for name, laplacian in laplacians(asked.nodes).items():
        x = np.random.default_rng(0).standard_normal(laplacian.shape[0])
        for low, high in (h for h in HORIZONS.values() if h[1] <= LONGEST[name]):
            times, label = np.linspace(low, high, SCALES), f"{name:<6}{low:>5} to {high:<5}"
            if asked.compare:
                line, *ratios = compare(laplacian, x, times)
                slowest = min(slowest[0], ratios[0]), min(slowest[1], ratios[1])
            else:
                line = alone(laplacian, x, times)
            print(label + line, flush=True)
    if slowest[0] < LEAST_SHARED or slowest[1] < LEAST_SINGLE:
        raise SystemExit(f"expected at least {LEAST_SHARED} and {LEAST_SINGLE} times as fast")


if __name__ == "__main__":
    main()
