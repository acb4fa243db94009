"""A headless Chromium that says what a page does: errors on its console, and everything that it asks for."""

import json
import os
import shutil
import tempfile
import time
from contextlib import contextmanager
from importlib import import_module

import pytest

NEEDED = "GRADLAWS_NEEDS_BROWSER"
REMEDY = "needs Chromium and its driver (apt-get install chromium chromium-driver) and selenium (pip install selenium)"
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-extensions",
    "--disable-sync",
    "--window-size=1200,900",
]


def executables():
    """Of the browser and of its driver, None where there is none."""
    names = ("chromium", "chromium-browser", "google-chrome")
    return next(filter(None, map(shutil.which, names)), None), shutil.which("chromedriver")


def skip_or_fail():
    """Without a browser there is nothing to test, and where one is promised that is a failure."""
    if os.environ.get(NEEDED):
        pytest.fail(f"{NEEDED} is set: {REMEDY}")
    pytest.skip(REMEDY)


@contextmanager
def chromium():
    """A browser with a profile of its own."""
    browser, driver = executables()
    if not (browser and driver):
        skip_or_fail()
    try:
        webdriver = import_module("selenium.webdriver")
    except ImportError:
        skip_or_fail()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        options = webdriver.ChromeOptions()
        options.binary_location = browser
        for flag in [*FLAGS, f"--user-data-dir={profile}"]:
            options.add_argument(flag)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        window = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
        try:
            yield Browser(window)
        finally:
            window.quit()


class Browser:
    """One window."""

    def __init__(self, window):
        self.window = window
        self.run = window.execute_script

    def open(self, page, width=1200, dark=False):
        """Show a file, with what it is viewed on."""
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
        self.window.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})
        self.window.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        self.window.get_log("browser"), self.window.get_log("performance")
        self.window.get(page.absolute().as_uri())
        return self

    def errors(self):
        """What the console complains of."""
        time.sleep(0.1)
        return [entry["message"] for entry in self.window.get_log("browser") if entry["level"] != "INFO"]

    def requests(self):
        """Every address that the page asked for, itself aside, unless its own policy forbade that."""
        events = [json.loads(entry["message"])["message"] for entry in self.window.get_log("performance")]
        failed = [e["params"] for e in events if e["method"] == "Network.loadingFailed"]
        forbidden = {one["requestId"] for one in failed if one.get("blockedReason") == "csp"}
        asked = [e["params"] for e in events if e["method"] == "Network.requestWillBeSent"]
        urls = [one["request"]["url"] for one in asked if one["requestId"] not in forbidden]
        return [url for url in urls if url != self.window.current_url]

    def overflow(self):
        """Pixels by which the page is wider than the window."""
        return self.run("return document.documentElement.scrollWidth - document.documentElement.clientWidth")

    def visible(self, selector):
        """How many elements are shown."""
        shown = "(e) => e.getClientRects().length && e.checkVisibility()"
        script = f"return [...document.querySelectorAll(arguments[0])].filter({shown}).length"
        return self.run(script, selector)
