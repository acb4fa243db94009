"""The report where it is read: in a browser, offline, by day and by night, on a phone."""

import pytest

from gradlaws.report.html import report_html, write_report
from tests.report import browser as browsers
from tests.report.browser import chromium
from tests.report.stores import FINDING, diverged, write


@pytest.fixture(scope="module")
def browser():
    with chromium() as window:
        yield window


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    store = write(folder / "run.db", ("first", "second", "third"), steps=range(1, 60), findings=[FINDING])
    return write_report(store, folder / "page.html")


def test_it_is_quiet_and_asks_for_nothing(browser, page):
    browser.open(page)
    assert browser.errors() == []
    assert browser.requests() == []
    assert browser.visible(".law .chart") == 3 * (1 + 2)
    assert browser.visible("math") >= 6
    assert browser.visible(".finding") == 1


def broken(page, tmp_path, old, new):
    text = page.read_text()
    assert old in text
    other = tmp_path / "broken.html"
    other.write_text(text.replace(old, new, 1))
    return other


@pytest.mark.parametrize(
    "planted",
    [
        '<img src="http://localhost:9/a">',
        "<script>fetch('http://localhost:9/a').catch(() => 0)</script>",
        '<script src="http://localhost:9/a"></script>',
        '<link rel="stylesheet" href="http://localhost:9/a">',
    ],
)
def test_what_reaches_out_is_seen_and_forbidden_by_the_page_itself(browser, page, tmp_path, planted):
    planted_page = broken(page, tmp_path, "</main>", f"{planted}</main>")
    browser.open(planted_page)
    assert browser.errors()
    assert browser.requests() == []
    browser.open(broken(planted_page, tmp_path, "Content-Security-Policy", "X-None"))
    assert browser.errors() or "catch" in planted
    assert browser.requests() == ["http://localhost:9/a"]


def test_a_script_that_slipped_in_does_not_run(browser, page, tmp_path):
    browser.open(broken(page, tmp_path, "</main>", "</main><script>document.title = 'owned'</script>"))
    assert browser.window.title != "owned"
    assert any("Content Security Policy" in message for message in browser.errors())


@pytest.mark.parametrize("width", [320, 390, 768, 1600])
def test_no_width_scrolls_sideways(browser, page, width):
    assert browser.open(page, width).overflow() <= 0


def test_a_page_that_scrolled_sideways_would_be_seen(browser, page, tmp_path):
    wide = broken(page, tmp_path, "</main>", '<div class="run">' + "x" * 400 + "</div></main>")
    assert browser.open(wide, 390).overflow() > 100


def brightness(browser, element, what):
    script = f"return getComputedStyle(document.querySelector('{element}')).{what}"
    channels = browser.run(script).strip("rgba()").split(",")
    return sum(float(channel) for channel in channels[:3]) / 3


@pytest.mark.parametrize("dark", [False, True])
def test_light_and_dark(browser, page, dark):
    browser.open(page, dark=dark)
    paper, ink = brightness(browser, "body", "backgroundColor"), brightness(browser, "body", "color")
    lines = brightness(browser, ".law .line polyline", "stroke")
    assert (paper < 60, ink > 200, lines > 120) == ((True,) * 3 if dark else (False,) * 3)
    assert abs(paper - ink) > 150


def test_runs_are_switched_off_and_on(browser, page):
    browser.open(page)
    assert browser.visible(".line.of-2") > 0
    browser.run("document.querySelector('[data-run=\"2\"]').click()")
    assert browser.visible(".line.of-2") == 0
    assert browser.visible(".line.of-1") > 0
    browser.run("document.querySelector('[data-run=\"2\"]').click()")
    assert browser.visible(".line.of-2") > 0


def order(browser):
    return browser.run("return [...document.querySelectorAll('.law')].map((e) => e.dataset.text[0])")


def test_laws_are_found_and_ordered(browser, page):
    browser.open(page)
    say = "const [n, v] = arguments; const e = document.querySelector(`[name=${n}]`); e.value = v; "
    say += "e.dispatchEvent(new Event('input', { bubbles: true }))"
    found = "".join(order(browser))
    browser.run(say, "find", "C.D sum")
    assert browser.visible(".law") == 1
    assert browser.run("return document.querySelector('output').textContent") == "1 of 3"
    browser.run(say, "find", "")
    assert browser.visible(".law") == 3
    browser.run(say, "order", "drift")
    assert order(browser)[-1] == "s"
    browser.run(say, "order", "worst")
    assert "".join(order(browser)) == found
    assert browser.errors() == []


def test_the_numbers_under_the_pointer(browser, page):
    browser.open(page)
    point = """
    const chart = document.querySelector(".law .over-steps"), box = chart.getBoundingClientRect();
    const at = { clientX: box.left + arguments[0] * box.width, clientY: box.top + 20, bubbles: true };
    chart.dispatchEvent(new PointerEvent("pointermove", at));
    return document.getElementById("tip").innerText.split("\\n");
    """
    lines = browser.run(point, 1.0)
    assert lines[0] == "step 59"
    assert "first, observed: 5.9 × 10^-4" in lines or "first, observed: 6.0 × 10^-4" in lines
    assert len(lines) == 1 + 2 * 3
    assert browser.run(point, 0.0)[0] == "step 1"
    browser.run("document.querySelector('.law .over-steps').dispatchEvent(new PointerEvent('pointerleave'))")
    assert browser.visible("#tip") == 0
    assert browser.errors() == []


def test_without_its_script_all_is_there(browser, page, tmp_path):
    still = tmp_path / "still.html"
    text = page.read_text()
    still.write_text(text[: text.index("<script>")])
    browser.open(still)
    assert browser.visible(".law .chart") == 3 * (1 + 2)
    assert browser.visible(".controls") == 0


def test_a_diverged_run_is_drawn(browser, tmp_path):
    page = write_report(diverged(tmp_path / "run.db"), tmp_path / "page.html")
    assert browser.open(page).errors() == []
    assert "NaN" not in report_html(tmp_path / "run.db")


def test_a_missing_browser_is_a_skip_with_its_remedy_and_a_failure_where_one_is_promised(monkeypatch):
    monkeypatch.setattr(browsers, "executables", lambda: (None, None))
    monkeypatch.delenv(browsers.NEEDED, raising=False)
    with pytest.raises(pytest.skip.Exception, match="apt-get install chromium"), chromium():
        pass
    monkeypatch.setenv(browsers.NEEDED, "1")
    with pytest.raises(pytest.fail.Exception, match="GRADLAWS_NEEDS_BROWSER is set"), chromium():
        pass
