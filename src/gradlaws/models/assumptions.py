"""What the exact rules of operations assume, by operation, for the evidence."""

from __future__ import annotations

from gradlaws.exact.execute import operation
from gradlaws.models.record import Program


def assumed_of(program: Program) -> list[str]:
    """One sentence for each kind of operation that occurs."""
    used = _used(program)
    return [text for names, text in _ASSUMPTIONS if used & set(names.split())]


def normalises(program: Program) -> bool:
    """Whether some operation has a small constant under a root."""
    return bool(_used(program) & set(_NORMS.split()))


def _used(program: Program) -> set[str]:
    return {operation(node).removeprefix("aten.") for node in program.graph.nodes}


_NORMS = "layer_norm rms_norm group_norm instance_norm _native_batch_norm_legit _weight_norm rsqrt"
_ASSUMPTIONS = (
    (
        "relu leaky_relu abs threshold prelu",
        "free gates: piecewise linear units multiply by gates that do not depend on the parameters",
    ),
    (
        "hardtanh relu6 clamp clamp_min clamp_max hardsigmoid elu celu selu hardswish",
        "free gates mix the pieces of piecewise smooth units",
    ),
    (
        "max_pool1d max_pool2d max_pool3d adaptive_max_pool1d adaptive_max_pool2d adaptive_max_pool3d "
        "amax amin maximum minimum max min",
        "free gates: a maximum is an average of its arguments with random weights",
    ),
    ("topk sort argmax argmin argsort max min", "routing is a discrete choice that is drawn at random"),
    (
        "gelu erf silu sigmoid tanh softplus exp log mish sin softmax scaled_dot_product_attention log_softmax",
        "smooth functions are known by their differential equations; their values at generic points are generic",
    ),
    ("cos", "rotary tables are generic points of the circle with the addition law"),
    ("dropout native_dropout bernoulli", "dropout masks are random factors"),
    ("clamp clamp_min", "lower bounds of at most 0.001 are never reached"),
)
