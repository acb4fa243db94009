"""What two processes do in the tests of distributed training: each scenario is a short run, told in a JSON file."""

import json
import os
import warnings
import weakref
from datetime import timedelta
from pathlib import Path

import torch
from torch import distributed, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard
from torch.distributed.tensor import DTensor
from torch.nn.functional import cross_entropy
from torch.nn.parallel import DistributedDataParallel

import gradlaws as gl
from gradlaws.laws.contraction import Contraction
from gradlaws.laws.gram import GramLaw
from tests.training.runs import digits

STEPS, BATCH, WORLD = 6, 32, 2

OPTIMIZERS = {
    "sgd": lambda ps: torch.optim.SGD(ps, lr=0.05, momentum=0.9, weight_decay=0.01),
    "adamw": lambda ps: torch.optim.AdamW(ps, lr=0.01, weight_decay=0.1),
}


def network(dtype=torch.float64, depth=1):
    torch.manual_seed(1)
    inner = [layer for _ in range(depth) for layer in (nn.Linear(13, 13), nn.ReLU())]
    return nn.Sequential(nn.Linear(64, 13), nn.ReLU(), *inner, nn.Linear(13, 10)).to(dtype)


def train(model, optimizer, rank=0, world=1, between=lambda step: None):
    """The same batches, each in as many parts as there are processes."""
    x, y = digits(next(model.parameters()).dtype)
    for step in range(STEPS):
        rows = torch.arange(step * BATCH, (step + 1) * BATCH).chunk(world)[rank]
        optimizer.zero_grad()
        cross_entropy(model(x[rows].to(next(model.parameters()).dtype)), y[rows]).backward()
        optimizer.step()
        between(step)


def laws(depth):
    """One for each hidden layer, by hand."""

    def law(n):
        parts = ((Contraction(f"{n}.weight", 0, 2), 1), (Contraction(f"{n}.bias", 0, 1), 1))
        return GramLaw((*parts, (Contraction(f"{n + 2}.weight", 1, 2), -1)), 13, "diagonal")

    return tuple(law(2 * layer) for layer in range(depth + 1))


def tracked(model, optimizer, found, store, rank, **options):
    with gl.track(model, optimizer, laws=found, every=1, store=store) as tracker:
        train(model, optimizer, rank, WORLD, **options)
    return {
        "laws": [law.text for law in tracker.laws],
        "recorded": tracker.recorded,
        "findings": [[finding.cause, finding.tensors] for finding in tracker.findings],
        "drift": [record.drift for record in tracker.latest],
        "unexplained": [record.unexplained for record in tracker.latest],
        "identity": [record.identity for record in tracker.latest],
    }


def replicated(rank, folder, name):
    model = DistributedDataParallel(network())
    return tracked(model, OPTIMIZERS[name](model.parameters()), laws(1), folder / f"ddp-{name}.db", rank)


def sharded(rank, folder, name, between=lambda model: lambda step: None, **policy):
    model = network(torch.float32 if policy else torch.float64, depth=3)
    for layer in [*(part for part in model if isinstance(part, nn.Linear)), model]:
        fully_shard(layer, mesh=init_device_mesh("cpu", (WORLD,)), **policy)
    optimizer = OPTIMIZERS[name](model.parameters())
    return tracked(model, optimizer, laws(3), folder / f"fsdp-{name}.db", rank, between=between(model))


def surgery(model):
    """Only the shard of the second process holds the rows that are written to."""

    def between(step):
        if step == 2:
            weight = model[2].weight
            with torch.no_grad():
                weight.to_local().mul_(0.9 if distributed.get_rank() == 1 else 1.0)

    return between


def gathered(rank, folder):
    """The most elements of gathered tensors that are alive at once."""
    alive, most, gather = weakref.WeakValueDictionary(), [0], DTensor.full_tensor

    def watched(self, **options):
        result = gather(self, **options)
        alive[id(result)] = result
        most[0] = max(most[0], sum(x.numel() for x in list(alive.values())))
        return result

    DTensor.full_tensor = watched
    try:
        sharded(rank, folder, "sgd")
    finally:
        DTensor.full_tensor = gather
    return {"most": most[0]}


def without_laws(rank, folder):
    model = network()
    fully_shard(model, mesh=init_device_mesh("cpu", (WORLD,)))
    optimizer = OPTIMIZERS["sgd"](model.parameters())
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        with gl.track(model, optimizer, torch.zeros(2, 64, dtype=torch.float64)) as tracker:
            train(model, optimizer, rank, WORLD)
    return {"said": [str(one.message) for one in seen], "recorded": tracker.recorded}


SCENARIOS = {
    "ddp sgd": lambda rank, folder: replicated(rank, folder, "sgd"),
    "ddp adamw": lambda rank, folder: replicated(rank, folder, "adamw"),
    "fsdp sgd": lambda rank, folder: sharded(rank, folder, "sgd"),
    "fsdp adamw": lambda rank, folder: sharded(rank, folder, "adamw"),
    "fsdp bfloat16": lambda rank, folder: sharded(
        rank, folder / "low", "sgd", mp_policy=MixedPrecisionPolicy(torch.bfloat16, torch.float32)
    ),
    "fsdp surgery": lambda rank, folder: sharded(rank, folder / "cut", "sgd", between=surgery),
    "fsdp gathered": lambda rank, folder: gathered(rank, folder / "gathered"),
    "fsdp without laws": without_laws,
}


def work(rank, folder):
    """Everything, one after the other, in one of two processes."""
    torch.set_num_threads(1)
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")  # whatever the name of the machine resolves to
    folder = Path(folder)
    for name in ("low", "cut", "gathered"):
        (folder / name).mkdir(exist_ok=True)
    where = f"file://{folder / 'meeting'}"
    limit = timedelta(seconds=60)  # of a collective whose partner does not come
    distributed.init_process_group("gloo", init_method=where, rank=rank, world_size=WORLD, timeout=limit)
    try:
        told = {name: scenario(rank, folder) for name, scenario in SCENARIOS.items()}
    finally:
        distributed.destroy_process_group()
    (folder / f"{rank}.json").write_text(json.dumps(told))
