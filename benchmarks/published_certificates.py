"""Certificates of the 100 architectures of Marcotte, Gribonval, Peyre (2023), checked by a process that knows no torch.

    python benchmarks/published_certificates.py                   # in a temporary folder
    python benchmarks/published_certificates.py --folder FOLDER   # and keep them
    python benchmarks/published_certificates.py --freeze          # commit the hashes of today

Each hash is compared with the committed one: the same seed gives the same certificate on any machine.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from gradlaws import Network, certify, check, laws

DATA = Path(__file__).parent / "data"
LISTS = json.loads((DATA / "published_lists.json").read_text())
HASHES = DATA / "published_certificates.json"


def networks() -> list[Network]:
    """The 50 linear and the 50 ReLU networks; the lists have the output dimension first."""
    return [
        Network(kind, tuple(reversed(row["dims"])), bias=row.get("bias", False))
        for kind in ("linear", "relu")
        for row in LISTS[f"{kind}_50"]
    ]


def write(folder: Path) -> tuple[dict[Path, str], float]:
    """All certificates with their hashes; the seconds that it took, laws and closure included."""
    started = time.perf_counter()
    hashes = {}
    for number, network in enumerate(networks()):
        certificate = certify(network, laws(network))
        path = folder / f"{number:03d} {network.name}.json"
        certificate.save(path)
        hashes[path] = certificate.hash
    return hashes, time.perf_counter() - started


def checked(paths: list[Path]) -> tuple[int, float]:
    """How many are PROVED, each in a process of its own, and the seconds together."""
    proved, total = 0, 0.0
    for path in paths:
        started = time.perf_counter()
        run = subprocess.run(
            [sys.executable, "-I", "-S", check.__file__, path], capture_output=True, text=True, check=False
        )
        seconds = time.perf_counter() - started
        proved, total = proved + (run.returncode == 0 and run.stdout.startswith("PROVED")), total + seconds
        print(f"{path.stem:<32} {path.stat().st_size:>6} bytes  {run.stdout.split(':')[0]:<10} {seconds:6.3f} s")
    return proved, total


def main() -> None:
    """Write, check, compare, and print the totals."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, help="where to keep the certificates")
    parser.add_argument("--freeze", action="store_true", help="write the hashes instead of comparing them")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        hashes, writing = write(folder)
        proved, checking = checked(list(hashes))
        size = sum(path.stat().st_size for path in hashes)
    found = [{"spec": path.stem[4:], "hash": digest} for path, digest in hashes.items()]
    if options.freeze:
        lines = ",\n".join("  " + json.dumps(row) for row in found)
        HASHES.write_text(f"[\n{lines}\n]\n")
    same = sum(a == b for a, b in zip(found, json.loads(HASHES.read_text()), strict=True))
    print()
    print(f"written in {writing:.1f} s, {size} bytes together; {same} of {len(found)} hashes are the committed ones")
    print(f"{proved} of {len(found)} PROVED in {checking:.1f} s together, a process for each")
    if (proved, same) != (len(found), len(found)):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
