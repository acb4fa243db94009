"""Runs every command of the ``sh`` blocks of a document and fails on the first unexpected exit status.

    python docs/run_readme.py README.md

A line may end in ``# exit status N``; ``make`` lines are left to those who call this.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path


def commands(text: str) -> list[tuple[str, int]]:
    """Commands of all ``sh`` blocks with the exit status that each promises."""
    lines = [line for block in re.findall(r"```sh\n(.*?)```", text, re.DOTALL) for line in block.splitlines()]
    found = []
    for line in lines:
        promised = re.search(r"# exit status (\d+)\s*$", line)
        command = line.split("  #")[0].strip()
        if command and not command.startswith(("make", "#", "pip", "git")):
            found.append((command, int(promised.group(1)) if promised else 0))
    return found


def main() -> None:
    """Run them in order, with the environment of this interpreter first on the path."""
    found = commands(Path(sys.argv[1]).read_text())
    if not found:
        raise SystemExit(f"{sys.argv[1]} shows no commands: expected ```sh blocks")
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    for command, promised in found:
        print(f"$ {command}", flush=True)
        status = subprocess.run(["bash", "-c", command], check=False, env={**os.environ, "PATH": path}).returncode
        if status != promised:
            raise SystemExit(f"{command!r} left with status {status}, expected {promised}")
    print(f"{len(found)} commands ran as promised")


if __name__ == "__main__":
    main()
