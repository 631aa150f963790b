"""Pictures of a run: its curves, and images it trains on."""

import sys

import numpy as np
import pytest
from PIL import Image

from keras_effnetv2.training.reporting.curves import draw_curves
from keras_effnetv2.training.reporting.samples import draw_samples
from tests.training.reporting.run_records import make_record


def draw(records, tmp_path):
    draw_curves(records, tmp_path / "curves.png", "digits")
    with Image.open(tmp_path / "curves.png") as picture:
        return picture


def labels(axes):
    return axes.get_legend_handles_labels()[1]


def test_curves_show_every_stage_and_the_best_evaluation(figures, tmp_path):
    picture = draw([make_record(epoch) for epoch in range(1, 7)], tmp_path)
    assert picture.format == "PNG" and min(picture.size) > 900
    accuracy, loss, _, _, strengths = figures[0].axes
    stages = [text.get_text() for text in accuracy.texts]
    assert stages == [
        "stage 1 · 16 px\n20 s", "stage 2 · 24 px\n40 s", "stage 3 · 32 px\n1:00",
    ]  # fmt: skip
    assert labels(accuracy) == ["training", "evaluation, best 80.0 % after epoch 6"]
    assert list(loss.lines[1].get_xdata()) == [2, 4, 6]
    assert labels(strengths) == ["RandAugment / 10", "dropout"]
    assert figures[0].get_suptitle() == "digits · 2:00 of training"


def test_curves_of_one_epoch_without_evaluation(figures, tmp_path):
    draw([make_record(1, loss=None, dropout_rate=None, learning_rate=0.0)], tmp_path)
    assert labels(figures[0].axes[0]) == ["training"]


def test_curves_leave_pyplot_alone(figures, tmp_path):
    before = "matplotlib.pyplot" in sys.modules
    draw([make_record(1), make_record(2)], tmp_path)
    assert ("matplotlib.pyplot" in sys.modules) == before


def test_curves_need_a_record(tmp_path):
    with pytest.raises(ValueError, match="record of an epoch"):
        draw_curves([], tmp_path / "curves.png", "digits")


def test_curves_without_matplotlib_name_the_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=r"keras_effnetv2\[train\]"):
        draw_curves([make_record(1)], tmp_path / "curves.png", "digits")


def test_samples_show_every_pixel_as_a_square(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (10, 50, 50, 3), np.uint8)
    draw_samples(images, tmp_path / "samples.png")
    with Image.open(tmp_path / "samples.png") as picture:
        sheet = np.asarray(picture)
    assert sheet.shape == (150 + 2 * 8, 8 * (150 + 8) + 8, 3)  # The first 8, 3 times.
    second = sheet[8:158, 8 + 158 : 8 + 158 + 150]
    np.testing.assert_array_equal(second[1::3, 1::3], images[1])
    np.testing.assert_array_equal(second[::3, 2::3], images[1])


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.zeros((2, 8, 8, 3), np.float32), "float32"),
        (np.zeros((8, 8, 3), np.uint8), r"\(8, 8, 3\)"),
        (np.zeros((2, 8, 8, 1), np.uint8), r"\(2, 8, 8, 1\)"),
        (np.zeros((0, 8, 8, 3), np.uint8), r"\(0, 8, 8, 3\)"),
    ],
)
def test_samples_are_pixels(images, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        draw_samples(images, tmp_path / "samples.png")
