"""Seconds and peak memory of a proved count against the number of parameters D, each in a process of its own.

    python benchmarks/scaling.py [--device cuda] [--largest 10000]

Prints the fitted exponent of seconds in D, and the ratio to one dense float64 matrix product of size D on the same
machine in the same run.
"""

from __future__ import annotations

import argparse
import math
import resource
import subprocess
import sys
import time

SPECS = (
    "relu 8-8-8",
    "relu 16-16-16",
    "relu 32-32-32",
    "relu 50-50-50",
    "relu 50-100-50",
    "linear 8-8-8",
    "linear 16-16-16",
    "linear 20-20-20",
    "linear 32-32-32",
    "linear 50-50-50",
    "linear 2-3-3-2",
)


def one(spec: str, device: str) -> None:
    """Count one network and print its figures, whole process since the import of torch."""
    started = time.perf_counter()
    import gradlaws

    count = gradlaws.count(spec, device=device)
    seconds = time.perf_counter() - started
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(
        count.parameters, count.lower, count.upper, count.status.value, seconds, memory, dense(count.parameters, device)
    )


def dense(size: int, device: str) -> float:
    """Seconds of one dense float64 product, the better of two."""
    import torch

    a = torch.rand(size, size, dtype=torch.float64, device=device)
    best = math.inf
    for _ in range(2):
        started = time.perf_counter()
        float((a @ a)[0, 0])
        best = min(best, time.perf_counter() - started)
    return best


def exponent(points: list[tuple[float, float]]) -> float:
    """Least-squares slope of log seconds in log D."""
    xs, ys = [math.log(x) for x, _ in points], [math.log(y) for _, y in points]
    mx, my = sum(xs) / len(xs), sum(ys) / len(ys)
    return sum((x - mx) * (y - my) for x, y in zip(xs, ys, strict=True)) / sum((x - mx) ** 2 for x in xs)


def main() -> None:
    """One line for each network, then the exponents over the networks of 2,000 parameters and more."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--largest", type=int, default=10_000, help="skip networks with more parameters")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        return one(options.one, options.device)
    series: dict[str, list[tuple[float, float]]] = {"relu": [], "linear": []}
    titles = ("network", "D", "laws", "status", "seconds", "GiB", "dense product", "ratio")
    print("{:<16} {:>6} {:>5} {:<9} {:>8} {:>6} {:>14} {:>7}".format(*titles))
    for spec in SPECS:
        command = [sys.executable, __file__, "--one", spec, "--device", options.device]
        words = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
        size, seconds, product = int(words[0]), float(words[4]), float(words[6])
        print(
            f"{spec:<16} {size:>6} {words[1]:>5} {words[3]:<9} {seconds:>8.2f} {float(words[5]):>6.2f} "
            f"{product:>12.4f} s {seconds / product:>7.1f}"
        )
        if size >= 2_000:
            series[spec.split()[0]].append((size, seconds))
    for kind, points in series.items():
        if len(points) > 1:
            print(f"{kind}: seconds grow like D**{exponent(points):.2f} over {len(points)} sizes")
    return None


if __name__ == "__main__":
    main()
