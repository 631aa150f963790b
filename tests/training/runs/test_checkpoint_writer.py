"""Checkpoints are written beside the training, whole, and their errors reach it."""

import time

import keras
import numpy as np
import pytest

from keras_effnetv2.errors import DivergedError, FileError
from keras_effnetv2.training.runs.checkpoint_writer import CheckpointWriter
from keras_effnetv2.training.runs.checkpoints import Checkpoints, Position
from tests.buckets.bucket_server import BucketServer
from tests.buckets.storage import Settings

_BUCKET = "writer-runs"
_SECONDS = 0.3  # Before each answer of the bucket.


@pytest.fixture(scope="module")
def server():
    with (
        BucketServer({_BUCKET: None}, latency=0.0) as server,
        pytest.MonkeyPatch.context() as monkeypatch,
    ):
        server.use(monkeypatch)
        Checkpoints(f"gs://{_BUCKET}/first", 1).save(arrays(0), Position())
        yield server


@pytest.fixture
def slow(server):
    """A bucket that is still at work when `save` has returned."""
    server.change(latency=_SECONDS)
    yield server
    server.change(**vars(Settings(latency=0.0)))


def arrays(number):
    return {"x": np.full(5, number, "float32")}


def test_training_goes_on_meanwhile_with_one_checkpoint_on_its_way(slow):
    checkpoints = Checkpoints(f"gs://{_BUCKET}/meanwhile", keep=2)
    writer = CheckpointWriter(checkpoints)
    writer.save(arrays(1), Position(1))
    writer.check()
    assert not [x for x in slow.names(_BUCKET) if x.startswith("meanwhile/")]
    writer.save(arrays(2), Position(2))
    assert "meanwhile/step_000000001.safetensors" in slow.names(_BUCKET)
    writer.wait()
    assert checkpoints.position().step == 2


def test_the_best_weights_are_those_of_the_moment(slow, tmp_path):
    checkpoints = Checkpoints(f"gs://{_BUCKET}/best", keep=2)
    network = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    network.layers[0].bias.assign([1])
    with CheckpointWriter(checkpoints) as writer:
        writer.save(arrays(1), Position(1), network)
        network.layers[0].bias.assign([2])
    copy = tmp_path / "best.weights.h5"
    copy.write_bytes(slow.read(_BUCKET, "best/best.weights.h5"))
    network.load_weights(copy)
    assert float(network.layers[0].bias[0]) == 1


def test_an_error_of_the_training_comes_before_one_of_its_checkpoint(server, caplog):
    with (
        pytest.raises(DivergedError),
        CheckpointWriter(Checkpoints("gs://writer-none/run", keep=2)) as writer,
    ):
        writer.save(arrays(1), Position(1))
        raise DivergedError("the loss is nan")
    assert "The previous checkpoint could not be written: " in caplog.text
    assert "no gs://writer-none" in caplog.text


def test_errors_are_raised_by_what_comes_next(server):
    writer = CheckpointWriter(Checkpoints("gs://writer-none/run", keep=2))
    for call in (
        writer.wait,
        lambda: writer.save(arrays(2), Position(2)),
        lambda: writer.__exit__(None),
    ):
        writer.save(arrays(1), Position(1))
        with pytest.raises(FileError, match="no gs://writer-none"):
            call()
    writer.save(arrays(1), Position(1))
    with pytest.raises(FileError, match="no gs://writer-none"):
        while True:
            writer.check()
            time.sleep(0.01)
    writer.wait()  # It has been told.


def test_weights_that_are_not_finite_are_not_kept(tmp_path):
    writer = CheckpointWriter(Checkpoints(tmp_path / "checkpoints", keep=2))
    writer.save(arrays(np.inf), Position(3))
    with pytest.raises(DivergedError, match=r"after step 3\. No checkpoint had been"):
        writer.wait()
    writer.save(arrays(1), Position(3))
    writer.save(arrays(np.nan), Position(4))
    with pytest.raises(DivergedError, match=r"step 4\. The last good checkpoint is in"):
        writer.wait()
    assert Checkpoints(tmp_path / "checkpoints", keep=2).position().step == 3


def test_an_error_of_the_training_waits_for_the_checkpoint_and_an_interrupt_not(slow):
    for error, is_there in ((ZeroDivisionError, True), (KeyboardInterrupt, False)):
        checkpoints = Checkpoints(f"gs://{_BUCKET}/{error.__name__}", keep=2)
        with pytest.raises(error), CheckpointWriter(checkpoints) as writer:
            writer.save(arrays(1), Position(1))
            raise error
        names = slow.names(_BUCKET)
        found = [x for x in names if x.startswith(f"{error.__name__}/")]
        assert bool(found) == is_there
    writer.wait()
