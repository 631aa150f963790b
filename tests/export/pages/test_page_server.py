"""`serve`: the page with heat maps, for this machine alone."""

import http.client
import json
import threading
import time

import pytest

from keras_effnetv2 import Classifier
from keras_effnetv2 import __main__ as command_line
from keras_effnetv2.errors import InputError
from keras_effnetv2.page_server import MAX_BYTES, PageServer, listen
from tests import browsers, image_files
from tests.export import micro
from tests.export.pages import sites

pytest.importorskip("matplotlib")
PICTURE = image_files.encode(image_files.RGB, "PNG")


@pytest.fixture(scope="module")
def server(site, model):
    server = PageServer(site, Classifier(model), listen("127.0.0.1", 0))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def ask(server, method, path, body=None, **headers):
    """Status, headers and body of an answer."""
    host, port = "127.0.0.1", server.server_port
    headers.setdefault("Host", f"{host}:{port}")
    connection = http.client.HTTPConnection(host, port, timeout=60)
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request(method, path, body, names)
    answer = connection.getresponse()
    contents = answer.read()
    connection.close()
    return answer.status, dict(answer.headers), contents


def test_files_come_with_what_threads_need(server):
    status, headers, page = ask(server, "GET", "/")
    assert status == 200 and b"<h1" in page
    assert headers["Cross-Origin-Opener-Policy"] == "same-origin"
    assert headers["Cross-Origin-Embedder-Policy"] == "require-corp"
    _, _, manifest = ask(server, "GET", "/model.json")
    assert json.loads(manifest)["explains"]
    for name, kind in {
        "page/main.js": "text/javascript",
        "icon.svg": "image/svg+xml",
    }.items():
        assert ask(server, "GET", f"/{name}")[1]["Content-Type"] == kind


def test_no_other_files(server):
    for path in ("/../model.json", "/%2e%2e/x", "/page", "//etc/passwd", "/nothing"):
        assert ask(server, "GET", path)[0] == 404


def test_heat_maps_are_pictures(server):
    origin = f"http://127.0.0.1:{server.server_port}"
    status, headers, picture = ask(server, "POST", "/explain", PICTURE, Origin=origin)
    assert (status, headers["Content-Type"]) == (200, "image/png")
    assert picture.startswith(b"\x89PNG")


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"Host": "[evil"},
        {"Host": "evil.example:8000", "Origin": "http://evil.example:8000"},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Sec_Fetch_Site": "cross-site"},
    ],
)
def test_other_sites_get_nothing(server, headers):
    assert ask(server, "POST", "/explain", PICTURE, **headers)[0] == 403
    if "evil" in headers.get("Host", ""):
        assert ask(server, "GET", "/", **headers)[0] == 403


def test_limits(server, monkeypatch):
    status, _, text = ask(server, "POST", "/explain", Content_Length=str(MAX_BYTES + 1))
    assert (status, text) == (413, b"Pictures may have up to 32 MB.")
    assert ask(server, "POST", "/explain", Content_Length="many")[0] == 411
    assert ask(server, "POST", "/other", PICTURE)[0] == 404
    status, _, text = ask(server, "POST", "/explain", b"%PDF-1.7")
    assert status == 400 and b"cannot be read as an image" in text
    status, _, text = ask(server, "POST", "/explain", b"\xff\xd8\xff and no more")
    assert status == 400 and b"cannot be read as an image" in text
    monkeypatch.setattr("keras_effnetv2.page_server.MAX_PIXELS", 100)
    status, _, text = ask(server, "POST", "/explain", PICTURE)
    assert status == 400 and b"has 2,240 pixels; up to 100 are explained" in text


def test_not_more_than_a_few_wait(server):
    for _ in range(4):
        server.waiting.acquire()
    try:
        assert ask(server, "POST", "/explain", PICTURE)[0] == 503
    finally:
        for _ in range(4):
            server.waiting.release()


def test_a_server_of_others_knows_its_addresses(site, model):
    server = PageServer(site, Classifier(model), listen("0.0.0.0", 0))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        assert not server.is_local
        assert ask(server, "GET", "/", Host="192.0.2.7:8000")[0] == 200
        assert ask(server, "GET", "/", Host="evil.example")[0] == 403
    finally:
        server.shutdown()
        server.server_close()


def test_taken_and_foreign_addresses_are_refused(server):
    with pytest.raises(InputError, match=r"port \d+: Address already in use"):
        listen("127.0.0.1", server.server_port)
    with pytest.raises(InputError, match="192.0.2.1, port 0: "):
        listen("192.0.2.1", 0)
    with pytest.raises(InputError, match="port 99999"):
        listen("127.0.0.1", 99999)


@pytest.mark.long
def test_the_page_shows_heat_maps(server, tmp_path):
    path = tmp_path / "picture.png"
    path.write_bytes(PICTURE)
    with browsers.opened() as browser:
        sites.open_page(browser, f"http://127.0.0.1:{server.server_port}/")
        assert browser.execute_script("return crossOriginIsolated")
        sites.give(browser, path)
        browser.find_element("css selector", "#explain").click()
        heat = browser.find_element("css selector", "#heat")
        sites.wait_for(lambda: int(heat.get_property("naturalWidth")) > 100)
        assert heat.get_attribute("alt").startswith("Heat maps: where in the picture")
        assert browsers.errors(browser) == []


def test_the_command(tmp_path, runtime_folder, monkeypatch, capsys):
    """Serves until it is interrupted, as by Ctrl-C, and leaves nothing."""
    micro.classifier(3).save(tmp_path / "m.keras")
    monkeypatch.setenv("TMPDIR", str(tmp_path / "scratch"))
    (tmp_path / "scratch").mkdir()
    asked = []

    def visit(server):
        asked.append(server.server_port)
        raise KeyboardInterrupt

    monkeypatch.setattr(PageServer, "serve_forever", visit)
    flags = f"--weights {tmp_path}/m.keras --no-fold --runtime {runtime_folder}"
    words = f" serve {flags} --port 0".split(" ")
    start = time.monotonic()
    assert command_line.main(command_line.parse(words)) == 0
    assert time.monotonic() - start < 60
    printed = capsys.readouterr().out
    assert f"http://127.0.0.1:{asked[0]}/ in a browser; Ctrl-C stops it." in printed
