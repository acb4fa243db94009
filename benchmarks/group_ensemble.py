"""An ensemble along a valley without training: does it gain anything? Digits, one hidden layer, five networks.

    python benchmarks/group_ensemble.py

The experiment of Zhao, Ganev, Walters, Yu, Dehmamy (2023) on the 8 x 8 digits: 64-16-10, leaky ReLU, trained on 1000
images. A member is the network moved by g = exp(eps T), T normal, by the action that keeps its outputs on 16 images
that were held out, others for each g; 60 members, their probabilities averaged, accuracy on 497 other images.
Baselines: the same g without anything to make up for it, with its inverse, and with the matrix that makes up for it
shuffled. Elements that make the 16 images dependent are refused and left out.
"""

from __future__ import annotations

from statistics import mean, stdev

import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn

from gradlaws.errors import InputError
from gradlaws.symmetry.data_action import act_on_batch

SEEDS, MEMBERS, HIDDEN, EPOCHS = 5, 60, 16, 300
SIZES = (0.001, 0.01, 0.1, 1.0, 10.0)
ACTIVATION = nn.LeakyReLU(0.1)


def digits(seed: int) -> tuple[Tensor, Tensor]:
    """Images with a last entry of 1, for the bias, and labels, in random order."""
    data = load_digits()
    order = torch.randperm(len(data.target), generator=torch.Generator().manual_seed(seed))
    x = torch.tensor(data.data)[order] / 16 - 0.5
    return torch.cat([x, torch.ones(len(x), 1, dtype=x.dtype)], 1), torch.tensor(data.target)[order]


def trained(x: Tensor, y: Tensor, seed: int) -> tuple[Tensor, Tensor]:
    """Outgoing and incoming weights."""
    random = torch.Generator().manual_seed(seed)
    v = (0.2 * torch.randn(HIDDEN, x.shape[1], generator=random, dtype=x.dtype)).requires_grad_()
    u = (0.2 * torch.randn(10, HIDDEN, generator=random, dtype=x.dtype)).requires_grad_()
    optimizer = torch.optim.Adam([u, v], lr=0.01)
    for _ in range(EPOCHS):
        optimizer.zero_grad()
        nn.functional.cross_entropy((u @ ACTIVATION(v @ x.T)).T, y).backward()
        optimizer.step()
    return u.detach(), v.detach()


def members(u: Tensor, v: Tensor, held: Tensor, size: float, seed: int) -> dict[str, list[tuple[Tensor, Tensor]]]:
    """Weights of all members, by how the change of v is made up for."""
    random = torch.Generator().manual_seed(seed)
    found: dict[str, list[tuple[Tensor, Tensor]]] = {"group": [], "alone": [], "inverse": [], "shuffled": []}
    eye = torch.eye(HIDDEN, dtype=u.dtype)
    for _ in range(MEMBERS):
        g = torch.matrix_exp(size * torch.randn(HIDDEN, HIDDEN, generator=random, dtype=u.dtype) / HIDDEN**0.5)
        batch = held[torch.randperm(len(held), generator=random)[:HIDDEN]].T
        try:
            pi, moved = act_on_batch(eye, v, g, batch, ACTIVATION)
        except InputError:  # moved so far that the images look dependent, to ten digits
            continue
        rows, columns = (torch.randperm(HIDDEN, generator=random) for _ in range(2))
        made_up = {"group": pi, "alone": eye, "inverse": torch.linalg.inv(g), "shuffled": pi[rows][:, columns]}
        for name, matrix in made_up.items():
            found[name].append((u @ matrix, moved))
    return found


def accuracy(networks: list[tuple[Tensor, Tensor]], x: Tensor, y: Tensor) -> float:
    """Of the averaged probabilities."""
    outputs = torch.stack([(u @ ACTIVATION(v @ x.T)).T.softmax(1) for u, v in networks]).mean(0)
    return float((outputs.argmax(1) == y).double().mean())


def main() -> None:
    """A row for each size of the logarithm."""
    results: dict[float, dict[str, list[float]]] = {size: {} for size in SIZES}
    counts = dict.fromkeys(SIZES, 0)
    for seed in range(SEEDS):
        x, y = digits(seed)
        u, v = trained(x[:1000], y[:1000], seed)
        held, x, y = x[1000:1300], x[1300:], y[1300:]
        for size in SIZES:
            row = {"network": [(u, v)], **members(u, v, held, size, seed)}
            counts[size] += len(row["group"])
            for name, networks in row.items():
                if not networks:
                    continue
                results[size].setdefault(name, []).append(accuracy(networks, x, y))
    print(f"accuracy, mean +- sd of {SEEDS} networks, {MEMBERS} members each")
    for size, row in results.items():
        said = "  ".join(f"{name} {mean(values):.3f} +- {stdev(values):.3f}" for name, values in row.items())
        print(f"eps {size:<6} {said}  ({counts[size]} of {SEEDS * MEMBERS} elements)", flush=True)


if __name__ == "__main__":
    main()
