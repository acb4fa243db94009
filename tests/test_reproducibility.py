"""Same seed, same answer: on one thread and on two, and in another process."""

import json
import subprocess
import sys

import pytest
import torch

import gradlaws as gl
from gradlaws.report.json import answer_to_json

# the last is wide enough for several strips of elimination and threads of BLAS
SPECS = ["relu 2-5-3 bias", "linear 1-2-2-1", "square 3-3-2", "linear 12-12-12"]


@pytest.fixture
def threads():
    """A function that sets the number of threads, which is restored at the end."""
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


def answer(spec, **options):
    """The whole JSON but the wall time."""
    document = answer_to_json(gl.laws(spec, **options))
    del document["evidence"]["seconds"]
    return json.dumps(document)


@pytest.mark.parametrize("spec", SPECS)
def test_one_thread_and_two_agree(threads, spec):
    threads(1)
    single = answer(spec, seed=5)
    threads(2)
    assert answer(spec, seed=5) == single


@pytest.mark.parametrize("spec", SPECS)
def test_asking_twice_gives_the_same(spec):
    torch.manual_seed(1)
    first = answer(spec)
    torch.manual_seed(2)
    assert answer(spec) == first


def test_another_process_gives_the_same():
    code = "import sys; from tests.test_reproducibility import answer; print(answer(sys.argv[1], seed=9))"
    run = subprocess.run([sys.executable, "-c", code, SPECS[0]], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == answer(SPECS[0], seed=9)


def test_asking_leaves_the_random_numbers_of_torch_alone():
    before = torch.random.get_rng_state()
    gl.laws(SPECS[0])
    assert torch.equal(torch.random.get_rng_state(), before)


@pytest.mark.parametrize("spec", SPECS)
def test_seeds_and_primes_change_the_numbers_but_not_the_answer(spec):
    answers = [gl.laws(spec, seed=seed, primes=primes) for seed in (1, 2) for primes in [(1048573,), (1048571, 1031)]]
    assert len({(a.count.lower, a.count.upper, a.status, a.laws) for a in answers}) == 1
