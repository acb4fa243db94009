"""From numbers to words: which law, which module, which step, how large, and the likely cause.

The rules go from what is certain to what is likely. A tensor's place in the optimizer, its memory and its gradient are
facts; a broken gradient identity, a remainder of the update and a change between steps are measured against rounding,
and their shape names the cause.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from gradlaws.laws.law import Law
from gradlaws.training.measure import LawReading, Reading, TensorReading
from gradlaws.training.names import entering, home
from gradlaws.training.outside import Outside
from gradlaws.training.record import Finding

TIED = "tied weights"
TWICE = "updated twice"
FROZEN = "frozen parameter"
MISSING = "missing in the optimizer"
CLIPPED = "gradients rescaled per tensor"
GAIN = "decay on a gain"
SURGERY = "surgery on the weights"
AVERAGED = "averaged weights copied in"
ROUNDING = "low precision rounding"
ASYMMETRIC = "the loss lacks the symmetry"
DIVERGED = "the run has diverged"

CAUSES = (TIED, TWICE, FROZEN, MISSING, CLIPPED, GAIN, SURGERY, AVERAGED, ROUNDING, ASYMMETRIC, DIVERGED)

_LOST = 0.1
"""Part of an update that may be lost to rounding."""

_LIVE = 1e-5
"""Part of all gradients from which on a gradient is more than rounding."""

_NOISE = 2e-2
"""Size of a broken identity up to which low precision in the forward pass is the likelier cause."""

_ENOUGH = 8
"""Entries whose changes have a direction worth naming."""

_ALIGNED = 0.95
_LEANING = 0.5


@dataclass(frozen=True, eq=False, slots=True)
class Evidence:
    """All that is known at one recorded step.

    Args:
        laws: of the run.
        reading: of the step.
        outside: what changed between steps since the last record, with the step after which it was seen.
        repeated: the first step since then that used the very gradient of the one before, None if none did.
        jumps: by number of the law, its change since the step just before, relative to its scale; 0 if unknown.
    """

    laws: Sequence[Law]
    reading: Reading
    outside: Sequence[tuple[int, Outside]] = ()
    repeated: int | None = None
    jumps: Mapping[int, float] = field(default_factory=dict)

    def touching(self, name: str) -> int | None:
        """The first law that a tensor enters, of those that were measured if there is one."""
        order = [*self.reading.laws, *range(len(self.laws))]
        return next((number for number in order if name in entering(self.laws[number])), None)

    def finding(self, cause: str, names: Sequence[str], size: float, text: str, law: int | None = None) -> Finding:
        """A finding about some tensors; the law is the first that they enter, if none is given."""
        law = self.touching(names[0]) if law is None and names else law
        number = law
        where = "" if number is None else f" This concerns the law {self.laws[number].text}"
        where += f" in {home(names)}." if where and home(names) else "." * bool(where)
        return Finding(self.reading.step, cause, law, home(names), ", ".join(names), size, text + where)


Rule = Callable[[Evidence], Iterable[Finding]]


def diagnose(evidence: Evidence) -> list[Finding]:
    """Everything that is not as it should be at one step; nothing on a sound run."""
    lost = [name for name, tensor in evidence.reading.tensors.items() if not tensor.finite]
    if lost:
        text = f"{lost[0]} or its gradient is not finite any more, nor are {len(lost) - 1} other tensors of laws."
        return [evidence.finding(DIVERGED, [], float("inf"), text)]  # of no tensor, and so told once a run
    return [finding for rule in RULES for finding in rule(evidence)]


def membership(evidence: Evidence) -> Iterator[Finding]:
    """Tensors of a law that stay while others move, and tensors that the optimizer holds twice."""
    tensors = evidence.reading.tensors
    for number in evidence.reading.laws:
        names = [name for name in entering(evidence.laws[number]) if name in tensors]
        moving = [name for name in names if tensors[name].moved]
        for name in names:
            still = _standing(tensors[name])
            if still and any(other != name for other in moving):
                cause, text = still
                size = _relative(evidence.reading.laws[number], "first")
                yield evidence.finding(cause, [name], size, f"{name} {text}, and {moving[0]} does move.", number)
    for name, tensor in tensors.items():
        if tensor.listed > 1:
            text = f"the optimizer holds {name} {tensor.listed} times and updates it as often in each step."
            yield evidence.finding(TWICE, [name], float(tensor.listed), text)


def identities(evidence: Evidence) -> Iterator[Finding]:
    """Tier (a): laws that are no laws of the gradient that the step used."""
    if evidence.repeated is not None:
        return
    for number, reading in evidence.reading.laws.items():
        law = evidence.laws[number]
        if reading.broken and all(evidence.reading.tensors[name].has_grad for name in entering(law)):
            names = [name for name in entering(law) if name in evidence.reading.tensors]
            cause, text = _broken(evidence, reading, names)
            text = f"<grad h, g> is {reading.identity:.1e} of its terms instead of zero: {text}"
            yield evidence.finding(cause, names, reading.identity, text, number)


def updates(evidence: Evidence) -> Iterator[Finding]:
    """Tier (b): tensors that the step moved otherwise than the optimizer's formula says."""
    for name, tensor in evidence.reading.tensors.items():
        if tensor.listed > 1:
            continue
        if not tensor.rounding:
            cause, text = _unexplained(name, tensor)
            yield evidence.finding(cause, [name, *tensor.live.twins], tensor.error, text)
        elif tensor.error > _LOST and tensor.grad > _LIVE:
            text = (
                f"{name} has {_digits(tensor.epsilon)} digits, and rounding loses {_percent(tensor.error)} of its "
                "update: keep master weights in float32, or round stochastically."
            )
            yield evidence.finding(ROUNDING, [name], tensor.error, text)


def between_steps(evidence: Evidence) -> Iterator[Finding]:
    """Changes of the weights that no step made."""
    if evidence.repeated is not None:
        text = (
            f"step {evidence.repeated} used exactly the gradient of the step before: optimizer.step() runs twice for "
            "each backward pass."
        )
        yield evidence.finding(TWICE, list(evidence.reading.tensors), 2.0, text)
    seen = False
    for step, event in evidence.outside:
        tensor = evidence.reading.tensors.get(event.name)
        if tensor is not None and not tensor.listed:
            continue  # another optimizer's; `membership` says so
        seen = True
        cause, text = _interference(event)
        yield evidence.finding(cause, [event.name], event.size, f"after step {step}, {text}")
    if seen or not evidence.jumps:
        return
    number = max(evidence.jumps, key=lambda i: evidence.jumps[i])
    names = list(entering(evidence.laws[number]))
    tensors = [evidence.reading.tensors[name] for name in names if name in evidence.reading.tensors]
    if evidence.jumps[number] > 0 and all(tensor.listed for tensor in tensors):
        text = f"the law moved by {evidence.jumps[number]:.1e} between two steps: something else writes to its tensors."
        yield evidence.finding(SURGERY, names, evidence.jumps[number], text, number)


def gains(evidence: Evidence) -> Iterator[Finding]:
    """Weight decay on the gain of a normalisation."""
    for name, tensor in evidence.reading.tensors.items():
        number = evidence.touching(name)
        reading = None if number is None else evidence.reading.laws.get(number)
        if tensor.live.gain and tensor.decay > 0 and tensor.has_grad and reading is not None:
            size = _relative(reading, "decay")
            text = (
                f"{name} is the gain of a normalisation and decays by {tensor.decay:.1e} a step, which moves its law "
                f"by {size:.1e} a step: put gains into a group with weight_decay=0."
            )
            yield evidence.finding(GAIN, [name], tensor.decay, text, number)


RULES: tuple[Rule, ...] = (membership, identities, updates, between_steps, gains)


def _standing(tensor: TensorReading) -> tuple[str, str] | None:
    """Why a tensor cannot move by the optimizer."""
    if not tensor.live.parameter.requires_grad:
        return FROZEN, "is frozen (requires_grad=False)"
    if not tensor.listed:
        return MISSING, "is in no group of this optimizer" + (" but something else moves it" if tensor.moved else "")
    if not tensor.has_grad:
        return FROZEN, "has no gradient (it is detached, or not used in the loss)"
    return None


def _broken(evidence: Evidence, reading: LawReading, names: Sequence[str]) -> tuple[str, str]:
    """Why a gradient is not orthogonal to a law."""
    tensors = evidence.reading.tensors
    if reading.rescaled:
        factors = ", ".join(f"{name} by {factor:.2g}" for name, factor in reading.rescaled.items())
        return CLIPPED, (
            f"it would be zero had the gradients not been multiplied tensor by tensor ({factors}). Clip all gradients "
            "by one norm instead, or look for a gradient hook."
        )
    twins = {name: tensors[name].live.twins for name in names if tensors[name].live.twins}
    if twins:
        name, others = next(iter(twins.items()))
        return (
            TIED,
            f"{name} is tied to {', '.join(others)}, whose gradient it shares; the law is that of untied weights.",
        )
    if reading.identity < _NOISE and reading.epsilon > 1e-12:
        return ROUNDING, (
            "more than the precision of the weights allows, but small: the likely cause is a forward or backward pass "
            "in low precision (autocast)."
        )
    return ASYMMETRIC, (
        "one of its tensors is used in a second place (tied weights), the loss depends on the weights by themselves "
        "(a penalty), or this is a law of another model or loss."
    )


def _unexplained(name: str, tensor: TensorReading) -> tuple[str, str]:
    """What moved a tensor during a step, other than the formula."""
    if tensor.live.twins:
        others = ", ".join(tensor.live.twins)
        return TIED, f"{name} shares its memory with {others}, and each step updates it once for each of these names."
    if tensor.ratio > 1 + _LEANING:
        return TWICE, f"one step moves {name} by {tensor.ratio:.2g} times what the optimizer's formula says."
    if not tensor.moved:
        return FROZEN, f"{name} has a gradient and should move, but the step leaves it as it is."
    if abs(tensor.scaled) > _ALIGNED:
        return SURGERY, f"during the step {name} is multiplied by {tensor.factor:.6g}, as QK-clip does."
    return SURGERY, (
        f"{_percent(tensor.error)} of the update of {name} is not the optimizer's: something else writes to it during "
        "the step, or the optimizer changes what its class promises."
    )


def _interference(event: Outside) -> tuple[str, str]:
    """What changed a tensor between two steps."""
    size = f"{event.name} changed by {event.size:.1e} of its size outside the optimizer"
    if event.entries < _ENOUGH:
        return SURGERY, f"{size}, in few places: something else writes to it."
    if abs(event.scaled) > _ALIGNED:
        return SURGERY, f"{size}: it was multiplied by {event.factor:.6g}, as QK-clip or a weight normalisation does."
    if event.back > _LEANING or event.along < -_LEANING:
        return AVERAGED, f"{size}, back towards earlier weights: an average of weights (EMA) or a checkpoint came in."
    if event.along > _LEANING:
        return TWICE, f"{size}, along its last update or gradient: a second optimizer updates it too."
    return SURGERY, f"{size}: something else writes to it."


def _relative(reading: LawReading, part: str) -> float:
    drift = reading.drift
    size = float((drift.first + drift.gradient if part == "first" else drift.decay).norm())
    return size / drift.scale if drift.scale else size


def _percent(part: float) -> str:
    return f"{100 * part:.2g}%"


def _digits(epsilon: float) -> int:
    return max(1, len(str(int(1 / epsilon))) - 1)
