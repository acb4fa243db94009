"""The report as a document: complete, well formed, harmless, and there as a whole or not at all."""

import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from typer.testing import CliRunner

from gradlaws import cli
from gradlaws.errors import InputError
from gradlaws.report.courses import POINTS, read_runs, worst_first
from gradlaws.report.html import report_html, write_report
from gradlaws.training import store as stores
from gradlaws.training.record import RunRecord
from tests.report.stores import FINDING, LAWS, diverged, record, write

VOID = {"meta", "input", "br"}


class Document(HTMLParser):
    """Tags with their attributes, and the text; fails on tags that do not match."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.open, self.text = [], [], []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] not in ("script", "style"):
            self.text.append(data)

    def having(self, word):
        """Attributes of the tags of a class."""
        return [attributes for _, attributes in self.tags if word in attributes.get("class", "").split()]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "run.db"


def document(path, *arguments):
    return Document(report_html(path, *arguments))


def test_the_page_says_everything(path):
    page = document(write(path, ("first", "second"), findings=[FINDING]))
    text = "".join(page.text)
    assert all(name in text for name in ("first", "second", "run.db", "Net", "1,234", "14 in 3 formulas"))
    assert FINDING.text in text
    assert "Nothing unexpected was found" in text
    assert len(page.having("law")) == 3
    assert len(page.having("module")) == 3
    assert len(page.having("compared")) == 3 + 1
    assert [card["data-text"] for card in page.having("law")] == ["|e.g|^2", LAWS[0].text, LAWS[1].text]
    assert "moved by rounding only" in text
    assert "step size" in text
    assert "second order" not in text.split("How to read")[0]


def test_some_runs_only(path):
    write(path, ("first", "second", "third"))
    text = "".join(document(path, [1, 3, 1]).text)
    assert ("first" in text, "second" in text, "third" in text) == (True, False, True)
    with pytest.raises(InputError, match="has no run 9: it holds 1, 2, 3"):
        report_html(path, [9])


def test_laws_of_several_runs_are_one_card(path):
    write(path, ("a", "b"))
    other = [replace(LAWS[2], law=0, text="|new|^2")]
    write(path, ("c",), laws=other)
    runs = read_runs(path)
    assert [len(found) for _, found in worst_first(runs)] == [2, 2, 1, 2]
    page = document(path)
    (card,) = [card for card in page.having("law") if card["data-text"] == "|new|^2"]
    assert card["data-worst"] == "-2"


HOSTILE = '</script><script>alert("x")</script><img src=x onerror=alert(1)>&amp;"\'{}$body'


def test_whatever_a_store_holds_is_text(path):
    law = replace(LAWS[0], text=HOSTILE, latex=HOSTILE, module=HOSTILE, tensors=HOSTILE)
    store = stores.Store.begin(path, RunRecord(HOSTILE, HOSTILE, HOSTILE, 1, 1, 1.0), [law])
    store.append([record(1, 0)], [replace(FINDING, cause=HOSTILE, module=HOSTILE, tensors=HOSTILE, text=HOSTILE)])
    store.finish()
    page = document(path)
    assert [tag for tag, _ in page.tags].count("script") == 1
    assert "img" not in [tag for tag, _ in page.tags]
    assert not any(name.startswith("on") for _, attributes in page.tags for name in attributes)
    assert "".join(page.text).count(HOSTILE) >= 6


def test_nothing_is_asked_of_a_network(path):
    html = report_html(write(path))
    assert not re.search(r"https?://|@import|url\(|<link|srcset", html)
    policy = next(a["content"] for tag, a in document(path).tags if tag == "meta" and "http-equiv" in a)
    assert policy.startswith("default-src 'none'; ")


def test_a_run_without_a_step(path):
    page = document(write(path, steps=()))
    assert "No step has been recorded yet." in page.text
    assert page.having("law") == []


def test_a_store_without_a_run(path):
    write(path)
    connection = stores.sqlite3.connect(path)
    connection.execute("DELETE FROM runs")
    connection.commit()
    connection.close()
    with pytest.raises(InputError, match="has no run: it holds none"):
        report_html(path)


def test_a_diverged_run(path):
    page = document(diverged(path))
    assert "∞" in "".join(page.text)
    assert len(page.having("law")) == 3


def test_one_step_is_a_dot(path):
    html = report_html(write(path, steps=[7]))
    assert "<polyline" not in html
    assert '<circle cx="175.0"' in html


def coarse(records, points):
    """The slow twin of `store.thinned`: split in order, then the largest of everything."""
    found = []
    for law in sorted({r.law for r in records}):
        own = sorted((r for r in records if r.law == law), key=lambda r: r.step)
        count = min(points, len(own))
        for place in range(count):
            part = [r for i, r in enumerate(own) if i * count // len(own) == place]
            names = [name for name in part[0].__dataclass_fields__ if name not in ("law", "step")]
            largest = {name: max(getattr(r, name) for r in part) for name in names}
            found.append(replace(part[-1], **largest))
    return tuple(found)


@pytest.mark.parametrize("points", [1, 3, 7, 10, 160])
def test_long_runs_are_thinned_and_peaks_stay(path, points):
    write(path, steps=range(1, 11))
    store = stores.Store.begin(path, RunRecord("peak", "Net", "SGD", 1, 10, 1.0), LAWS)
    for step in range(1, 24):
        store.append([replace(record(step, law), unexplained=float(step == 11)) for law in range(law_count(step))])
    store.finish()
    for run in (1, 2):
        thin = stores.thinned(path, run, points)
        assert thin == coarse(stores.steps(path, run), points)
        assert stores.latest(path, run) == tuple(
            max((r for r in stores.steps(path, run) if r.law == law), key=lambda r: r.step) for law in range(3)
        )
    assert max(r.unexplained for r in stores.thinned(path, 2, points)) == 1.0


def law_count(step):
    """Laws that take turns have different numbers of records."""
    return 3 if step % 3 == 0 else 1


def test_a_long_run_makes_a_page_of_bounded_size(path):
    write(path, steps=range(1, 2001))
    (run,) = read_runs(path)
    assert {len(course.records) for course in run.courses} == {POINTS}
    assert len(report_html(path)) < 150_000


def test_the_file_is_there_as_a_whole_or_not_at_all(path, tmp_path, monkeypatch):
    write(path)
    page = tmp_path / "page.html"
    page.write_text("old")

    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", fail)
    with pytest.raises(InputError, match=r"cannot write the report to .*No space left on device.*choose a file"):
        write_report(path, page)
    assert page.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir() if "page" in p.name] == ["page.html"]
    monkeypatch.undo()
    assert write_report(path, page) == page
    assert page.read_text() == report_html(path)


@pytest.mark.parametrize("bad", ["no/such/folder/page.html", ".", "/dev/null"])
def test_a_page_that_cannot_be_written(path, bad, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="expected a file in a folder that exists"):
        write_report(write(path), bad)


def test_the_command(path, tmp_path):
    write(path, ("apples", "pears"))
    page = tmp_path / "page.html"
    result = CliRunner().invoke(cli.app, ["report", str(path), "-o", str(page), "--run", "2"])
    assert result.exit_code == 0
    assert f"wrote {page}" in result.stderr
    assert ("pears" in page.read_text(), "apples" in page.read_text()) == (True, False)
    missing = CliRunner().invoke(cli.app, ["report", str(tmp_path / "none.db")])
    assert (missing.exit_code, "there is no store" in missing.stderr) == (2, True)
    other = tmp_path / "notes.db"
    other.write_text("nothing of the kind" * 100)
    refused = CliRunner().invoke(cli.app, ["report", str(other), "-o", str(page)])
    assert (refused.exit_code, "is not a store of runs" in refused.stderr) == (2, True)


def test_progress_is_told(path):
    told = []
    report_html(write(path, ("a", "b")), on_progress=lambda stage, part: told.append((stage, part)))
    assert [stage for stage, _ in told] == ["reading run 1", "reading run 2", "drawing"]
    assert [part for _, part in told] == [0.0, 0.45, 0.9]


def test_the_same_store_gives_the_same_page(path):
    write(path)
    assert report_html(path) == report_html(path)
