"""Downloads, from a real server on this machine that misbehaves on request."""

import hashlib
import multiprocessing
import os
import socket
import threading

import pytest

from keras_effnetv2 import progress
from keras_effnetv2.weights.downloads import download, https
from tests.weights.downloads.bad_server import CONTENT, DIGEST, MD5

pytestmark = pytest.mark.usefixtures("quick_and_alone")


def url_of(server, behaviour, name="weights.h5"):
    return f"http://127.0.0.1:{server.server_port}/{behaviour}/{name}"


def cached(tmp_path):
    """What the cache holds, locks apart."""
    return [path.name for path in (tmp_path / "models").glob("*") if path.is_file()]


def test_file_arrives_once_in_keras_own_place(server, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(progress, "_QUICK", 0.0)
    url = url_of(server, "good")
    path = download.fetch(url, DIGEST, "efficientnetv2-b0.h5")
    assert path == tmp_path / "models" / "efficientnetv2-b0.h5"
    assert path.read_bytes() == CONTENT
    assert cached(tmp_path) == ["efficientnetv2-b0.h5"]
    assert "efficientnetv2-b0.h5: 1.0 MB in " in capsys.readouterr().err
    assert download.fetch(url, DIGEST, "efficientnetv2-b0.h5") == path
    assert len(server.paths) == 1


def test_the_first_digits_of_a_hash_do(server):
    sha256 = hashlib.sha256(CONTENT).hexdigest()
    path = download.fetch(url_of(server, "good"), f"sha256:{sha256[:8]}", "a.pth")
    assert path.read_bytes() == CONTENT
    message = "its SHA256 is .*, expected 00000000"
    with pytest.raises(ValueError, match=message):
        download.fetch(url_of(server, "good"), "sha256:00000000", "a.pth")


def test_keras_get_file_finds_it_in_the_same_place(server, tmp_path, monkeypatch):
    import keras

    path = download.fetch(url_of(server, "good"), DIGEST, "efficientnetv2-b0.h5")
    monkeypatch.setattr(keras.src.backend.config, "_KERAS_DIR", str(tmp_path))
    theirs = keras.utils.get_file(
        "efficientnetv2-b0.h5",
        "http://127.0.0.1:1/unused",
        cache_subdir="models",
        file_hash=MD5,
    )
    assert str(path) == str(theirs)


def test_home_is_the_default(monkeypatch, tmp_path, server):
    monkeypatch.delenv("KERAS_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    path = download.fetch(url_of(server, "good"))
    assert path.parent == tmp_path / ".keras" / "models"


def test_equal_names_from_different_urls_do_not_meet(server):
    first = download.fetch(url_of(server, "good", "a/model.weights.h5"))
    second = download.fetch(url_of(server, "good", "b/model.weights.h5"))
    assert first != second
    assert first.name.endswith("-model.weights.h5")


@pytest.mark.parametrize("name", ["..%2F..%2Fpwned", "x%00y", "", "é?a=/b/", "n" * 999])
def test_no_url_leaves_the_cache_folder(server, tmp_path, name):
    path = download.fetch(url_of(server, "good", name))
    assert path.parent == tmp_path / "models"
    assert path.is_file()


def test_cached_file_with_another_hash_is_downloaded_again(server, tmp_path, caplog):
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "a.h5").write_bytes(b"other")
    path = download.fetch(url_of(server, "good"), DIGEST, "a.h5")
    assert path.read_bytes() == CONTENT
    assert "downloading it again" in caplog.text


def test_cached_file_needs_no_network(tmp_path):
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "a.h5").write_bytes(CONTENT)
    assert download.fetch("https://unreachable.invalid/a.h5", DIGEST, "a.h5").is_file()


@pytest.mark.parametrize("behaviour", ["good", "unsized"])
def test_answer_without_end_is_cut(server, tmp_path, monkeypatch, behaviour):
    monkeypatch.setattr(https, "MAX_BYTES", 1000)
    monkeypatch.setattr(https, "CHUNK_BYTES", 100)
    with pytest.raises(OSError, match="more than 1,000 bytes arrived"):
        download.fetch(url_of(server, behaviour), DIGEST, "a.h5")
    assert len(server.paths) == 1 and cached(tmp_path) == []


def test_answer_without_length_is_taken(server):
    path = download.fetch(url_of(server, "unsized"), DIGEST, "a.h5")
    assert path.read_bytes() == CONTENT


@pytest.mark.parametrize("behaviour", ["busy", "flaky"])
def test_passing_failures_are_tried_again(server, caplog, behaviour):
    path = download.fetch(url_of(server, behaviour), DIGEST, "a.h5")
    assert path.read_bytes() == CONTENT
    assert len(server.paths) == 3
    assert "Retrying in" in caplog.text


@pytest.mark.parametrize(
    ("behaviour", "error", "message", "attempts"),
    [
        ("truncated", ConnectionError, "1000 bytes arrived, expected 1024008", 4),
        ("empty", ConnectionError, "0 bytes arrived", 4),
        ("down", ConnectionError, "the server answered 500", 4),
        ("missing", ConnectionError, "the server answered 404 Not Found", 1),
        ("tampered", ValueError, f"its MD5 is .*, expected {MD5}", 1),
        ("page", ValueError, "a page of text.*DOCTYPE html", 1),
        ("html", ValueError, "a page of text.*text/html.*Sorry", 1),
        ("pointer", ValueError, "a page of text.*git-lfs", 1),
        ("insecure", ValueError, "only over https.*'http://example.com/weights.h5'", 1),
        ("local", ConnectionError, "the server answered 302", 1),
    ],
)
def test_bad_answer_is_explained_and_leaves_nothing(
    server, tmp_path, behaviour, error, message, attempts
):
    url = url_of(server, behaviour)
    with pytest.raises(error, match=f"(?s){message}.*weights=FILE") as raised:
        download.fetch(url, DIGEST, "a.h5")
    assert url in str(raised.value)
    assert download.MIRROR_VARIABLE in str(raised.value)
    assert cached(tmp_path) == []
    assert len(server.paths) == attempts


def test_bad_answer_leaves_the_cached_file_alone(server, tmp_path):
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "a.h5").write_bytes(b"other")
    with pytest.raises(ConnectionError, match="404"):
        download.fetch(url_of(server, "missing"), DIGEST, "a.h5")
    assert (tmp_path / "models" / "a.h5").read_bytes() == b"other"


def test_redirect_is_followed(server):
    assert download.fetch(url_of(server, "moved"), DIGEST, "a.h5").is_file()
    assert server.paths == ["/moved/weights.h5", "/good/there.h5"]


def test_silent_server_times_out(server, tmp_path, monkeypatch):
    monkeypatch.setattr(https, "TIMEOUT_SECONDS", 0.1)
    monkeypatch.setattr(https, "NUM_ATTEMPTS", 2)
    with pytest.raises(ConnectionError, match="timed out"):
        download.fetch(url_of(server, "stalled"), DIGEST, "a.h5")
    assert cached(tmp_path) == []


def test_refused_connection_is_explained(tmp_path):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # Reserved, and nobody listens.
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/a.h5"
        with pytest.raises(ConnectionError, match="ConnectionRefusedError"):
            download.fetch(url, DIGEST, "a.h5")
    assert cached(tmp_path) == []


def test_interrupted_download_leaves_nothing(server, tmp_path, monkeypatch):
    def interrupt(progress, num):
        assert [name for name in cached(tmp_path) if name.endswith(".part")]
        raise KeyboardInterrupt

    monkeypatch.setattr(https.Progress, "advance", interrupt)
    with pytest.raises(KeyboardInterrupt):
        download.fetch(url_of(server, "good"), DIGEST, "a.h5")
    assert cached(tmp_path) == []


def test_disk_failure_is_not_taken_for_the_network(server, tmp_path, monkeypatch):
    def full(progress, num):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(https.Progress, "advance", full)
    with pytest.raises(OSError, match="No space left") as raised:
        download.fetch(url_of(server, "good"), DIGEST, "a.h5")
    assert not isinstance(raised.value, ConnectionError)
    assert len(server.paths) == 1
    assert cached(tmp_path) == []


def test_unwritable_cache_is_explained(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "file"))
    with pytest.raises(OSError, match="Cannot write to the cache.*KERAS_HOME"):
        download.fetch("https://example.com/a.h5")


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com/a.h5",
        "http://127.0.0.1.example.com/a.h5",
        "ftp://example.com/a.h5",
        "file:///etc/passwd",
        "https:///a.h5",
        "weights.h5",
    ],
)
def test_only_https_is_allowed(url, tmp_path):
    with pytest.raises(ValueError, match="only over https"):
        download.fetch(url)
    assert cached(tmp_path) == []


def test_mirror_serves_released_files_only(server, monkeypatch):
    monkeypatch.setenv(download.MIRROR_VARIABLE, url_of(server, "good", "copies/"))
    download.fetch("https://unreachable.invalid/b0.h5", DIGEST, "b0.h5")
    assert server.paths == ["/good/copies/b0.h5"]
    download.fetch(url_of(server, "good", "mine.h5"))
    assert server.paths[1:] == ["/good/mine.h5"]


def test_mirror_is_verified(server, monkeypatch, tmp_path):
    monkeypatch.setenv(download.MIRROR_VARIABLE, url_of(server, "tampered", ""))
    with pytest.raises(ValueError, match="its MD5 is .*, expected"):
        download.fetch("https://unreachable.invalid/b0.h5", DIGEST, "b0.h5")
    assert cached(tmp_path) == []


def fetch_in_process(url, barrier):
    barrier.wait()
    download.fetch(url, DIGEST, "a.h5")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_two_processes_download_once(server):
    context = multiprocessing.get_context("fork")  # Nothing to import there again.
    barrier = context.Barrier(2)
    arguments = (url_of(server, "slow"), barrier)
    processes = [context.Process(target=fetch_in_process, args=arguments) for _ in "ab"]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0, 0]
    assert server.paths == ["/slow/weights.h5"]


def test_two_threads_download_once(server):
    url = url_of(server, "slow")
    threads = [
        threading.Thread(target=download.fetch, args=(url, DIGEST, "a.h5"))
        for _ in "ab"
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(server.paths) == 1


def test_what_a_killed_process_left_is_replaced(server, tmp_path):
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / ".a.h5.part").write_bytes(os.urandom(5000))
    path = download.fetch(url_of(server, "good"), DIGEST, "a.h5")
    assert path.read_bytes() == CONTENT
    assert cached(tmp_path) == ["a.h5"]
