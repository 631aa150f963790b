"""A report in a real browser: a quiet console, nothing fetched, and clicks work."""

import pytest

from keras_effnetv2.reports import write_report
from tests import browsers
from tests.reports import small_runs


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    workdir = small_runs.write(tmp_path_factory.mktemp("runs"))
    return write_report(workdir, tta=True)


@pytest.fixture
def browser(report):
    with browsers.opened() as browser:
        yield browser


@pytest.mark.long
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
    assert "Predicted as" in find_all("#viewer-title")[0].text

    wide = browser.execute_script(
        "return document.documentElement.scrollWidth > window.innerWidth"
    )
    assert not wide
    assert browser.get_log("browser") == []
    assert {x.partition(":")[0] for x in browsers.requested(browser)} <= {
        "file",
        "data",
    }
