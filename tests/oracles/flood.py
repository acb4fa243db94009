"""Components counted by flooding a grid: neighbours are joined if a function keeps its sign between them.

Exact on the grid for functions that are affine in each coordinate, such as products: along an edge they have no zero
unless their signs at its ends differ.
"""

from __future__ import annotations

from itertools import product

import numpy as np


def flooded(function, dimension, reach=4.05, count=41):
    """``(points [N, dimension], label of each)`` on a box; the function takes points ``[N, dimension]``."""
    axis = np.linspace(-reach, reach, count)
    points = np.stack(np.meshgrid(*[axis] * dimension, indexing="ij"), -1).reshape(-1, dimension)
    signs = np.sign(function(points)).reshape([count] * dimension)
    labels = np.zeros(signs.shape, dtype=int)
    found = 0
    for start in product(range(count), repeat=dimension):
        if labels[start]:
            continue
        found += 1
        stack, labels[start] = [start], found
        while stack:
            here = stack.pop()
            for axis_, step in product(range(dimension), (-1, 1)):
                there = (*here[:axis_], here[axis_] + step, *here[axis_ + 1 :])
                if 0 <= there[axis_] < count and not labels[there] and signs[there] == signs[here]:
                    labels[there] = found
                    stack.append(there)
    return points, labels.reshape(-1)
