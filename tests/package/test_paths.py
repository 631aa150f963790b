"""Paths of buckets and of other file systems of TensorFlow, by its own clients."""

import pathlib

import pytest

from keras_effnetv2.files import (
    check_writable,
    on_this_machine,
    remove_unfinished,
    replace_file,
    replacing,
)
from keras_effnetv2.paths import RemotePath, as_path, is_remote
from tests.buckets.bucket_server import BucketServer
from tests.buckets.storage import Settings


@pytest.fixture(scope="module")
def server():
    settings = {"latency": 0.0}
    with (
        BucketServer({"paths": None}, **settings) as server,
        pytest.MonkeyPatch.context() as monkeypatch,
    ):
        server.use(monkeypatch)
        yield server


# A file system in memory has folders, and renames; a bucket has neither.
@pytest.fixture(params=["gs://paths", "ram://paths"])
def folder(request, server):
    folder = as_path(request.param) / request.node.name.partition("[")[0]
    folder.mkdir(parents=True)
    return folder


def names(folder):
    return sorted(x.name for x in folder.iterdir())


def test_what_is_remote():
    assert is_remote("gs://bucket/a")
    assert not is_remote("gs:/bucket/a")
    assert as_path("~/a") == pathlib.Path("~/a").expanduser()
    path = as_path("gs://bucket/a/b.c.json/")
    assert (str(path), path.name, path.stem, path.suffix) == (
        *("gs://bucket/a/b.c.json", "b.c.json", "b.c", ".json"),
    )
    assert path.parent / "d" == path.with_name("d") == as_path("gs://bucket/a/d")
    with pytest.raises(TypeError):
        pathlib.Path(path)  # It would name a folder gs: of this machine.


def test_files_are_written_read_listed_and_removed(folder):
    path = folder / "a.json"
    assert not path.exists()
    replace_file(path, b"old")
    replace_file(path, b"new")
    assert path.is_file()
    assert not path.is_dir()
    assert folder.is_dir()
    assert path.read_text() == "new"
    assert path.stat().st_size == 3
    with path.open() as file:
        assert file.read(2) == b"ne"
    replace_file(folder / "b.txt", b"")
    assert names(folder) == ["a.json", "b.txt"]
    assert folder.glob("*.json") == [path]
    assert (folder / "none").glob("*") == []
    path.unlink()
    path.unlink(missing_ok=True)
    with pytest.raises(OSError, match=r"a\.json cannot be removed: there is no "):
        path.unlink()
    with pytest.raises(OSError, match=r"a\.json cannot be read: there is no "):
        path.read_bytes()


def test_a_file_that_is_made_here_takes_its_place_when_it_is_whole(folder):
    path = folder / "a.b.png"
    replace_file(path, b"old")
    with replacing(path) as temporary:
        assert temporary.name == path.name
        temporary.write_bytes(b"half")
        assert path.read_bytes() == b"old"
        temporary.write_bytes(b"whole")
    assert path.read_bytes() == b"whole"
    with pytest.raises(ZeroDivisionError), replacing(path) as temporary:
        temporary.write_bytes(bytes(1 // 0))
    assert path.read_bytes() == b"whole"
    assert names(folder) == ["a.b.png"]
    with on_this_machine(path) as copy:
        assert copy.name == path.name
        assert copy.read_bytes() == b"whole"
    assert not copy.exists()


def test_a_copy_that_fails_leaves_the_old_file_and_nothing_else(tmp_path):
    path = as_path("ram://copies/a.png")
    path.parent.mkdir(parents=True)
    replace_file(path, b"old")
    with pytest.raises(OSError, match="cannot be"), replacing(path) as temporary:
        temporary.write_bytes(b"new")
        temporary.unlink()
    assert path.read_bytes() == b"old"
    assert names(path.parent) == ["a.png"]


def test_a_folder_that_can_be_written_stays_as_it_was(folder):
    replace_file(folder / "a", b"")
    replace_file(folder / f".{32 * '0'}.a", b"")  # Of a killed process.
    check_writable(folder)
    remove_unfinished(folder)
    if folder.is_in_bucket:  # There uploads that were not finished leave nothing.
        assert names(folder) == [f".{32 * '0'}.a", "a"]
    else:
        assert names(folder) == ["a"]


def test_what_cannot_be_reached_is_said_in_a_line(server):
    for place, reason in {
        "gs://nowhere/a": "there is no gs://nowhere, or no such file in it",
        "abc://place/a": "TensorFlow knows no abc:// here, only .*gs",
    }.items():
        with pytest.raises(OSError, match=reason) as caught:
            check_writable(place)
        assert "\n" not in str(caught.value)
    server.change(read_only=("paths",))
    with pytest.raises(OSError, match="cannot be written: no permission for paths"):
        check_writable("gs://paths/a")
    server.change(refused=("paths",))
    with pytest.raises(OSError, match="cannot be looked for: no permission for paths"):
        RemotePath("gs://paths/a").exists()
    server.change(**vars(Settings(latency=0.0)))
