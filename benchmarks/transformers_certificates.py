"""Certificates of the models of transformers_table.py, each checked by a process that knows no torch.

    python benchmarks/transformers_certificates.py                  # in a temporary folder
    python benchmarks/transformers_certificates.py --folder FOLDER  # and keep them

Seconds to write start when the laws are known; a certificate is checked before it is written, and that is in them.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
import transformers

from gradlaws import certify, check_program, laws
from gradlaws.errors import InputError, UnsupportedError
from transformers_table import MODELS, Made


def line(made: Made, folder: Path) -> str:
    """One model: written, read and checked."""
    model, inputs = made
    answer = laws(model.eval(), inputs)
    started = time.perf_counter()
    try:
        certificate = certify(model, answer, inputs)
    except (InputError, UnsupportedError) as refusal:
        return f"{answer.model:<30} {refusal}"
    written = time.perf_counter()
    path = folder / f"{answer.model}.json"
    certificate.save(path)
    saved = time.perf_counter()
    command = [sys.executable, "-I", "-S", check_program.__file__, path]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - saved
    verdict = run.stdout.split(":")[0] or run.stderr
    return (
        f"{answer.model:<30} {answer.count.lower:>3} laws  written in {written - started:5.1f} s  "
        f"{path.stat().st_size / 1024:4.0f} kB  checked in {seconds:4.1f} s  {verdict}"
    )


def main() -> None:
    """One line for each model."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path)
    folder = parser.parse_args().folder
    transformers.logging.set_verbosity_error()
    with tempfile.TemporaryDirectory() as temporary:
        for make in MODELS:
            torch.manual_seed(0)
            print(line(make(), folder or Path(temporary)), flush=True)


if __name__ == "__main__":
    main()
