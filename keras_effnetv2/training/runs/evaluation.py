"""Accuracy of networks: every image of a split counts exactly once."""

import dataclasses
import os
import warnings
from collections.abc import Sequence
from typing import Any

import keras

from keras_effnetv2.errors import InputError
from keras_effnetv2.files import on_this_machine
from keras_effnetv2.models import create_model
from keras_effnetv2.networks.functional import find_normalization
from keras_effnetv2.training.choices import CHECKPOINTS
from keras_effnetv2.training.devices.strategies import Devices, open_devices
from keras_effnetv2.training.experiments.configuration import Experiment
from keras_effnetv2.training.experiments.settings import override
from keras_effnetv2.training.learner.learner import Learner, create_learner
from keras_effnetv2.training.learner.network import build_network, trained_variant
from keras_effnetv2.training.progressive.feeding import (
    Feed,
    data_errors_raised,
    evaluation_data,
)
from keras_effnetv2.training.runs.temperature import divide_logits
from keras_effnetv2.training.runs.trained import fitted_temperature, trained_weights
from keras_effnetv2.training.runs.workdir import read_experiment


def evaluate_run(
    workdir: str | os.PathLike,
    assignments: Sequence[str] = (),
    *,
    checkpoint: str = CHECKPOINTS[0],
    strategy: str = "auto",
    tpu: str | None = None,
) -> dict[str, float]:
    """Loss and accuracies of a run, for the network that `load_run` returns.

    Args:
        workdir: its work folder.
        assignments: settings to change, as for `override`, such as those of the data.
        checkpoint: `"auto"`, `"last"` or `"best"`, as for `load_run`.
        strategy: as for `train`.
        tpu: as for `train`.

    Returns:
        `loss`, `accuracy` and, with more than five classes, `top5_accuracy`.

    Raises:
        ValueError: no run with such weights, or no such data.
    """
    experiment = experiment_to_evaluate(workdir, assignments)
    weights = trained_weights(workdir, checkpoint)
    temperature = fitted_temperature(workdir, checkpoint)
    devices = open_devices(strategy, tpu)
    feed = Feed.open(experiment.data, experiment.data.eval_split)
    with on_this_machine(weights) as file, devices.scope():
        network = build_network(experiment, str(file))
        if temperature is not None:
            divide_logits(network, temperature)
    return _evaluate_network(network, experiment, feed, devices)


def experiment_to_evaluate(
    workdir: str | os.PathLike, assignments: Sequence[str] = ()
) -> Experiment:
    """The experiment of a run with other settings, for images of the same classes.

    Raises:
        ValueError: no run, or no such settings.
    """
    trained = read_experiment(workdir)
    experiment = override(trained, assignments)
    if experiment.data.num_classes is not None:
        return experiment
    num_classes = trained.data.num_classes  # For other images that do not tell.
    data = dataclasses.replace(experiment.data, num_classes=num_classes)
    return dataclasses.replace(experiment, data=data)


def evaluate_weights(
    experiment: Experiment,
    weights: str,
    *,
    strategy: str = "auto",
    tpu: str | None = None,
) -> dict[str, float]:
    """Loss and accuracies of released or other weights of an experiment's variant.

    Images are cropped and normalised as the weights' own record says.

    Args:
        experiment: determines the images and the network.
        weights: as for `create_model`.
        strategy: as for `train`.
        tpu: as for `train`.

    Returns:
        `loss`, `accuracy` and, with more than five classes, `top5_accuracy`.

    Raises:
        ValueError: weights that do not fit, or no such data.
    """
    devices = open_devices(strategy, tpu)
    feed = Feed.open(experiment.data, experiment.data.eval_split)
    num_classes = feed.source.num_classes
    with devices.scope():
        network = create_model(
            trained_variant(experiment.model),
            weights=weights,
            classifier_activation=None,
        )
    if network.output_shape[-1] != num_classes:
        raise InputError(
            f"The weights {weights} have {network.output_shape[-1]:,} classes, but "
            f"the images {num_classes:,}: the classifier would be untrained. Train it "
            "first, or evaluate on images of the weights' classes."
        )
    return _evaluate_network(network, experiment, feed, devices)


# Not by `Classifier`, as in `predict`: `evaluate` reports exactly what training
# measured, to the bit, so both measure with the learner. This includes the loss, on
# several devices and workers, with images that cannot be decoded left out and counted.
class Evaluation:
    """Measures a learner's result on all images of a feed, each time it is called.

    Args:
        learner: the learner whose result is measured.
        feed: the images; each counts once.
        batch_size: images per step, over all devices.
        devices: devices to evaluate on.
    """

    def __init__(
        self, learner: Learner, feed: Feed, batch_size: int, devices: Devices
    ) -> None:
        self._learner = learner
        record = find_normalization(learner.result).preprocessing
        # Made once: for few images, tracing takes longer than running.
        self._data = evaluation_data(feed, record, batch_size, devices)

    def __call__(self) -> dict[str, float]:
        """The metrics, as `Learner.measured` returns them."""
        with warnings.catch_warnings():
            # Keras cannot count the batches on several devices, and warns at their end.
            warnings.filterwarnings("ignore", "Your input ran out of data")
            self._learner.evaluate(self._data, verbose=0)
        return self._learner.measured()


def _evaluate_network(
    network: keras.Model, experiment: Experiment, feed: Feed, devices: Devices
) -> dict[str, float]:
    batch_size = -(-experiment.batch_size // devices.num_replicas)
    with devices.scope():
        learner: Any = create_learner(network, None, experiment)
        learner.compile()
    with data_errors_raised(feed):
        batch_size *= devices.num_replicas
        return Evaluation(learner, feed, batch_size, devices)()
