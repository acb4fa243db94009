"""Where flint is used and where blocked elimination on BLAS: rank modulo p of one random matrix, both ways.

    python benchmarks/elimination.py

For every size: our elimination, flint's including the conversion that it needs, flint's alone, and ours at other strip
heights. flint wins below about 200 rows, where both take milliseconds, and loses by a growing factor above: the library
keeps one elimination, ours, and flint is an oracle of the tests.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import flint
import torch

from gradlaws.exact import linalg
from gradlaws.exact.field import DEFAULT_PRIMES, PrimeField

SIZES = (20, 50, 100, 200, 500, 1000, 2000)
LEAVES = (16, 32, 64, 128)


def seconds(work: Callable[[], object]) -> float:
    """The best of three."""
    best = float("inf")
    for _ in range(3):
        started = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - started)
    return best


def with_leaf(leaf: int, matrix: torch.Tensor, field: PrimeField) -> float:
    """Our elimination with strips of another height."""
    usual, linalg.LEAF = linalg.LEAF, leaf
    try:
        return seconds(lambda: linalg.rank(matrix, field))
    finally:
        linalg.LEAF = usual


def main() -> None:
    """One line for each size, milliseconds."""
    field = PrimeField(DEFAULT_PRIMES[0])
    generator = torch.Generator().manual_seed(0)
    print(f"{'size':>5} {'ours':>9} {'flint':>9} {'its rank':>9} {'ratio':>6}   strips of {LEAVES}")
    for size in SIZES:
        matrix = field.random((size, size), generator)

        def convert(matrix: torch.Tensor = matrix, size: int = size) -> flint.nmod_mat:
            return flint.nmod_mat(size, size, matrix.to(torch.int64).flatten().tolist(), field.prime)

        ours, theirs, converted = seconds(lambda m=matrix: linalg.rank(m, field)), 0.0, convert()
        alone = seconds(converted.rank)
        theirs = seconds(lambda: convert().rank())
        leaves = "  ".join(f"{1e3 * with_leaf(leaf, matrix, field):8.1f}" for leaf in LEAVES)
        print(f"{size:>5} {1e3 * ours:>9.1f} {1e3 * theirs:>9.1f} {1e3 * alone:>9.1f} {theirs / ours:>6.1f}   {leaves}")


if __name__ == "__main__":
    main()
