"""Families of equal functions of wide two-layer networks, counted by writing every labelling of the units down."""

from itertools import product

import numpy as np


def labellings(r, m):
    """Every way to make m units copies of r units, each of which occurs, or members of nameless groups of zeros."""
    seen = set()
    for row in product(range(r + m), repeat=m):
        names = {}
        canonical = tuple(x if x < r else r + names.setdefault(x, len(names)) for x in row)
        if set(range(r)) <= set(canonical):
            seen.add(canonical)
    return seen


def dimension(labels, r, inputs, outputs):
    """Parameters that are left free by the equations of one labelling, by the rank of these equations."""
    m = len(labels)
    size = m * (inputs + outputs)
    equations = []
    for label in set(labels):
        group = [i for i, other in enumerate(labels) if other == label]
        fixed = group if label < r else group[1:]
        for unit in fixed:  # equal to the unit of the small network, or to the first of its group
            for a in range(inputs):
                row = np.zeros(size)
                row[unit * inputs + a] = 1
                if label >= r:
                    row[group[0] * inputs + a] = -1
                equations.append(row)
        for b in range(outputs):
            row = np.zeros(size)
            row[[m * inputs + b * m + unit for unit in group]] = 1
            equations.append(row)
    return size - np.linalg.matrix_rank(np.array(equations))
