"""Benchmarks compare like with like, and their arithmetic holds."""

import pathlib

import numpy as np
import pytest
import tensorflow as tf

from keras_effnetv2.data.augmentation import operations
from tests.data import image_folders

TOOLS = str(pathlib.Path(__file__).parents[3] / "tools")


@pytest.fixture(autouse=True)
def tools(monkeypatch):
    monkeypatch.syspath_prepend(TOOLS)


def test_the_ratio_is_the_median_of_the_ratios():
    from benchmarks import comparison

    pairs = [(10, 5), (30, 10), (40, 10), (90, 18), (60, 10)]
    row = comparison.row("data", "work", "images/s", "peer", pairs, "above 1")
    assert (row["ours"], row["peer"]) == (40, 10)
    assert (row["ratio"], row["spread"]) == (4, [3, 5])
    assert row["better"] == "above 1"


def test_the_official_style_makes_our_images():
    from benchmarks.suites import official_style

    operation_set = operations.OperationSet(translation=100, cutout=40)
    image = tf.constant(np.array(image_folders.picture(7)))
    for draws in (tf.constant((0.7, 0.3, 0.6)), tf.constant((0.2, 0.99, 0.01))):
        for number, change in enumerate(official_style.operations(10, draws)):
            name = operations.NAMES[number]
            ours = operation_set.apply(image, number, 10.0, draws)
            difference = np.abs(ours.numpy().astype(int) - change(image))
            assert difference.max() <= (name == "Sharpness"), name


@pytest.mark.slow
def test_the_photographs_are_read_as_those_of_a_training(tmp_path):
    from benchmarks.suites import data

    data.write_photos(tmp_path, 34)
    images, labels = next(iter(data.ours(str(tmp_path), 32)))
    assert images.shape == (32, 32, 32, 3) and images.dtype == tf.uint8
    np.testing.assert_allclose(tf.reduce_sum(labels, 1), 1, rtol=1e-6)


def test_the_official_style_mixes_images_as_their_labels():
    from benchmarks.suites import official_style

    labels = tf.eye(4)
    images = tf.tile(labels[:, None, :], (1, 5, 1))[..., None]
    mixed, shares = official_style.mix_up(images, labels, 0.5)
    for row in range(5):
        np.testing.assert_allclose(mixed[:, row, :, 0], shares, rtol=1e-6)
    own, opposite = np.diag(shares), np.diag(shares[:, ::-1])
    assert np.all(own >= 0.5)
    np.testing.assert_allclose(own + opposite, 1, rtol=1e-6)


@pytest.mark.slow
def test_every_pair_of_the_data_suite_is_measured():
    from benchmarks.suites import data

    rows = data.measure(2, num_photos=34, image_sizes=(32,), seconds=0.1)
    assert [row["peer_name"] for row in rows] == ["keras.layers", "google/automl style"]
    for row in rows:
        assert row["ours"] > 0 and row["peer"] > 0
        assert row["spread"][0] <= row["ratio"] <= row["spread"][1]
