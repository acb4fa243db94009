"""Small stores that the tests of the report share."""

import math
from pathlib import Path

from gradlaws.training.record import Finding, LawRecord, RunRecord, StepRecord
from gradlaws.training.store import Store

LAWS = [
    LawRecord(
        0,
        "|a.w[k,:]|^2 - |b.w[:,k]|^2",
        r"\|\mathrm{a.w}[k,:]\|^2 - \|\mathrm{b.w}[:,k]\|^2",
        "",
        "diagonal",
        2,
        8,
        "a.w,b.w",
        1e-7,
    ),
    LawRecord(1, "sum c.d.w[:,k]", r"\textstyle\sum \mathrm{c.d.w[:,k]}", "c.d", "linear", 1, 5, "c.d.w", 1e-7),
    LawRecord(2, "|e.g|^2", r"\|\mathrm{e.g}\|^2", "e", "trace", 2, 1, "e.g", 1e-7),
]
FINDING = Finding(3, "decay on a gain", 2, "e", "e.g", 1e-3, "e.g is the gain of a normalisation and decays.")


def record(step, law, size=1.0):
    """A law that drifts in proportion to the step; law 1 by rounding only."""
    part = size * (1e-9 if law == 1 else 1e-5)
    return StepRecord(
        step=step,
        law=law,
        scale=2.0,
        value=0.5,
        identity=1e-8,
        observed=part,
        decay=0.0,
        gradient=0.0 if law == 1 else part / 4,
        momentum=0.0 if law == 1 else part,
        first=0.0,
        second=0.0,
        unexplained=1e-10,
        drift=step * part,
        forecast=0.9 * step * part,
        gap=0.1 * step * part,
    )


def write(path, runs=("one",), steps=range(1, 11), findings=(), laws=LAWS, **options) -> Path:
    """Runs of three laws in three modules; the findings go to the last run."""
    for place, name in enumerate(runs):
        store = Store.begin(path, RunRecord(name, "Net", "SGD", 1, 1234, 1.7e9), laws)
        for step in steps:
            found = findings if place == len(runs) - 1 and step == max(steps) else ()
            store.append([record(step, law.law, 1 + place) for law in laws], found)
        store.finish()
    return path


def diverged(path):
    """A run that ends in infinities."""
    store = Store.begin(path, RunRecord("wild", "Net", "SGD", 1, 10, 1.7e9), LAWS)
    for step in (1, 2):
        sizes = [1.0, math.inf, math.nan] if step == 2 else [1.0, 1.0, 1.0]
        store.append([record(step, law, size) for law, size in enumerate(sizes)])
    store.finish()
    return path
