"""Operators read from what users have, and intervals that hold their spectra."""

import networkx as nx
import numpy as np
import pytest
import torch
from scipy import sparse
from scipy.sparse.linalg import aslinearoperator

from gradlaws.errors import InputError
from gradlaws.geometry.operators import certain_interval, likely_interval, read_operator


def laplacian(graph):
    return nx.laplacian_matrix(graph).astype(float).toarray()


GRAPHS = {
    "path": nx.path_graph(12),
    "star": nx.star_graph(20),
    "random": nx.gnp_random_graph(60, 0.1, seed=1),
    "two pieces": nx.disjoint_union(nx.cycle_graph(5), nx.complete_graph(4)),
    "one node": nx.empty_graph(1),
    "no edges": nx.empty_graph(4),
}
RANDOM = np.random.default_rng(3).standard_normal((30, 30))
MATRICES = {name: laplacian(graph) for name, graph in GRAPHS.items()} | {
    "indefinite": RANDOM + RANDOM.T,
    "positive": RANDOM @ RANDOM.T,
    "negative": -RANDOM @ RANDOM.T,
    "zero": np.zeros((3, 3)),
    "diagonal": np.diag([-2.0, 0.0, 5.0]),
}


@pytest.mark.parametrize("name", MATRICES)
def test_the_certain_interval_holds_the_spectrum(name):
    values = np.linalg.eigvalsh(MATRICES[name])
    low, high = certain_interval(read_operator(MATRICES[name]))
    assert low <= values[0] + 1e-12
    assert values[-1] <= high + 1e-12


@pytest.mark.parametrize("name", MATRICES)
def test_the_likely_interval_holds_the_spectrum(name):
    values = np.linalg.eigvalsh(MATRICES[name])
    low, high = likely_interval(read_operator(MATRICES[name]), np.zeros(len(values)), 1.0)
    rounding = 1e-12 * (1 + np.abs(values).max())
    assert low <= values[0] + rounding
    assert values[-1] <= high + rounding


@pytest.mark.parametrize("name", GRAPHS)
def test_a_laplacian_starts_at_zero_and_ends_below_twice_the_degree(name):
    low, high = certain_interval(read_operator(GRAPHS[name]))
    assert low == 0
    assert high <= 2 * max((d for _, d in GRAPHS[name].degree), default=0) * (1 + 1e-12)


def test_weights_parallel_edges_and_loops_of_a_graph():
    graph = nx.MultiGraph([("a", "b", {"weight": 2.0}), ("a", "b", {"weight": 0.5}), ("b", "b"), ("b", "c")])
    read = read_operator(graph)
    np.testing.assert_array_equal(read.apply(np.eye(3)), [[2.5, -2.5, 0], [-2.5, 3.5, -1], [0, -1, 1]])


FORMS = {
    "numpy": lambda m: m,
    "list": lambda m: m.tolist(),
    "csr": sparse.csr_array,
    "coo": sparse.coo_matrix,
    "integers": lambda m: sparse.csr_array(m.astype(int)),
    "torch": torch.from_numpy,
    "torch coo": lambda m: torch.from_numpy(m).to_sparse(),
    "torch float32": lambda m: torch.from_numpy(m).float().to_sparse(),
    "linear operator": aslinearoperator,
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_is_the_same_operator(form):
    matrix = MATRICES["star"]
    read = read_operator(FORMS[form](matrix))
    x = np.random.default_rng(0).standard_normal((len(matrix), 3))
    np.testing.assert_allclose(read.array(read.apply(read.vector(x))), matrix @ x, atol=1e-12)
    np.testing.assert_allclose(read.array(read.apply(read.vector(x[:, 0]))), matrix @ x[:, 0], atol=1e-12)
    if read.magnitudes:
        np.testing.assert_allclose(certain_interval(read), certain_interval(read_operator(matrix)), rtol=1e-12)


@pytest.mark.filterwarnings("ignore:Sparse CSR tensor support is in beta")
def test_torch_rows():
    read = read_operator(torch.from_numpy(MATRICES["path"]).to_sparse_csr())
    np.testing.assert_allclose(read.array(read.apply(read.vector(np.eye(12)))), MATRICES["path"])


class Callable:
    shape = (3, 3)

    def __call__(self, v):
        return 2 * v


def test_a_call_with_a_shape():
    np.testing.assert_array_equal(read_operator(Callable()).apply(np.eye(3)), 2 * np.eye(3))


BAD = {
    "asymmetric": (np.triu(RANDOM), "the operator is not symmetric.*symmetrise it"),
    "one entry off": (sparse.csr_array(MATRICES["random"] + 1e-6 * np.eye(60, k=1)), "not symmetric"),
    "asymmetric operator": (aslinearoperator(np.triu(RANDOM)), "not symmetric"),
    "not square": (np.zeros((2, 3)), r"shape \(2, 3\) cannot diffuse: expected a square one"),
    "empty": (np.zeros((0, 0)), "expected a square one"),
    "complex": (1j * np.eye(2), "not real"),
    "complex torch": (1j * torch.eye(2), "not real"),
    "text": (np.array([["a"]]), "not real"),
    "nan": (np.full((2, 2), np.nan), "NaN or infinite"),
    "nan torch": (torch.full((2, 2), torch.nan).to_sparse(), "NaN or infinite"),
    "nan operator": (aslinearoperator(np.full((2, 2), np.nan)), "makes NaN"),
    "directed": (nx.DiGraph([(0, 1)]), "directed: pass graph.to_undirected"),
    "weights of text": (nx.Graph([(0, 1, {"weight": "x"})]), "weight that is not a number"),
    "a spec": ("relu 2-5-3", "cannot diffuse along str: expected a symmetric matrix"),
}


@pytest.mark.parametrize("fault", BAD)
def test_bad_operators_are_refused_in_a_sentence(fault):
    operator, words = BAD[fault]
    with pytest.raises(InputError, match=words):
        read_operator(operator)
