"""Trains with growing learning rates, to find a good one.

Reference: Smith 2017, https://arxiv.org/abs/1506.01186, Section 3.3, the range test.
"""

import math
import time
from typing import Any

import keras
import numpy as np

from keras_effnetv2 import private_apis
from keras_effnetv2.training.devices.strategies import Devices
from keras_effnetv2.training.experiments.configuration import Experiment
from keras_effnetv2.training.learner.learner import Learner
from keras_effnetv2.training.learner.network import variable_depths
from keras_effnetv2.training.learner.recipe_optimizers import (
    build_optimizer,
    peak_learning_rate,
)
from keras_effnetv2.training.learner.temporary import temporary_learner
from keras_effnetv2.training.progressive import feeding
from keras_effnetv2.training.reporting.rate_sweep import RateSweep
from keras_effnetv2.training.runs.checkpoints import read_state, write_state

# From a hundredth of the usual rate to a hundred times it.
_RANGE = 100.0
# A sweep ends when the loss is so many times that of its start.
_DIVERGED = 2.0
_RECENT = 3  # Steps whose mean decides that.


def find_rates(
    experiment: Experiment,
    feed: feeding.Feed,
    devices: Devices,
    num_steps: int,
    seconds: float,
) -> RateSweep:
    """Sweeps the rates around that of an experiment, with a temporary learner.

    Args:
        experiment: the experiment, whose first stage is trained with the whole network.
        feed: the training images.
        devices: devices to train on.
        num_steps: maximum number of steps.
        seconds: time limit for the steps after the first.
    """
    num_images = feed.source.num_examples
    learner, segment = temporary_learner(
        experiment,
        feed,
        devices,
        stage=0,
        num_steps=num_steps,
        weights=experiment.model.weights,
    )
    data = feeding.training_data(feed, experiment, segment, devices)
    with (
        feeding.data_errors_raised(feed),
        devices.scope(),
        private_apis.traced_for_a_while(),
    ):
        return sweep_rates(learner, experiment, num_images, data, num_steps, seconds)


def sweep_rates(
    learner: Learner,
    experiment: Experiment,
    num_images: int,
    data: Any,
    num_steps: int,
    seconds: float,
) -> RateSweep:
    """Trains a learner with growing rates, then restores it completely.

    Args:
        learner: the experiment's learner, compiled.
        experiment: its settings.
        num_images: number of training images.
        data: batches for `fit`, at least `num_steps`.
        num_steps: maximum number of steps; the sweep ends where the loss diverges.
        seconds: time limit for the steps after the first.
    """
    low = peak_learning_rate(experiment) / _RANGE
    factor = _RANGE ** (2 / max(1, num_steps - 1))
    # A decay by a factor above 1 is growth.
    rates = keras.optimizers.schedules.ExponentialDecay(low, 1, factor)
    stages, depths = experiment.stages(num_images), variable_depths(learner.network)
    optimizer = build_optimizer(experiment, stages, num_images, depths, rates)
    optimizer.build(learner.trainable_variables)
    before, state = learner.optimizer, read_state(learner)
    recorder = _Recorder(low, factor, seconds)
    try:
        learner.compile(optimizer)
        learner.fit(
            data,
            steps_per_epoch=num_steps,
            shuffle=False,
            verbose=0,
            callbacks=[recorder],
        )
    finally:
        learner.compile(before)
        write_state(learner, state)
    return RateSweep(tuple(recorder.rates), tuple(recorder.losses))


class _Recorder(keras.callbacks.Callback):
    """Records rates and losses, and stops if the loss diverges or time is up."""

    def __init__(self, low: float, factor: float, seconds: float) -> None:
        super().__init__()
        self.rates: list[float] = []
        self.losses: list[float] = []
        self._low, self._factor, self._seconds = low, factor, seconds
        self._end = math.inf

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        loss = float(np.mean(keras.ops.convert_to_numpy(logs["loss"])))
        if not math.isfinite(loss):
            self.model.stop_training = True
            return
        self.rates.append(self._low * self._factor**batch)
        self.losses.append(loss)
        if batch == 0:  # Its time is that of tracing.
            self._end = time.monotonic() + self._seconds
        recent, first = (
            np.mean(x) for x in (self.losses[-_RECENT:], self.losses[:_RECENT])
        )
        if recent > _DIVERGED * first or time.monotonic() > self._end:
            self.model.stop_training = True
