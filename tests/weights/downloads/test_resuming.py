"""Downloads that stop on their way go on from there, or from the start."""

import json
import multiprocessing
import os
import time

import pytest

from keras_effnetv2.weights.downloads import download, https
from tests.weights.downloads.bad_server import CONTENT, DIGEST, OTHER_CONTENT, STOP

pytestmark = pytest.mark.usefixtures("quick_and_alone")

NAME = "a.h5"


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch):
    monkeypatch.setattr(https, "CHUNK_BYTES", 50_000)


def url_of(server, behaviour):
    return f"http://127.0.0.1:{server.server_port}/{behaviour}/{NAME}"


def files(tmp_path):
    return sorted(x.name for x in (tmp_path / "models").iterdir() if x.is_file())


def stop_once(server, monkeypatch, behaviour="resumable"):
    """A download that ends after the first `STOP` bytes."""
    with monkeypatch.context() as patch:
        patch.setattr(https, "NUM_ATTEMPTS", 0)
        patch.setattr(https, "CHUNK_BYTES", STOP + 1)  # No progress.
        with pytest.raises(ConnectionError, match=f"{STOP} bytes arrived"):
            download.fetch(url_of(server, behaviour), DIGEST, NAME)


def test_attempts_go_on_as_long_as_they_bring_something(server, tmp_path, monkeypatch):
    monkeypatch.setattr(https, "NUM_ATTEMPTS", 2)
    path = download.fetch(url_of(server, "resumable"), DIGEST, NAME)
    assert path.read_bytes() == CONTENT
    starts = range(STOP, len(CONTENT), STOP)
    assert server.ranges == [None, *(f"bytes={start}-" for start in starts)]
    assert files(tmp_path) == [NAME]


def test_a_later_download_takes_up_what_is_left(server, tmp_path, monkeypatch):
    stop_once(server, monkeypatch)
    assert files(tmp_path) == [f".{NAME}.unfinished.json", f".{NAME}.unfinished.part"]
    server.ranges.clear()
    path = download.fetch(url_of(server, "resumable"), DIGEST, NAME)
    assert path.read_bytes() == CONTENT
    assert server.ranges[0] == f"bytes={STOP}-"
    assert files(tmp_path) == [NAME]


def test_a_file_without_published_hash_is_taken_up_too(server, tmp_path, monkeypatch):
    stop_once(server, monkeypatch)
    path = download.fetch(url_of(server, "resumable"), None, NAME)
    assert path.read_bytes() == CONTENT
    origin = json.loads((path.parent / f"{NAME}.origin.json").read_bytes())
    assert origin["size"] == len(CONTENT)


def fetch_slowly(url):
    https.CHUNK_BYTES = 10_000
    download.fetch(url, DIGEST, NAME)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_what_a_killed_process_left_is_taken_up(server, tmp_path):
    context = multiprocessing.get_context("fork")  # Nothing to import there again.
    process = context.Process(target=fetch_slowly, args=(url_of(server, "endless"),))
    process.start()
    part = tmp_path / "models" / f".{NAME}.unfinished.part"
    deadline = time.monotonic() + 20
    while not (part.exists() and part.stat().st_size >= 10_000):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.kill()
    process.join()
    left = part.stat().st_size
    server.ranges.clear()
    server.released.set()
    path = download.fetch(url_of(server, "endless"), DIGEST, NAME)
    assert path.read_bytes() == CONTENT
    assert server.ranges[0] == f"bytes={left}-"


def test_ctrl_c_keeps_what_came(server, tmp_path, monkeypatch):
    def interrupt(progress, num):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(https.Progress, "advance", interrupt)
        with pytest.raises(KeyboardInterrupt):
            download.fetch(url_of(server, "resumable"), DIGEST, NAME)
    assert len(files(tmp_path)) == 2
    download.fetch(url_of(server, "resumable"), DIGEST, NAME)
    assert server.ranges[1] == "bytes=50000-"


def test_a_file_that_has_changed_comes_anew(server, tmp_path, monkeypatch):
    stop_once(server, monkeypatch)
    server.is_changed = True
    path = download.fetch(url_of(server, "resumable"), None, NAME)
    assert path.read_bytes() == OTHER_CONTENT


@pytest.mark.parametrize("behaviour", ["elsewhere", "unasked", "no_rest"])
def test_another_rest_than_was_asked_for_is_not_taken(
    server, tmp_path, monkeypatch, behaviour
):
    stop_once(server, monkeypatch, behaviour)
    path = download.fetch(url_of(server, behaviour), DIGEST, NAME)
    assert path.read_bytes() == CONTENT
    assert None in server.ranges[1:]  # All was asked for.
    assert files(tmp_path) == [NAME]


def test_a_damaged_part_is_found_by_the_hash(server, tmp_path, monkeypatch):
    stop_once(server, monkeypatch)
    part = tmp_path / "models" / f".{NAME}.unfinished.part"
    part.write_bytes(bytes(part.stat().st_size))
    server.ranges.clear()
    path = download.fetch(url_of(server, "resumable"), DIGEST, NAME)
    assert path.read_bytes() == CONTENT
    assert server.ranges.count(None) == 1


@pytest.mark.parametrize("note", [b"", b"[]", b'{"url": 3}', b'{"version": "x"}'])
def test_a_part_of_which_nothing_is_known_is_not_taken_up(
    server, tmp_path, monkeypatch, note
):
    stop_once(server, monkeypatch)
    (tmp_path / "models" / f".{NAME}.unfinished.json").write_bytes(note)
    server.ranges.clear()
    download.fetch(url_of(server, "resumable"), DIGEST, NAME)
    assert server.ranges[0] is None


def test_a_part_from_elsewhere_is_not_taken_up(server, monkeypatch):
    stop_once(server, monkeypatch)
    server.ranges.clear()
    download.fetch(url_of(server, "good"), DIGEST, NAME)
    assert server.paths[-1] == f"/good/{NAME}"
    assert server.ranges == []


def test_a_server_without_parts_leaves_none(server, tmp_path, monkeypatch):
    monkeypatch.setattr(https, "NUM_ATTEMPTS", 1)
    with pytest.raises(ConnectionError):
        download.fetch(url_of(server, "truncated"), DIGEST, NAME)
    assert files(tmp_path) == []


def test_a_page_in_place_of_the_rest_leaves_the_part(server, tmp_path, monkeypatch):
    stop_once(server, monkeypatch, "portal")
    with pytest.raises(ValueError, match="a page of text"):
        download.fetch(url_of(server, "portal"), DIGEST, NAME)
    assert (tmp_path / "models" / f".{NAME}.unfinished.part").read_bytes() == CONTENT[
        :STOP
    ]
