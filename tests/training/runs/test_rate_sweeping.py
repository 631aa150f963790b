"""A sweep of learning rates trains, and leaves nothing of it behind."""

import dataclasses

import numpy as np
import pytest

from keras_effnetv2.training.devices.strategies import open_devices
from keras_effnetv2.training.learner.building import build_learner
from keras_effnetv2.training.progressive import feeding
from keras_effnetv2.training.progressive.learning import Segment
from keras_effnetv2.training.runs import rate_sweeping
from keras_effnetv2.training.runs.checkpoints import read_state
from tests.tiny_experiments import tiny_experiment

NUM_IMAGES = 128


@pytest.fixture(name="experiment", scope="module")
def fixture_experiment():
    return tiny_experiment(
        "data.train_split=train[:128]",
        "progressive.num_stages=1",
        "progressive.image_size=32",
        "optimizer.learning_rate=0.001",
        "optimizer.learning_rate_batch_size=none",
        "optimizer.name=adam",
        "optimizer.layer_decay=0.8",
        "optimizer.ema_momentum=0.9",
        "batch_size=32",
        "epochs=4",
    )


@pytest.fixture(name="feed", scope="module")
def fixture_feed(experiment):
    return feeding.Feed.open(experiment.data, experiment.data.train_split)


def data_of(experiment, feed):
    stage = experiment.stages(NUM_IMAGES)[0]
    segment = Segment(stage, 0, 4, 0, 4)
    return feeding.training_data(feed, experiment, segment, open_devices("cpu"))


def build(experiment):
    return build_learner(experiment, experiment.stages(NUM_IMAGES), NUM_IMAGES)


@pytest.mark.long
def test_weights_optimizer_and_seeds_are_put_back_to_the_bit(experiment, feed):
    learner = build(experiment)
    before, optimizer = read_state(learner), learner.optimizer
    found = rate_sweeping.sweep_rates(
        learner, experiment, NUM_IMAGES, data_of(experiment, feed), 12, 60
    )
    assert len(found.losses) == len(found.rates) == 12
    assert found.rates[0] == pytest.approx(1e-5) and found.rates[-1] > 0.09
    assert len({*found.losses}) == 12  # It has trained.
    after = read_state(learner)
    assert after.keys() == before.keys()
    for name, value in before.items():
        np.testing.assert_array_equal(after[name], value, strict=True)
    assert learner.optimizer is optimizer
    assert learner.train_function is None  # The next step is traced with it.


@pytest.mark.long
def test_a_sweep_ends_where_time_is_up_or_the_loss_diverges(experiment, feed):
    devices = open_devices("cpu")
    found = rate_sweeping.find_rates(experiment, feed, devices, 12, 0.0)
    assert len(found.rates) <= 2
    optimizer = dataclasses.replace(
        experiment.optimizer, name="sgd", learning_rate=1000.0, layer_decay=1.0
    )
    wild = dataclasses.replace(experiment, optimizer=optimizer)
    found = rate_sweeping.find_rates(wild, feed, devices, 16, 60)
    assert len(found.rates) < 16 and np.isfinite(found.losses).all()
