"""Rows of a tensor along one axis: whole, in part, folded; the same for tensors and for arrays of anything."""

import numpy as np
import pytest
import torch

from gradlaws.exact.ring import Reals
from gradlaws.laws.contraction import Contraction

SHAPE = (3, 12, 2)
FOLDS = [None, (1, 2, 6), (3, 2, 2), (6, 2, 1), (1, 12, 1), (2, 3, 2)]


def values():
    return torch.arange(72, dtype=torch.float64).view(SHAPE)


@pytest.mark.parametrize("fold", FOLDS)
def test_folded_rows_gather_what_belongs_to_one_index(fold):
    piece, x = Contraction("T", 1, 3, fold=fold), values()
    rows = piece.rows({"T": x})
    blocks, times, stride = fold or (1, 1, 12)
    assert rows.shape == (blocks * stride, times * 6) == (piece.length(SHAPE), times * 6)
    for k in range(blocks * stride):
        members = [k // stride * times * stride + t * stride + k % stride for t in range(times)]
        assert sorted(rows[k].tolist()) == sorted(x[:, members].flatten().tolist())


@pytest.mark.parametrize(
    "piece", [Contraction("T", 1, 3, fold=fold) for fold in FOLDS] + [Contraction("T", 1, 3, 4, 8)]
)
def test_arrays_and_batches_have_the_same_rows(piece):
    x = values()
    rows = piece.rows({"T": x})
    np.testing.assert_array_equal(piece.array(x.numpy()), rows.numpy())
    torch.testing.assert_close(piece.rows({"T": torch.stack([x, 2 * x])}), torch.stack([rows, 2 * rows]))


@pytest.mark.parametrize("fold", FOLDS)
def test_collected_sums_are_sums_of_rows(fold):
    piece, x = Contraction("T", 1, 3, fold=fold), values()
    along = Contraction("T", 1, 3).rows({"T": x}).sum(-1)
    torch.testing.assert_close(piece.collected(along, Reals()), piece.rows({"T": x}).sum(-1))


def test_a_number_and_a_vector_have_rows_too():
    assert Contraction("a", 0, 0).rows({"a": torch.tensor(3.0)}).tolist() == [[3.0]]
    assert Contraction("a", 0, 0).length(()) == 1
    assert Contraction("v", 0, 1, 1).rows({"v": torch.tensor([1.0, 2.0, 3.0])}).tolist() == [[2.0], [3.0]]


@pytest.mark.parametrize(
    ("piece", "text"),
    [
        (Contraction("W", 0, 2), "W[k,:]"),
        (Contraction("W", 1, 2, 3), "W[:,3+k]"),
        (Contraction("W", 1, 2, 3, 6, (1, 3, 1)), "W[:,3:6]"),
        (Contraction("W", 0, 2, 0, 4, (1, 4, 1)), "W[:4,:]"),
        (Contraction("W", 0, 2, fold=(1, 6, 1)), "W"),
        (Contraction("W", 0, 2, fold=(2, 3, 1)), "W[3*k + 0..2,:]"),
        (Contraction("W", 0, 2, fold=(1, 2, 4)), "W[k + 4*(0..1),:]"),
        (Contraction("W", 0, 2, fold=(3, 2, 4)), "W[k % 4 + 4*(0..1) + 8*(k // 4),:]"),
    ],
)
def test_slices_are_written_as_in_numpy(piece, text):
    assert piece.slice("k") == text


@pytest.mark.parametrize("fold", [(3, 2, 2), (6, 2, 1), (1, 2, 6), (2, 3, 2)])
def test_the_written_slice_means_the_rows(fold):
    """Evaluate the text itself: every index that it names is in the row, and no other."""
    piece = Contraction("v", 0, 1, fold=fold)
    rows = piece.rows({"v": torch.arange(12.0)})
    inside, last = piece.slice("k")[2:-1], fold[1] - 1
    for k, row in enumerate(rows):
        written = [inside.replace(f"(0..{last})", str(t)).replace(f"0..{last}", str(t)) for t in range(last + 1)]
        assert [eval(index, {"k": k}) for index in written] == row.tolist()


def test_json_terms_name_only_what_is_special():
    assert Contraction("W", 1, 2).term == {"tensor": "W", "axis": 1}
    assert Contraction("W", 1, 2, 2, 4, (1, 2, 1)).term == {
        "tensor": "W",
        "axis": 1,
        "start": 2,
        "stop": 4,
        "fold": [1, 2, 1],
    }
