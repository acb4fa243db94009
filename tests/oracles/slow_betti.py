"""Betti numbers and the Euler characteristic of invariant sets, by linear programs, subsets and vertices."""

from __future__ import annotations

from itertools import combinations, product

import numpy as np
from scipy.optimize import linprog


def flow_equations(widths, biased, values):
    """One row for each hidden unit: squares of the weights in, less those out; a column for each weight and bias."""
    columns, starts = [], np.cumsum([0, *widths[1:-1]])
    hidden = len(widths) - 2
    for i in range(hidden + 1):
        for row in range(widths[i + 1]):
            for source in range(widths[i]):
                column = np.zeros(starts[-1])
                if i < hidden:
                    column[starts[i] + row] = 1
                if i:
                    column[starts[i - 1] + source] = -1
                columns.append(column)
            if biased[i] and i < hidden:
                column = np.zeros(starts[-1])
                column[starts[i] + row] = 1
                columns.append(column)
    return np.array(columns).T, np.concatenate([np.asarray(c) for c in values])


def vanishing_sets(matrix, right):
    """All sets of weights that can be zero together, by one linear program each, smallest first."""
    edges, found = matrix.shape[1], {()}
    for size in range(1, edges + 1):
        for chosen in combinations(range(edges), size):
            if all(chosen[:k] + chosen[k + 1 :] in found for k in range(size)):
                bounds = [(0, 0) if i in chosen else (0, None) for i in range(edges)]
                if linprog(np.zeros(edges), A_eq=matrix, b_eq=right, bounds=bounds, method="highs").status == 0:
                    found.add(chosen)
    return found


def reduced_betti(faces):
    """Dimensions of the reduced homology, from degree -1, of a complex given by all its faces, the empty one too."""
    by_size = {}
    for face in faces:
        by_size.setdefault(len(face), []).append(face)
    ranks = [0]
    for size in range(1, max(by_size) + 1):
        index = {face: k for k, face in enumerate(by_size[size - 1])}
        boundary = np.zeros((len(index), len(by_size[size])))
        for column, face in enumerate(by_size[size]):
            for k in range(size):
                boundary[index[face[:k] + face[k + 1 :]], column] = (-1) ** k
        ranks.append(int(np.linalg.matrix_rank(boundary)))
    ranks.append(0)
    return [len(by_size[size]) - ranks[size] - ranks[size + 1] for size in range(max(by_size) + 1)]


def betti_by_subsets(widths, biased, values):
    """``b_k = sum over sets w of dim H~_{k-1}(K_w)``, every set w of weights by itself."""
    matrix, right = flow_equations(widths, biased, values)
    faces = vanishing_sets(matrix, right)
    total = np.zeros(matrix.shape[1] + 1, dtype=int)
    for size in range(matrix.shape[1] + 1):
        for chosen in combinations(range(matrix.shape[1]), size):
            own = set(chosen)
            found = reduced_betti([face for face in faces if own.issuperset(face)])
            total[: len(found)] += found
    return tuple(np.trim_zeros(total, "b").tolist())


def critical_points(widths, biased, values, seed=0):
    """Of ``sum a_e w_e^2``, a > 0 at random, on the invariant set: how many have each index.

    In squares that is a linear function on a simple polyhedron: its critical points are the vertices, each with
    both signs of every weight that is not zero, and the index is the number of negative reduced costs.
    """
    matrix, right = flow_equations(widths, biased, values)
    units, edges = matrix.shape
    cost, found = 1 + np.random.default_rng(seed).random(edges), np.zeros(edges + 1, dtype=int)
    for basis in map(list, combinations(range(edges), units)):
        square = matrix[:, basis]
        if abs(np.linalg.det(square)) < 0.5:  # entries are 0, 1 and -1, and every minor too
            continue
        if (np.linalg.solve(square, right) > 0).all():
            reduced = cost - matrix.T @ np.linalg.solve(square.T, cost[basis])
            found[int((np.delete(reduced, basis) < 0).sum())] += 2**units
    return found


def betti_by_cells(widths, biased, values):
    """Homology modulo 2 of the invariant set itself, cut off far out, as a complex of cells: no theorem but that.

    A cell is a face of the polyhedron, simple for generic imbalances, with a sign for each weight that is not zero
    there. A face is known by its zeros, among them the slack of the cut.
    """
    matrix, right = flow_equations(widths, biased, values)
    units, edges = matrix.shape
    matrix = np.block([[matrix, np.zeros((units, 1))], [np.ones((1, edges + 1))]])
    right = np.append(right, 100 * np.abs(right).sum())
    faces = set()
    for basis in map(list, combinations(range(edges + 1), units + 1)):
        square = matrix[:, basis]
        if abs(np.linalg.det(square)) > 1e-9 and (np.linalg.solve(square, right) > 0).all():
            zeros = tuple(sorted(set(range(edges + 1)) - set(basis)))
            faces |= {z for size in range(len(zeros) + 1) for z in combinations(zeros, size)}
    top, cells = edges - units, {}
    for zeros in faces:
        moving = [e for e in range(edges) if e not in zeros]
        for signs in product((1, -1), repeat=len(moving)):
            cells.setdefault(top - len(zeros), {})[zeros, tuple(zip(moving, signs, strict=True))] = None
    ranks = {0: 0, top + 1: 0}
    for dimension in range(1, top + 1):
        index = {cell: 1 << k for k, cell in enumerate(cells[dimension - 1])}
        columns = []
        for zeros, signs in cells[dimension]:
            more = [tuple(sorted({*zeros, e})) for e in range(edges + 1) if e not in zeros]
            below = [(z, tuple(s for s in signs if s[0] not in z)) for z in more]
            columns.append(sum(index[cell] for cell in below if cell in index))
        ranks[dimension] = rank_modulo_two(columns)
    found = [len(cells[k]) - ranks[k] - ranks[k + 1] for k in range(top + 1)]
    return tuple(np.trim_zeros(found, "b"))


def rank_modulo_two(columns):
    """Of vectors of bits."""
    pivots = {}
    for column in columns:
        left = column
        while left and left.bit_length() in pivots:
            left ^= pivots[left.bit_length()]
        if left:
            pivots[left.bit_length()] = left
    return len(pivots)
