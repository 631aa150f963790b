"""Files are whole at any moment, whoever writes them and however that ends."""

import errno
import logging
import os
import subprocess
import sys
import threading

import numpy as np
import pytest

from keras_effnetv2.files import (
    check_writable,
    full_disk_named,
    locked,
    remove_unfinished,
    replace_file,
    replacing,
)
from keras_effnetv2.training.runs.array_files import read_arrays
from tests import containers
from tests.conftest import ROOT


@pytest.mark.slow
def test_two_containers_write_one_file(tmp_path):
    containers.require()
    path = tmp_path / "step_1.safetensors"
    parts = [sys.executable, "-m", "tests.package.file_writer", path, 200]
    environment = {**os.environ, "KERAS_BACKEND": "numpy"}
    processes = [
        subprocess.Popen(containers.command(parts), cwd=ROOT, env=environment)
        for _ in range(2)
    ]
    assert [process.wait() for process in processes] == [0, 0]
    assert (read_arrays(path)[0]["x"] == 199).all()
    assert os.listdir(tmp_path) == [path.name]


FULL = """
import pathlib, resource, signal, sys
import keras, numpy as np
from keras_effnetv2.files import replace_file
from keras_effnetv2.training.runs.array_files import write_arrays
from keras_effnetv2.training.runs.checkpoints import write_weights

network = keras.Sequential([keras.Input((300,)), keras.layers.Dense(300)])
writers = {
    "a.json": lambda path: replace_file(path, bytes(10**6)),
    "a.safetensors": lambda path: write_arrays(path, {"x": np.zeros(10**6)}, {}),
    "a.weights.h5": lambda path: write_weights(network, path),
}
# As a disk that is full after so many bytes.
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
for name, write in writers.items():
    try:
        write(pathlib.Path(sys.argv[1], name))
    except OSError as error:
        print(name, type(error).__name__)
"""


def test_a_full_disk_leaves_the_old_file_and_nothing_else(tmp_path):
    names = ["a.json", "a.safetensors", "a.weights.h5"]
    for name in names:
        (tmp_path / name).write_bytes(b"old")
    parts = [sys.executable, "-c", FULL, str(tmp_path)]
    environment = {**os.environ, "KERAS_BACKEND": "numpy", "PYTHONPATH": str(ROOT)}
    found = subprocess.run(parts, capture_output=True, text=True, env=environment)
    assert [line.split()[0] for line in found.stdout.splitlines()] == names, found
    assert sorted(os.listdir(tmp_path)) == names
    assert all((tmp_path / name).read_bytes() == b"old" for name in names)


def test_a_folder_is_synced_after_a_file_has_its_name(tmp_path, monkeypatch):
    synced = []
    sync = os.fsync

    def note(descriptor):
        synced.append(
            (os.readlink(f"/proc/self/fd/{descriptor}"), os.listdir(tmp_path))
        )
        sync(descriptor)

    if not os.path.exists("/proc/self/fd"):
        pytest.skip("needs /proc, of Linux")
    monkeypatch.setattr(os, "fsync", note)
    replace_file(tmp_path / "a.json", b"{}")
    assert synced[-1] == (str(tmp_path), ["a.json"])


def test_names_may_be_as_long_as_the_system_allows(tmp_path):
    path = tmp_path / ("é" * 124 + ".json")
    replace_file(path, b"{}")
    with replacing(path) as temporary:
        assert temporary.suffix == ".json"
        temporary.write_bytes(b"[]")
    assert path.read_bytes() == b"[]"


def test_what_killed_processes_left_is_removed_and_nothing_else(tmp_path):
    with replacing(tmp_path / "a.json") as temporary:
        temporary.write_bytes(b"")
        left = temporary.with_name("." + "0" * 32 + ".a.json")
        left.write_bytes(np.zeros(3).tobytes())
    (tmp_path / ".nfs0001").touch()
    remove_unfinished(tmp_path)
    assert sorted(os.listdir(tmp_path)) == [".nfs0001", "a.json"]


def test_a_lock_makes_the_others_wait_and_says_so(tmp_path, caplog):
    path, order = tmp_path / "locks" / "a.lock", []
    held, waiting = threading.Event(), threading.Event()

    class Watch(logging.Handler):
        def emit(self, record):
            waiting.set()

    def hold():
        with locked(path, "measures a"):
            held.set()
            assert waiting.wait(30)
            order.append("first")

    logger = logging.getLogger("keras_effnetv2.files")
    logger.addHandler(watch := Watch())
    thread = threading.Thread(target=hold)
    thread.start()
    assert held.wait(30)
    with locked(path, "measures a"):
        order.append("second")
    thread.join()
    logger.removeHandler(watch)
    assert order == ["first", "second"]
    assert "Another process measures a" in caplog.text


def test_a_folder_that_cannot_be_written_is_found_out(tmp_path):
    check_writable(tmp_path / "new" / "folder")
    assert os.listdir(tmp_path / "new" / "folder") == []
    (tmp_path / "file").touch()
    with pytest.raises(OSError):
        check_writable(tmp_path / "file")
    with pytest.raises(OSError), locked(tmp_path / "file" / "a.lock", "waits"):
        pass


def test_who_has_the_lock_writes_over_what_was_left(tmp_path):
    path = tmp_path / "a.bin"
    (tmp_path / ".a.bin.part").write_bytes(b"left")
    with replacing(path, is_locked=True) as temporary:
        temporary.write_bytes(b"new")
    assert path.read_bytes() == b"new"
    assert os.listdir(tmp_path) == ["a.bin"]


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "somewhere"),
        RuntimeError("flushing failed: No space left on device"),
    ],
)
def test_a_full_disk_is_named_with_what_to_do(error):
    message = "The disk of runs/a is full.*Make room"
    with (
        pytest.raises(OSError, match=message) as found,
        full_disk_named("runs/a", "Make room."),
    ):
        raise error
    assert found.value.__cause__ is error


def test_other_errors_are_not_of_a_full_disk():
    error = OSError(errno.EACCES, "no rights")
    with pytest.raises(OSError) as found, full_disk_named("runs/a", ""):
        raise error
    assert found.value is error
