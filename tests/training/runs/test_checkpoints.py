"""Checkpoints are whole or not there, and complete."""

import errno
import os
import pathlib
import subprocess
import sys
import threading

import keras
import numpy as np
import pytest

from keras_effnetv2.training.runs.checkpoints import Checkpoints, Position

ARRAYS = {
    "scalar": np.array(3, "int64"),
    "seed": np.arange(2, dtype="uint32"),
    "empty": np.zeros((0, 3), "float32"),
    "weights": np.linspace(0, 1, 6, dtype="float32").reshape(2, 3).T,
}


def arrays(number):
    return {name: np.ascontiguousarray(x) for name, x in ARRAYS.items()} | {
        "scalar": np.array(number, "int64")
    }


def test_arrays_and_position_come_back_to_the_bit(tmp_path):
    checkpoints = Checkpoints(tmp_path / "new", keep=2)
    position = Position(7, 1, 2, evaluated_step=5, best_accuracy=1 / 3)
    checkpoints.save(arrays(7), position)
    found, place = checkpoints.restore()
    assert place == position
    assert found.keys() == ARRAYS.keys()
    for name, value in arrays(7).items():
        assert found[name].dtype == value.dtype
        np.testing.assert_array_equal(found[name], value, strict=True)


def test_the_newest_and_the_best_stay(tmp_path, monkeypatch):
    def no_links(*paths):
        raise OSError(errno.EPERM, "no hard links here")

    monkeypatch.setattr(os, "link", no_links)  # As on exFAT and mounted buckets.
    checkpoints = Checkpoints(tmp_path, keep=2)
    network = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    for step in range(1, 6):
        network.layers[0].bias.assign([step])
        checkpoints.save(arrays(step), Position(step), network if step == 2 else None)
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == [
        "best.weights.h5",
        "step_000000004.safetensors",
        "step_000000005.safetensors",
    ]
    assert checkpoints.restore()[1].step == 5
    network.load_weights(tmp_path / "best.weights.h5")
    assert float(network.layers[0].bias[0]) == 2


@pytest.mark.parametrize("damage", [lambda b: b[:-3], lambda b: b"", lambda b: b[8:]])
def test_a_damaged_file_gives_way_to_the_one_before(tmp_path, damage):
    checkpoints = Checkpoints(tmp_path, keep=3)
    for step in (1, 2):
        path = checkpoints.save(arrays(step), Position(step))
    path.write_bytes(damage(path.read_bytes()))
    assert checkpoints.restore()[1].step == 1


def test_a_worker_waits_for_the_checkpoint_that_the_chief_has_chosen(tmp_path):
    """A network file system may show it later, and newer ones too."""
    checkpoints = Checkpoints(tmp_path, keep=3)
    checkpoints.save(arrays(3), Position(3))
    with pytest.raises(OSError, match="step_000000002.*must share the work folder"):
        checkpoints.read(2, patience=0)
    writer = threading.Timer(0.5, checkpoints.save, (arrays(2), Position(2)))
    writer.start()
    assert checkpoints.read(2)[1].step == 2
    writer.join()
    assert checkpoints.restore()[1].step == 3


def test_only_damaged_files_are_an_error_and_none_are_a_fresh_start(tmp_path):
    checkpoints = Checkpoints(tmp_path, keep=3)
    assert checkpoints.restore() is None
    checkpoints.save(arrays(1), Position(1)).write_bytes(b"no")
    with pytest.raises(ValueError, match="None of the checkpoints"):
        checkpoints.restore()


@pytest.mark.long
def test_a_process_killed_while_saving_leaves_a_whole_checkpoint(tmp_path):
    script = """
import pathlib, sys
import numpy as np
from keras_effnetv2.training.runs.checkpoints import Checkpoints, Position
checkpoints = Checkpoints(sys.argv[1], keep=2)
for step in range(1, 10**6):
    checkpoints.save({"x": np.full(2**18, step, "float32")}, Position(step))
    print(step, flush=True)
"""
    for number in range(2):
        command = [sys.executable, "-c", script, str(tmp_path)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            for _ in range(3 + number):
                saved = int(process.stdout.readline())
            process.kill()
        found, position = Checkpoints(tmp_path, keep=2).restore()
        assert position.step >= saved
        assert (found["x"] == position.step).all()
        for path in pathlib.Path(tmp_path).glob("step_*"):
            path.unlink()
