"""A report in a real browser: a quiet console, nothing fetched, and clicks work."""

import json
import shutil

import pytest

from keras_effnetv2.reports import write_report
from tests.reports import small_runs

webdriver = pytest.importorskip("selenium.webdriver", reason="needs selenium")
BROWSERS, DRIVERS = ("chromium", "chromium-browser", "google-chrome"), ("chromedriver",)


def find(names):
    return next(filter(None, map(shutil.which, names)), None)


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    workdir = small_runs.write(tmp_path_factory.mktemp("runs"))
    return write_report(workdir, tta=True)


@pytest.fixture
def browser(report):
    binary, driver = find(BROWSERS), find(DRIVERS)
    if binary is None or driver is None:
        pytest.skip("needs Chromium and its driver: apt-get install chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = binary
    for flag in (
        "headless=new",
        "no-sandbox",
        "disable-dev-shm-usage",
        "force-prefers-reduced-motion",
    ):
        options.add_argument(f"--{flag}")
    options.set_capability(
        "goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"}
    )
    service = webdriver.ChromeService(driver)
    browser = webdriver.Chrome(options=options, service=service)
    yield browser
    browser.quit()


def requested(browser):
    """Addresses that the page has asked for."""
    events = (
        json.loads(x["message"])["message"] for x in browser.get_log("performance")
    )
    return [
        event["params"]["request"]["url"]
        for event in events
        if event["method"] == "Network.requestWillBeSent"
    ]


def test_a_report_in_a_browser(browser, report):
    def find_all(css):
        return browser.find_elements("css selector", css)

    def values():
        cells = find_all("#class-table tbody td:nth-child(4)")
        return [float(x.get_attribute("data-value")) for x in cells]

    browser.get(report.as_uri())
    cell = find_all(".matrix .wrong")[0]
    count = int(cell.text)
    browser.execute_script("arguments[0].scrollIntoView()", cell)
    cell.click()
    shown = find_all("#viewer .picture img")
    assert 0 < len(shown) <= count
    assert all(int(x.get_property("naturalWidth")) > 64 for x in shown)
    shown[0].click()
    assert len(find_all("#viewer figure img")) >= 1
    find_all("#viewer form button")[0].click()
    assert not find_all("#viewer[open]")

    header = find_all("#class-table th button")
    header[3].click()
    assert values() == sorted(values(), reverse=True)
    header[3].click()
    assert values() == sorted(values()) and len(values()) == 4

    mistake = find_all("#mistakes .picture")[0]
    browser.execute_script("arguments[0].scrollIntoView()", mistake)
    mistake.click()
    assert len(find_all("#viewer figure img")) == 3  # And two heat maps.
    assert "Taken for" in find_all("#viewer-title")[0].text

    wide = browser.execute_script(
        "return document.documentElement.scrollWidth > window.innerWidth"
    )
    assert not wide
    assert browser.get_log("browser") == []
    assert {x.partition(":")[0] for x in requested(browser)} <= {"file", "data"}
