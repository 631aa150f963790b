"""What TensorBoard itself reads back."""

import numpy as np
import pytest
import tensorflow as tf

from keras_effnetv2.training.reporting.scalars import Scalars
from tests.training.reporting.run_records import make_record

event_accumulator = pytest.importorskip(  # What its pages read.
    "tensorboard.backend.event_processing.plugin_event_accumulator"
)


def read(folder):
    accumulator = event_accumulator.EventAccumulator(str(folder))
    accumulator.Reload()
    return accumulator


def values(accumulator, tag):
    return {
        event.step: pytest.approx(tf.make_ndarray(event.tensor_proto).item())
        for event in accumulator.Tensors(tag)
    }


def write(folder, epochs, **options):
    scalars = Scalars(folder, **options)
    for epoch in epochs:
        scalars.write(make_record(epoch))
    return scalars


def test_tensorboard_shows_every_number_at_its_step(tmp_path):
    write(tmp_path, [1, 2]).close()
    found = read(tmp_path)
    assert set(found.Tags()["tensors"]) == {
        "train/loss", "train/accuracy", "eval/loss", "eval/accuracy",
        "eval/top5_accuracy", "schedule/epoch", "schedule/stage",
        "schedule/learning_rate", "stage/image_size", "stage/batch_size",
        "stage/randaugment_magnitude", "stage/mixup_alpha", "stage/cutmix_alpha",
        "stage/dropout_rate", "speed/seconds", "speed/images_per_second",
    }  # fmt: skip
    assert values(found, "train/loss") == {5: 1.0, 10: 0.5}
    assert values(found, "eval/accuracy") == {10: 0.6}


def test_a_record_is_on_the_disk_before_the_file_is_closed(tmp_path):
    scalars = write(tmp_path, [1])
    assert values(read(tmp_path), "train/loss") == {5: 1.0}
    scalars.close()


def test_resuming_purges_what_came_after_the_checkpoint(tmp_path):
    write(tmp_path, [1, 2, 3]).close()
    resumed = write(tmp_path, [], step=5)
    assert values(read(tmp_path), "train/loss") == {5: 1.0}
    assert values(read(tmp_path), "eval/accuracy") == {}
    resumed.write(make_record(2, loss=0.25))
    resumed.close()
    assert values(read(tmp_path), "train/loss") == {5: 1.0, 10: 0.25}


def test_a_run_started_anew_purges_all_of_the_last(tmp_path):
    write(tmp_path, [1, 2]).close()
    write(tmp_path, []).close()
    assert values(read(tmp_path), "train/loss") == {}


def test_tensorboard_shows_the_images(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (3, 8, 6, 3), np.uint8)
    scalars = Scalars(tmp_path)
    scalars.write_images("stage 1", images, step=0)
    scalars.close()
    found = read(tmp_path)
    metadata = found.SummaryMetadata("stage 1")
    assert metadata.plugin_data.plugin_name == "images"
    (event,) = found.Tensors("stage 1")
    width, height, *pngs = tf.make_ndarray(event.tensor_proto)
    assert (width, height) == (b"6", b"8")
    decoded = [tf.io.decode_png(png).numpy() for png in pngs]
    np.testing.assert_array_equal(decoded, images)
