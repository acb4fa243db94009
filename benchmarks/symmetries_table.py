"""The whole Lie algebra of linear symmetries of models that nobody here wrote, and the groups found by gradients.

    python benchmarks/symmetries_table.py [NAME ...]

For each model of `transformers_table.py`: the exact count with its status, and the dimension of the groups that
`couplings` finds numerically, which are all but the shifts that other parameters absorb.
"""

from __future__ import annotations

import sys
import time

import gradlaws as gl
import transformers_table
from gradlaws.symmetry.couple import couplings
from transformers_table import MODELS


def main() -> None:
    """One line for each model."""
    transformers_table.transformers.logging.set_verbosity_error()
    for make in MODELS:
        if sys.argv[1:] and make.__name__ not in sys.argv[1:]:
            continue
        model, inputs = make()
        started = time.perf_counter()
        found = gl.symmetries(model.eval(), inputs)
        seconds = time.perf_counter() - started
        started = time.perf_counter()
        groups = couplings(model, inputs)
        print(
            f"{found.model:<30} D = {found.count.parameters:>3}, {len(found.translations):>2} directions stand still, "
            f"{found.count!s:<18} symmetries, {found.laws:>2} carry laws ({seconds:.0f} s); groups of dimension "
            f"{sum(group.dimension for group in groups)} ({time.perf_counter() - started:.1f} s)"
        )
        for block in found.blocks:
            print(f"    {block}")


if __name__ == "__main__":
    main()
