"""Sites on servers of this machine, and what a browser on them computes."""

import contextlib
import http.server
import time

import numpy as np

from keras_effnetv2.errors import DownloadError
from keras_effnetv2.export.pages import runtime
from tests.servers import local_servers

_PATIENCE = 60  # Seconds, on a machine that does other things too.

_EVALUATE = """
const [names, record, done] = arguments;
(async () => {
  const { open } = await import("/page/decoding.js");
  const { evaluationPixels } = await import("/page/evaluation.js");
  const rows = [];
  for (const name of names) {
    const picture = await open(await (await fetch(name)).blob());
    rows.push(Array.from(evaluationPixels(picture, record)));
    picture.close();
  }
  return rows;
})().then(done, (error) => done(String(error)));
"""
_CLASSIFY = """
const [names, kind, done] = arguments;
(async () => {
  const { Engine } = await import("/page/engine.js");
  history.replaceState(null, "", kind ? `?engine=${kind}` : "?");
  const engine = new Engine();
  await engine.open(await (await fetch("/model.json")).json(), () => {});
  const rows = [];
  for (const name of names) {
    const blob = await (await fetch(name)).blob();
    rows.push(Array.from((await engine.classify(blob)).scores));
  }
  engine.close();
  return { rows, title: engine.title };
})().then(done, (error) => done(String(error)));
"""


def fetched_runtime():
    """The engine's files; where npm's registry is not reachable the test is skipped."""
    import pytest

    try:
        return runtime.open_runtime(None)
    except DownloadError as error:
        pytest.skip(f"needs npm's registry: {error}")


@contextlib.contextmanager
def served(folder, isolated=False):
    """The address of `python -m http.server`, or of a server that allows threads."""
    settings = {"folder": folder, "isolated": isolated}
    with local_servers.running(_Handler, **settings) as server:
        yield f"{local_servers.address(server)}/"


class _Handler(http.server.SimpleHTTPRequestHandler):
    def translate_path(self, path):
        self.directory = str(self.server.folder)
        return super().translate_path(path)

    def end_headers(self):
        if self.server.isolated:
            self.send_header("Cross-Origin-Opener-Policy", "same-origin")
            self.send_header("Cross-Origin-Embedder-Policy", "require-corp")
        super().end_headers()

    def log_message(self, *args):
        pass


def evaluated(browser, names, record):
    """What the page makes of images: float32 `(num, size, size, 3)`."""
    rows = browser.execute_async_script(_EVALUATE, names, record)
    assert isinstance(rows, list), rows
    size = record["image_size"]
    return np.array(rows, "float32").reshape(len(names), size, size, 3)


def classified(browser, names, kind=None):
    """Scores `(num, classes)` of images, and what the engine is called."""
    found = browser.execute_async_script(_CLASSIFY, names, kind)
    assert isinstance(found, dict), found
    return np.array(found["rows"], "float32"), found["title"]


def text(browser, css):
    """Of the first element, as it is shown; nothing while the page is reloaded."""
    script = "return document.querySelector(arguments[0])?.innerText ?? ''"
    return browser.execute_script(script, css)


def wait_for(what):
    """Until it is true."""
    end = time.monotonic() + _PATIENCE
    while not what():
        assert time.monotonic() < end, "the page has not got there"
        time.sleep(0.05)


def open_page(browser, address):
    """Opens the page, and waits for its network."""
    browser.set_script_timeout(_PATIENCE)
    browser.get(address)
    wait_for(lambda: "ready" in text(browser, "#engine"))


def give(browser, *paths):
    """Chooses files, and waits until each has its card."""
    cards = len(browser.find_elements("css selector", "#cards li"))
    give_without_waiting(browser, *paths)

    def is_done():
        found = browser.find_elements("css selector", "#cards li")
        waiting = browser.find_elements(
            "css selector", "#cards button:not(.failed) .waiting"
        )
        return len(found) - cards == len(paths) and not waiting

    wait_for(is_done)


def give_without_waiting(browser, *paths):
    """Chooses files."""
    field = browser.find_element("css selector", "#files")
    field.send_keys("\n".join(map(str, paths)))
