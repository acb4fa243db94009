"""A chemical reaction network: what an enzyme conserves at any rate constants, and what predators and prey do.

    python examples/reactions.py

Each reaction is a vector field. The laws of the whole network are found and proved to be all of them, then the
concentrations are followed in time with random rate constants.
"""

from __future__ import annotations

from pathlib import Path

import torch

import gradlaws
from gradlaws.flows.fields import vector_fields
from gradlaws.flows.toml import read_fields_file
from gradlaws.report.text import answer_text

NETWORK = Path(__file__).with_name("reactions.toml")
STEPS, STEP = 2000, 0.005


def rates(state: torch.Tensor, k: torch.Tensor) -> torch.Tensor:
    """Mass action: velocities of E, S, C, P with rate constants k."""
    e, s, c, _ = state
    bind, part, make = k[0] * e * s, k[1] * c, k[2] * c
    return torch.stack([part + make - bind, part - bind, bind - part - make, make])


def follow(state: torch.Tensor, k: torch.Tensor) -> torch.Tensor:
    """The state after STEPS steps of Runge and Kutta's method."""
    for _ in range(STEPS):
        a = rates(state, k)
        b = rates(state + STEP / 2 * a, k)
        c = rates(state + STEP / 2 * b, k)
        state = state + STEP / 6 * (a + 2 * b + 2 * c + rates(state + STEP * c, k))
    return state


def main() -> None:
    """Print the laws, then watch them."""
    answer = gradlaws.laws(read_fields_file(NETWORK))
    print(answer_text(answer))
    generator = torch.Generator().manual_seed(0)
    start = torch.tensor([1.0, 5.0, 0.0, 0.0], dtype=torch.float64)
    print(f"\nWith random rate constants, after time {STEPS * STEP:g}:")
    worst = 0.0
    for _ in range(3):
        k = torch.rand(3, generator=generator, dtype=torch.float64) * 2
        end = follow(start, k)
        before, after = (dict(zip("ESCP", state, strict=True)) for state in (start, end))
        drift = max(abs(float(law.value(after) - law.value(before))) for law in answer.laws)
        print(f"  k = {[round(float(x), 2) for x in k]}: product {end[3].item():.4f}, drift of the laws {drift:.1e}")
        worst = max(worst, drift)
    prey = vector_fields(["x", "y"], [["x*(2/3 - 4/3*y)", "y*(x - 1)"]])
    print("\nPredator and prey (Lotka, Volterra):")
    print(answer_text(gradlaws.laws(prey)))
    if worst > 1e-12 or not answer.complete:
        raise SystemExit(f"a law moved by {worst:.1e}")


if __name__ == "__main__":
    main()
