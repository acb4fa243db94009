"""Two processes, gloo: what is measured there is what one process measures, and only the first one writes."""

import json
import time

import pytest
import torch
from torch import multiprocessing

import gradlaws as gl
from gradlaws.training import store as stores
from gradlaws.training.diagnose import SURGERY
from gradlaws.training.names import live_parameters, touched
from gradlaws.training.shards import is_first, shard, together, whole
from tests.training.spread import OPTIMIZERS, STEPS, WORLD, laws, network, train, work

PATIENCE = 150
"""Seconds for both processes together; a hang is a failure, not a wait."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("spread")


@pytest.fixture(scope="module")
def told(folder):
    """What each of the two processes has to say."""
    processes = multiprocessing.spawn(work, args=(str(folder),), nprocs=WORLD, join=False)
    until = time.monotonic() + PATIENCE
    try:
        while not processes.join(timeout=1):
            assert time.monotonic() < until, "the processes hang"
    finally:
        for process in processes.processes:
            if process.is_alive():
                process.kill()
    return [json.loads((folder / f"{rank}.json").read_text()) for rank in range(WORLD)]


def alone(name, depth):
    """The same run in this process."""
    model = network(depth=depth)
    optimizer = OPTIMIZERS[name](model.parameters())
    with gl.track(model, optimizer, laws=laws(depth), every=1) as tracker:
        train(model, optimizer)
    return tracker


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize(("kind", "depth"), [("ddp", 1), ("fsdp", 3)])
def test_two_processes_measure_what_one_does(told, folder, kind, depth, name):
    tracker, first = alone(name, depth), told[0][f"{kind} {name}"]
    assert first["laws"] == [law.text for law in tracker.laws]
    assert len(first["laws"]) > depth
    assert first["recorded"] == STEPS
    assert first["findings"] == []
    assert first["drift"] == pytest.approx([record.drift for record in tracker.latest], rel=1e-6, abs=1e-13)
    assert max(first["drift"]) > 1e-4
    assert max(first["unexplained"]) < 1e-12
    assert max(first["identity"]) < 1e-12
    (run,) = stores.runs(folder / f"{kind}-{name}.db")
    assert run.finished
    assert len(stores.steps(folder / f"{kind}-{name}.db", 1)) == STEPS * len(tracker.laws)


def test_copies_of_the_model_are_watched_once_and_shards_together(told):
    assert [one["ddp sgd"]["recorded"] for one in told] == [STEPS, 0]
    first, second = (one["fsdp sgd"] for one in told)
    assert first == second


def test_masters_in_single_precision_are_what_is_read(told):
    """Calculated in bfloat16, kept in float32: the step identity is that of float32."""
    assert max(told[0]["fsdp bfloat16"]["unexplained"]) < 1e-5
    assert not any("surgery" in cause for cause, _ in told[0]["fsdp bfloat16"]["findings"])


def test_what_one_process_sees_in_its_shard_all_know(told):
    for one in told:
        assert {tuple(found) for found in one["fsdp surgery"]["findings"]} == {(SURGERY, "2.weight")}


def test_no_more_is_gathered_than_the_tensors_of_one_law(told):
    model = network(depth=3)
    sizes = {name: live.parameter.numel() for name, live in live_parameters(model).items()}
    largest = max(sum(sizes[name] for name in touched(law)) for law in laws(3))
    copies = 4  # weights before and after, gradient, momentum
    assert told[0]["fsdp gathered"]["most"] <= copies * largest
    assert copies * largest < copies * sum(sizes.values())


def test_a_sharded_model_without_laws_is_told_how(told):
    said = told[0]["fsdp without laws"]["said"]
    assert len([sentence for sentence in said if "laws_to_track(model, example_inputs)" in sentence]) == 1
    assert told[0]["fsdp without laws"]["recorded"] == 0


def test_in_one_process_nothing_is_different():
    x = torch.arange(3.0)
    assert whole(x) is x
    assert shard(x) is x
    assert together(5) == [5]
    assert is_first()
