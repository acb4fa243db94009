"""Settings of the whole suite: the same examples on every run, and one thread, for the problems are tiny."""

import torch
from hypothesis import settings

settings.register_profile("same", derandomize=True, deadline=None, database=None, max_examples=40)
settings.load_profile("same")

# Threads that wait for each other on a busy machine cost more than all the work; test_reproducibility.py uses two.
torch.set_num_threads(1)
