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

from keras_effnetv2.training.runs.array_files import read_metadata, write_arrays
from keras_effnetv2.training.runs.checkpoints import (
    Checkpoints,
    Position,
    read_state,
    write_state,
)

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


def test_the_position_is_that_of_the_newest_readable_checkpoint(tmp_path):
    checkpoints = Checkpoints(tmp_path, keep=4)
    assert checkpoints.position() == Position()
    for step in (1, 2, 3):
        path = checkpoints.save(arrays(step), Position(step))
    path.write_bytes(b"no")
    # Whole, but not of a training run.
    write_arrays(path.with_name("step_000000004.safetensors"), arrays(4), {})
    assert checkpoints.position() == Position(2)
    assert checkpoints.restore()[1] == Position(2)
    for file in tmp_path.iterdir():
        file.write_bytes(b"no")
    assert checkpoints.position() == Position()


@pytest.mark.parametrize("position", [None, "{", "[1]", '{"stop": 1}'])
def test_a_file_without_a_position_is_named(tmp_path, position, caplog):
    path = tmp_path / "step_000000001.safetensors"
    write_arrays(path, arrays(1), {"position": position} if position else {})
    with pytest.raises(ValueError, match="None of the checkpoints"):
        Checkpoints(tmp_path, keep=3).restore()
    assert "does not say where the training was" in caplog.text


def test_variables_of_another_run_are_refused_and_change_nothing():
    def model(units, optimizer="sgd"):
        layers = [keras.Input((2,)), keras.layers.Dense(units, name="dense")]
        model = keras.Sequential(layers)
        model.compile(optimizer, "mse")
        model.optimizer.build(model.trainable_variables)
        return model

    state, other = read_state(model(3)), model(3)
    write_state(other, state)
    for name, value in read_state(other).items():
        np.testing.assert_array_equal(value, state[name], strict=True)
    for different, number in ((model(4), 2), (model(3, "adam"), 4)):
        before = different.get_weights()
        with pytest.raises(ValueError, match=f"another training run: {number} var"):
            write_state(different, state)
        for one, same in zip(before, different.get_weights(), strict=True):
            np.testing.assert_array_equal(one, same)


@pytest.mark.skipif(sys.platform == "win32", reason="needs limits of processes")
def test_a_file_that_cannot_be_written_is_named_and_not_left(tmp_path):
    import resource

    path = tmp_path / "step_000000001.safetensors"
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
    try:
        with pytest.raises(OSError, match="step_000000001.safetensors cannot be wr"):
            write_arrays(path, {"x": np.zeros(10_000)}, {})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize("contents", [b"", b"no", bytes(8), b"\xff" * 40])
def test_damaged_metadata_names_the_file(tmp_path, contents):
    path = tmp_path / "a.safetensors"
    path.write_bytes(contents)
    with pytest.raises(ValueError, match="a.safetensors is damaged"):
        read_metadata(path)


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
