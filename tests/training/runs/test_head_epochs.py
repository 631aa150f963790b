"""Epochs in which only the classifier learns, in a run that is stopped and goes on."""

import keras
import numpy as np
import pytest

from keras_effnetv2.training.progressive.learning import Segment, split_segments
from keras_effnetv2.training.progressive.stages import plan_stages
from keras_effnetv2.training.runs.run import train
from keras_effnetv2.training.runs.trained import load_run
from tests.tiny_experiments import tiny_experiment

SETTINGS = (
    "data.train_split=train[:96]",
    "data.num_train_images=96",
    "batch_size=32",
    "progressive.num_stages=1",
    "progressive.dropout_rate=0.3,0.3",
    "augmentation.policy=none",
    "epochs=3",
    "optimizer.head_epochs=2",
    "regularization.class_weights=balanced",
)


class _Watch(keras.callbacks.Callback):
    """Notes a weight of the stem after each epoch; may stop at a step."""

    def __init__(self, stop_at=None):
        super().__init__()
        self.stems, self.stop_at, self.steps = [], stop_at, 0

    def on_train_batch_end(self, batch, logs=None):
        self.steps += 1
        self.model.stop_training = self.steps == self.stop_at

    def on_epoch_end(self, epoch, logs=None):
        stem = self.model.network.get_layer("stem_conv").kernel
        self.stems.append(np.array(stem))


def run(workdir, **options):
    watch = _Watch(**options)
    experiment = tiny_experiment(*SETTINGS)
    train(experiment, workdir, callbacks=[watch], strategy="cpu")
    return watch


@pytest.fixture(name="whole", scope="module")
def fixture_whole(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("whole") / "run"
    return workdir, run(workdir)


@pytest.mark.long
def test_the_network_waits_for_its_classifier(whole):
    first, second, third = whole[1].stems
    assert (first == second).all() and (second != third).any()


@pytest.mark.long
@pytest.mark.parametrize(
    "stop_at",
    [
        pytest.param(2, marks=pytest.mark.slow),
        6,
        pytest.param(7, marks=pytest.mark.slow),
    ],
)
def test_a_run_that_is_stopped_ends_with_the_same_bits(whole, tmp_path, stop_at):
    run(tmp_path / "run", stop_at=stop_at)
    run(tmp_path / "run")
    ends = [load_run(x, "last").get_weights() for x in (whole[0], tmp_path / "run")]
    for one, other in zip(*ends, strict=True):
        assert (one == other).all()


def test_segments_end_where_the_network_begins():
    (stage,) = plan_stages(epochs=5, num_stages=1, image_size=32, batch_size=8)
    segment = Segment(stage, 0, 5, 0, 10)
    spans = [(x.first_epoch, x.end_epoch) for x in split_segments(iter([segment]), 2)]
    assert spans == [(0, 2), (2, 5)]
    assert [*split_segments(iter([segment]), 5)] == [segment]
    assert [*split_segments(iter([segment]), 0)] == [segment]


def test_weights_of_classes_that_nobody_knows_are_refused():
    from keras_effnetv2.training.runs.feasibility import check_class_counts

    experiment = tiny_experiment(*SETTINGS)
    check_class_counts(experiment, (3, 4))
    with pytest.raises(ValueError, match="needs? a source that knows the classes"):
        check_class_counts(experiment, None)
