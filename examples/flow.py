"""A network along its gradient flow and along gradient descent: where its laws go in both, and what predicts it.

    python examples/flow.py

Gradient flow keeps every law; a method of integration keeps it to its own error, and to rounding if each step is put
back onto the laws. Gradient descent drifts away, by about eta for a fixed time. The modified flow says how far, without
any descent.
"""

from __future__ import annotations

import torch
from sklearn.datasets import load_iris

import gradlaws as gl
from gradlaws.geometry.integrate import integrate
from gradlaws.geometry.modified import descent_drift

TIME, ETAS = 4.0, (0.1, 0.05, 0.025)


def classifier() -> torch.nn.Sequential:
    """Three linear layers with one tanh: a matrix of laws between the last two."""
    torch.manual_seed(0)
    layers = torch.nn.Linear(4, 6), torch.nn.Tanh(), torch.nn.Linear(6, 4, bias=False), torch.nn.Linear(4, 3)
    return torch.nn.Sequential(*layers)


def iris() -> tuple[torch.Tensor, torch.Tensor]:
    """Standardised measurements and one-hot species."""
    data = load_iris()
    x = torch.tensor(data.data)
    return (x - x.mean(0)) / x.std(0), torch.nn.functional.one_hot(torch.tensor(data.target)).double()


def main() -> None:
    """Integrate with and without projection, then compare predicted and measured drift."""
    model, (x, y) = classifier(), iris()

    def loss(f: torch.nn.Module) -> torch.Tensor:
        return (f(x) - y).square().sum(1).mean()

    worst = 0.0
    for flow in ("gradient", "momentum:tau=1/2"):
        laws = gl.laws(model, x.float(), flow=flow, lower_only=True).laws
        print(f"{flow}: {', '.join(law.text for law in laws)}")
        for kept in (False, True):
            run = integrate(model, loss, TIME, flow=flow, method="rk4", step=0.1, laws=laws if kept else ())
            drift = max(float(run.drift(law).abs().max()) for law in laws)
            print(f"  {run}, largest drift of a law {drift:.1e}{' with projection' * kept}")
            worst = max(worst, drift * kept)
    (law,) = gl.laws(model, x.float(), lower_only=True).laws
    print(f"\nGradient descent until t = {TIME:g}: largest drift of {law.text}, divided by eta")
    print(f"{'eta':>6} {'measured':>10} {'eta^2 identity':>15} {'modified flow':>14} {'limit':>10}")
    for eta in ETAS:
        (found,) = descent_drift(model, loss, [law], eta=eta, steps=round(TIME / eta))
        assert found.identity is not None
        each = (found.measured, found.identity, found.predicted, found.leading)
        sizes = [float(values.abs().max()) / eta for values in each]
        print(f"{eta:>6} {sizes[0]:>10.5f} {sizes[1]:>15.5f} {sizes[2]:>14.5f} {sizes[3]:>10.5f}")
        worst = max(worst, float((found.identity - found.measured).abs().max()))
    if worst > 1e-12:
        raise SystemExit(f"a law that was to be kept, or exactly predicted, is {worst:.1e} off")


if __name__ == "__main__":
    main()
