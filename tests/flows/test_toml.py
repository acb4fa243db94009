"""Files with vector fields: what they may say, and the line of what they may not."""

import pytest

import gradlaws as gl
from gradlaws.errors import InputError
from gradlaws.flows.fields import Fields
from gradlaws.flows.toml import is_fields_file, read_fields_file
from gradlaws.models.symbolic import Parametrised
from tests.asserts import assert_count_is


def written(tmp_path, text):
    path = tmp_path / "fields.toml"
    path.write_text(text)
    return path


def test_fields_and_potentials(tmp_path):
    fields = read_fields_file(written(tmp_path, 'variables = ["x", "y"]\nfields = [["y", "-x"], ["0", "0"]]\n'))
    assert isinstance(fields, Fields)
    assert_count_is(gl.count(fields), 1, 1)
    family = read_fields_file(written(tmp_path, 'variables = ["u", "v"]\npotentials = ["u*v"]\n'))
    assert isinstance(family, Parametrised)
    assert_count_is(gl.count(family, flow="momentum"), 0, 0)
    rational = read_fields_file(written(tmp_path, 'variables = ["u", "v"]\npotentials = ["u/v"]\n'))
    assert isinstance(rational, Fields)
    assert [law.text for law in gl.laws(rational).laws] == ["u^2 + v^2"]
    bent = 'variables = ["u", "v"]\npotentials = ["u*v"]\nhessian = [["1/u", "0"], ["0", "1/v"]]\n'
    assert [law.text for law in gl.laws(read_fields_file(written(tmp_path, bent))).laws] == ["u - v"]
    assert is_fields_file("a/b.toml")
    assert not is_fields_file("relu 2-3-2")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('variables = ["x"\nfields = [["x"]]', "is not TOML: "),
        ('variables = ["x"]\n\nfields = [\n  ["x +"],\n]', "line 4: cannot read the expression 'x +'"),
        ('variables = ["x"]\nfields = [["exp(x)"]]', "line 2: exp(...) in 'exp(x)' is not rational"),
        ('variables = ["x"]\nfields = [["y"]]', "line 2: 'y' in 'y' is not declared: expected one of x"),
        ('variables = ["x"]\nfields = [["1/(x - x)"]]', "line 2: '1/(x - x)' divides by zero at every point"),
        (
            'variables = ["x"]\nfields = [\n["x"],\n["2*x", "x"]]',
            "line 4: a field has 2 entries, but there are 1 var",
        ),
        ('variables = ["x"]\nfields = []', "line 2: no vector field is given"),
        ('variables = ["x"]\nfields = [[1]]', "line 2: fields must hold lists of texts in quotes"),
        ('variables = ["x"]\nfields = 3', "line 2: fields is not a list of lists"),
        ('variables = ["x", "x"]\nfields = [["x", "x"]]', "line 1: variable 'x' is declared twice"),
        ('variables = ["x y"]\nfields = [["1"]]', "line 1: variable 'x y' is not a name"),
        ("variables = []\nfields = [[]]", "line 1: no variables are declared"),
        ('variables = ["x"]\npotentials = ["3"]', "line 2: no entry of the parametrisation depends on a variable"),
        ('variables = ["x"]\npotentials = ["x"]\nhessian = 3', "line 3: hessian is not a list of lists of texts"),
        ('variables = ["x"]\npotentials = ["x"]\nhessian = [["x", "1"]]', "line 3: the Hessian must have 1 rows"),
        ('variables = ["x"]\npotentials = ["x"]\nhessian = [\n["y"]]', "line 4: 'y' in 'y' is not declared"),
        ('variables = ["x"]\nfields = [["x"]]\nhessian = [["1"]]', "line 3: a hessian goes with potentials"),
        ('variables = ["x"]\n\nspeed = 2\nfields = [["x"]]', "line 3: unknown key 'speed'"),
        ('variables = ["x"]', "expected variables, and either fields or potentials"),
        ('fields = [["x"]]', "expected variables, and either fields or potentials"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(tmp_path, text, words):
    with pytest.raises(InputError) as caught:
        read_fields_file(written(tmp_path, text))
    assert words in str(caught.value)
    if "not TOML" in words:
        assert "line 2" in str(caught.value)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(InputError, match="cannot read"):
        read_fields_file(tmp_path / "none.toml")
