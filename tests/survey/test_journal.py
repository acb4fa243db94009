"""The journal: what is written stays, torn lines go, nothing that is not ours is touched."""

import pytest

from gradlaws.errors import InputError
from gradlaws.survey.journal import Journal, journal_of


def rows_of(path):
    with Journal(path) as journal:
        return dict(journal.rows)


def test_rows_are_read_back_and_written_once(tmp_path):
    path = journal_of(tmp_path / "table.parquet")
    assert path.name == "table.parquet.journal"
    with Journal(path) as journal:
        journal.add("a", {"status": "PROVED"})
        journal.add("a", {"status": "other"})
        journal.add("b", {"formulas": ["é\nx"]})
    assert rows_of(path) == {"a": {"status": "PROVED"}, "b": {"formulas": ["é\nx"]}}
    assert len(path.read_bytes().splitlines()) == 3


@pytest.mark.parametrize("cut", range(1, 40, 3))
def test_a_torn_line_is_cut_off(tmp_path, cut):
    path = tmp_path / "j"
    with Journal(path) as journal:
        journal.add("a", {"n": 1})
        journal.add("b", {"n": 2, "words": "long enough to tear it"})
    path.write_bytes(path.read_bytes()[:-cut])
    assert rows_of(path) == {"a": {"n": 1}}
    with Journal(path) as journal:
        journal.add("c", {"n": 3})
    assert rows_of(path) == {"a": {"n": 1}, "c": {"n": 3}}


@pytest.mark.parametrize("size", [0, 5])
def test_killed_before_the_first_row(tmp_path, size):
    path = tmp_path / "j"
    rows_of(path)
    path.write_bytes(path.read_bytes()[:size])
    assert rows_of(path) == {}
    assert path.read_bytes().endswith(b"}\n")


@pytest.mark.parametrize("content", [b"my notes", b"my notes\n", b'{"a": 1}\n'])
def test_other_files_are_left_alone(tmp_path, content):
    path = tmp_path / "j"
    path.write_bytes(content)
    with pytest.raises(InputError, match="is not the journal of a survey: choose another table"):
        Journal(path)
    assert path.read_bytes() == content


def test_damage_in_the_middle_is_named(tmp_path):
    path = tmp_path / "j"
    with Journal(path) as journal:
        journal.add("a", {})
        journal.add("b", {})
    path.write_bytes(path.read_bytes().replace(b'{"key": "a"', b'{"kex": "a"'))
    with pytest.raises(InputError, match="line 2: not a row of a survey"):
        Journal(path)


def test_two_at_once_are_refused(tmp_path):
    with Journal(tmp_path / "j"), pytest.raises(InputError, match="another survey is writing"):
        Journal(tmp_path / "j")


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(InputError, match="cannot write the journal"):
        Journal(tmp_path / "none" / "j")
