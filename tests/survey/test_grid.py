"""Grids: all combinations in order, once each, and the line of what is wrong."""

import pytest

from gradlaws.errors import InputError
from gradlaws.survey.grid import Task, read_grid


def written(tmp_path, text):
    path = tmp_path / "grid.toml"
    path.write_text(text)
    return path


def test_all_combinations_in_order(tmp_path):
    text = 'models = ["linear 2-2-2", "relu 2-2-2"]\nflows = ["gradient", "momentum"]\n[options]\nseed = [0, 1]\n'
    tasks = read_grid(written(tmp_path, text))
    assert len(tasks) == len({task.key for task in tasks}) == 8
    assert tasks[0] == Task("linear 2-2-2", "gradient", (("seed", 0),))
    assert tasks[3] == Task("linear 2-2-2", "momentum", (("seed", 1),))


def test_several_grids_share_rows(tmp_path):
    text = 'models = ["linear 2-2-2"]\n[[grid]]\nmodels = ["linear 2-2-2", "relu 1-1-1"]\n'
    assert [task.model for task in read_grid(written(tmp_path, text))] == ["linear 2-2-2", "relu 1-1-1"]
    only = '[[grid]]\nmodels = ["relu 1-1-1"]\n[grid.options]\nlower_only = true\n'
    assert read_grid(written(tmp_path, only)) == [Task("relu 1-1-1", "gradient", (("lower_only", True),))]


def test_files_beside_the_grid(tmp_path):
    (tmp_path / "model.py").write_text("")
    (tmp_path / "spin.toml").write_text('variables = ["x", "y"]\nfields = [["y", "-x"]]')
    tasks = read_grid(written(tmp_path, 'models = ["model.py:make", "spin.toml"]'))
    assert [task.model for task in tasks] == [f"{tmp_path}/model.py:make", f"{tmp_path}/spin.toml"]


def test_a_file_that_changed_is_another_question(tmp_path):
    (tmp_path / "model.py").write_text("one = 1")
    path = written(tmp_path, 'models = ["model.py:make", "linear 1-1-1"]')
    before = read_grid(path)
    assert read_grid(path) == before
    (tmp_path / "model.py").write_text("one = 2")
    after = read_grid(path)
    assert before[0].key != after[0].key
    assert before[1].key == after[1].key


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "asks for nothing"),
        ('models = ["linear 2-2-2"', "is not TOML"),
        ('flows = ["gradient"]', "models must be a list of texts in quotes"),
        ("models = []", "line 1: models must be a list"),
        ('models = ["linear 2-2-2"]\n\nflows = [\n"adam"]', "line 4: unknown flow 'adam'"),
        ('models = [\n"cubic 2-2"]', "line 2: unknown kind 'cubic'"),
        ('models = ["none.py:f"]', "line 1: no file 'none.py' beside the grid"),
        ('models = ["none.toml"]', "line 1: cannot read"),
        ('models = ["linear 2-2-2"]\nspeed = 3', "line 2: unknown key 'speed'"),
        ('models = ["linear 2-2-2"]\n[options]\nprimes = [7]', "line 3: unknown option 'primes'"),
        ('models = ["linear 2-2-2"]\n[options]\nseed = [0.5]', "line 3: option seed must be a list of int values"),
        ('models = ["linear 2-2-2"]\n[options]\nseed = [true]', "line 3: option seed must be a list of int values"),
        ('models = ["linear 2-2-2"]\noptions = 3', "line 2: options must be a table"),
        ("grid = 3", "line 1: grid must be a list of tables"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(tmp_path, text, words):
    with pytest.raises(InputError) as caught:
        read_grid(written(tmp_path, text))
    assert words in str(caught.value)


def test_too_many_rows(tmp_path):
    seeds = list(range(1001))
    text = f'models = ["linear 1-1"]\n[options]\nseed = {seeds}\ndegree = {seeds}\n'
    with pytest.raises(InputError, match="asks for 1002001 rows at once: expected at most 1000000"):
        read_grid(written(tmp_path, text))
