"""Chromium without a screen, where it is installed, and what it has logged."""

import contextlib
import json
import shutil

import pytest

BROWSERS, DRIVERS = ("chromium", "chromium-browser", "google-chrome"), ("chromedriver",)
_FLAGS = (
    "headless=new",
    "no-sandbox",
    "disable-dev-shm-usage",
    "force-prefers-reduced-motion",
)


@contextlib.contextmanager
def opened(*flags):
    """A driver of Chromium, with its logs; without Chromium the test is skipped."""
    webdriver = pytest.importorskip("selenium.webdriver", reason="needs selenium")
    binary, driver = _find(BROWSERS), _find(DRIVERS)
    if binary is None or driver is None:
        pytest.skip("needs Chromium and its driver: apt-get install chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = binary
    for flag in (*_FLAGS, *flags):
        options.add_argument(f"--{flag}")
    options.set_capability(
        "goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"}
    )
    browser = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    try:
        yield browser
    finally:
        browser.quit()


def requested(browser):
    """Addresses that have been asked for since the last call."""
    events = (
        json.loads(x["message"])["message"] for x in browser.get_log("performance")
    )
    return [
        event["params"]["request"]["url"]
        for event in events
        if event["method"] == "Network.requestWillBeSent"
    ]


def errors(browser):
    """Errors on the console since the last call."""
    return [x["message"] for x in browser.get_log("browser") if x["level"] == "SEVERE"]


def _find(names):
    return next(filter(None, map(shutil.which, names)), None)
