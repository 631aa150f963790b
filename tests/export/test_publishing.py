"""Exports take their place whole, whatever happens meanwhile."""

import os
import pathlib
import random
import subprocess
import sys
import time

import pytest

from keras_effnetv2.export import publishing

# Replaces a folder of many files again and again.
WRITER = """
import itertools, pathlib, sys, types
for name in ("keras_effnetv2", "keras_effnetv2.export"):
    # Not the packages themselves, which import Keras.
    package = sys.modules[name] = types.ModuleType(name)
    package.__path__ = [f"{sys.argv[3]}/{name.replace('.', '/')}"]
from keras_effnetv2.export import publishing
for number in itertools.count():
    with publishing.replaced_folder(pathlib.Path(sys.argv[1])) as folder:
        for name in ("model.json", *map(str, range(20))):
            (folder / name).write_text(f"{sys.argv[2]} {number}")
    print(number, flush=True)
"""


def fill(target, text):
    with publishing.replaced_folder(target) as folder:
        (folder / publishing.MANIFEST).write_text(text)


def start_writer(target, name):
    root = pathlib.Path(publishing.__file__).parents[2]
    command = [sys.executable, "-c", WRITER, str(target), name, str(root)]
    writer = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    writer.stdout.readline()
    return writer


def kill(writer):
    writer.kill()
    writer.communicate()


def contents(target):
    names = ["model.json", *map(str, range(20))]
    assert sorted(x.name for x in target.iterdir()) == sorted(names)
    return {(target / name).read_text() for name in names}


def test_a_new_folder_and_its_replacement(tmp_path):
    target = tmp_path / "export"
    fill(target, "old")
    fill(target, "new")
    assert (target / publishing.MANIFEST).read_text() == "new"
    assert list(tmp_path.iterdir()) == [target]


def test_what_a_link_points_to_is_replaced(tmp_path):
    fill(tmp_path / "v1", "old")
    link = tmp_path / "current"
    link.symlink_to("v1")
    fill(publishing.check_target(link), "new")
    assert link.is_symlink()
    assert (tmp_path / "v1" / publishing.MANIFEST).read_text() == "new"


def test_a_failure_leaves_the_old_one(tmp_path):
    target = tmp_path / "export"
    fill(target, "old")
    with pytest.raises(RuntimeError), publishing.replaced_folder(target) as folder:
        (folder / publishing.MANIFEST).write_text("half")
        raise RuntimeError
    assert (target / publishing.MANIFEST).read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.skipif(sys.platform != "linux", reason="needs renameat2")
def test_an_older_folder_is_never_away(tmp_path, monkeypatch):
    target = tmp_path / "export"
    fill(target, "old")
    rename, names = os.rename, []
    monkeypatch.setattr(
        os, "rename", lambda old, new: (names.append(new), rename(old, new))
    )
    fill(target, "new")
    assert (target / publishing.MANIFEST).read_text() == "new"
    assert names == [target]  # Which failed, as it was there: the rest is one step.


def test_without_an_exchange_the_folder_is_replaced_too(tmp_path, monkeypatch):
    monkeypatch.setattr(publishing.ctypes, "CDLL", lambda *args, **kwargs: object())
    test_a_new_folder_and_its_replacement(tmp_path)


def test_killed_at_any_moment_the_folder_is_whole(tmp_path):
    target = tmp_path / "export"
    moments = random.Random(0)
    for attempt in range(8):
        writer = start_writer(target, str(attempt))
        time.sleep(moments.uniform(0, 0.03))
        kill(writer)
        assert len(contents(target)) == 1


def test_two_writers_at_once(tmp_path):
    target = tmp_path / "export"
    writers = [start_writer(target, name) for name in "ab"]
    for writer in writers:  # Both go on while the other replaces its folder.
        for _ in range(20):
            assert writer.stdout.readline()
    for writer in writers:
        kill(writer)
    assert len(contents(target)) == 1


def test_folders_of_days_ago_are_removed(tmp_path):
    left, recent = tmp_path / ".export-left", tmp_path / ".export-recent"
    left.mkdir()
    recent.mkdir()
    days_ago = time.time() - 3 * 24 * 3600
    os.utime(left, (days_ago, days_ago))
    fill(tmp_path / "export", "new")
    assert not left.exists() and recent.exists()


def test_what_is_no_export_is_not_replaced(tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "one.jpg").touch()
    with pytest.raises(ValueError, match="is not an export"):
        publishing.check_target(tmp_path / "photos")
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match="is not an export"):
        publishing.check_target(tmp_path / "file")
    (tmp_path / "empty").mkdir()
    assert publishing.check_target(tmp_path / "empty") == tmp_path / "empty"


def test_a_file_that_came_in_the_meantime_stays(tmp_path):
    with (
        pytest.raises(NotADirectoryError),
        publishing.replaced_folder(tmp_path / "export"),
    ):
        (tmp_path / "export").write_bytes(b"mine")
    assert (tmp_path / "export").read_bytes() == b"mine"
    assert len([*tmp_path.iterdir()]) == 1


def test_where_nothing_can_be_written(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match="Nothing can be written to"):
        publishing.check_target(tmp_path / "file" / "export")
    with pytest.raises(ValueError, match="written to local folders"):
        publishing.check_target("gs://bucket/export")


def of_python():
    with open("/dev/full", "w") as file:
        file.write("x")


def of_tensorflow():
    import tensorflow as tf

    with tf.io.TFRecordWriter("/dev/full") as writer:
        writer.write(b"x")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs Linux's full device")
@pytest.mark.parametrize("write", [of_python, of_tensorflow])
def test_a_full_disk_is_named_and_nothing_is_left(write, tmp_path):
    full = pytest.raises(OSError, match=f"No space is left on the disk of {tmp_path}")
    with full, publishing.replaced_folder(tmp_path / "export"):
        write()
    assert list(tmp_path.iterdir()) == []
