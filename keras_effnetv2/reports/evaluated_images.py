"""Outputs of a run's network for every image of a split, computed once."""

import dataclasses
import functools
import os
from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf

from keras_effnetv2.classification.predictions import class_names
from keras_effnetv2.data.decoding import images
from keras_effnetv2.data.decoding.retrying import retried
from keras_effnetv2.data.pipeline import evaluation_batches
from keras_effnetv2.data.printable import printable
from keras_effnetv2.data.sources import Source
from keras_effnetv2.errors import InputError
from keras_effnetv2.files import on_this_machine
from keras_effnetv2.models import create_model
from keras_effnetv2.networks.functional import find_normalization
from keras_effnetv2.paths import AnyPath, as_path
from keras_effnetv2.preprocessing import Preprocessing
from keras_effnetv2.progress import Progress
from keras_effnetv2.reports import calibration
from keras_effnetv2.reports.views import views
from keras_effnetv2.training.choices import CHECKPOINTS
from keras_effnetv2.training.experiments.configuration import Experiment
from keras_effnetv2.training.learner.network import trained_variant
from keras_effnetv2.training.progressive.feeding import Feed, data_errors_raised
from keras_effnetv2.training.runs.evaluation import experiment_to_evaluate
from keras_effnetv2.training.runs.trained import trained_weights
from keras_effnetv2.training.runs.workdir import Workdir

_BATCH_SIZE = 64


@dataclasses.dataclass(frozen=True, eq=False)
class RunNetwork:
    """The network of `load_run`, without its last activation and temperature.

    Attributes:
        workdir: work folder of the run.
        experiment: the run's experiment, perhaps with other settings.
        weights: file of the weights.
        network: from images, pixels 0..255, to logits.
        is_own: whether the settings are the run's own.
    """

    workdir: Workdir
    experiment: Experiment
    weights: AnyPath
    network: keras.Model
    is_own: bool

    @classmethod
    def open(
        cls,
        path: str | os.PathLike,
        checkpoint: str = CHECKPOINTS[0],
        assignments: Sequence[str] = (),
    ) -> "RunNetwork":
        """Opens the network of a work folder; arguments are those of `evaluate_run`.

        Raises:
            ValueError: no run with such weights, or no such settings.
        """
        experiment = experiment_to_evaluate(path, assignments)
        weights = trained_weights(path, checkpoint)
        with on_this_machine(weights) as file:
            network = create_model(
                trained_variant(experiment.model),
                weights=file,
                classifier_activation=None,
            )
        folder = Workdir(as_path(path))
        return cls(folder, experiment, weights, network, not assignments)

    @property
    def record(self) -> Preprocessing:
        """The preprocessing of images for the network."""
        return find_normalization(self.network).preprocessing

    @property
    def num_classes(self) -> int:
        """Columns of the logits."""
        return self.network.output_shape[-1]

    @functools.cached_property
    def class_names(self) -> tuple[str, ...]:
        """Names of all classes, printable."""
        names = class_names(self.record.labels, self.num_classes)
        return tuple(printable(x.name) for x in names)


@dataclasses.dataclass(frozen=True, eq=False)
class Evaluation:
    """Outputs of a network for the images of a split.

    Attributes:
        run: the run's network.
        split: split of the images.
        source: source of the images.
        indices: indices in the source of the readable images, `(images,)`.
        logits: float32 `(images, classes)`.
        labels: integers `(images,)`; if an image may have several classes, 0 and 1
            `(images, classes)`.
        averaged: mean probabilities of several views of each image, float32
            `(images, classes)`; None if only one view was used.
        num_damaged: images that could not be read.
    """

    run: RunNetwork
    split: str
    source: Source
    indices: np.ndarray
    logits: np.ndarray
    labels: np.ndarray
    averaged: np.ndarray | None
    num_damaged: int

    def __len__(self) -> int:
        return len(self.indices)

    @property
    def is_multi_label(self) -> bool:
        """Whether an image may have several classes."""
        return self.labels.ndim == 2

    @property
    def activation(self) -> str:
        """The activation that turns logits into probabilities."""
        return self.run.experiment.loss

    @functools.cached_property
    def predicted(self) -> np.ndarray:
        """The best class of each image, `(images,)`."""
        return self.logits.argmax(axis=1)

    @functools.cached_property
    def is_hit(self) -> np.ndarray:
        """Whether the best class of each image is one of its own, bool `(images,)`."""
        return self.has_class(self.predicted)

    def has_class(self, classes: np.ndarray) -> np.ndarray:
        """Whether each image has the class given for it in `(images,)`."""
        if not self.is_multi_label:
            return self.labels == classes
        return np.take_along_axis(self.labels, classes[:, None], 1)[:, 0] > 0

    def probabilities(self, temperature: float | np.ndarray = 1.0) -> np.ndarray:
        """float32 `(images, classes)`."""
        return calibration.probabilities(self.logits, self.activation, temperature)

    def name(self, row: int) -> str:
        """The printable name of an image; for files, the path in the data's folder."""
        name = printable(self.source.name_of(int(self.indices[row])))
        directory = self.run.experiment.data.directory
        within = "" if directory is None else os.path.join(printable(directory), "")
        return name.removeprefix(within)

    def pixels(self, row: int) -> np.ndarray:
        """An image from its source, uint8 `(height, width, 3)`, upright."""
        index = tf.constant(int(self.indices[row]), tf.int64)
        image, _ = retried(lambda: self.source.example(index), self.name(row))
        if image.dtype == tf.string:
            return images.decode_any(image.numpy(), self.source.turn_upright)
        return images.to_rgb(image).numpy()


def evaluate(run: RunNetwork, split: str, tta: bool = False) -> Evaluation:
    """Evaluates every image of a split.

    Args:
        run: the run's network.
        split: split of the run's data.
        tta: whether to evaluate several views of each image.

    Raises:
        ValueError: there are no such images, or none of them can be read.
    """
    data = run.experiment.data
    feed = Feed.open(data, split)
    source = feed.source
    if source.num_classes != run.num_classes:
        raise InputError(
            f"The network of {run.workdir.path} has {run.num_classes} classes, but "
            f"{split!r} has {source.num_classes}. Evaluate on images of its classes."
        )
    with data_errors_raised(feed):
        logits, labels, is_read, averaged = _looked_at(run, feed, split, tta)
    indices = np.flatnonzero(is_read)
    if not len(indices):
        raise InputError(f"None of the images of {split!r} can be read.")
    if not source.multi_label:
        labels = labels.argmax(axis=1)
    return Evaluation(
        run,
        split,
        source,
        indices,
        logits[indices],
        labels[indices],
        None if averaged is None else averaged[indices],
        len(is_read) - len(indices),
    )


def _looked_at(
    run: RunNetwork, feed: Feed, split: str, tta: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray | None]:
    """Logits, labels, readability and mean probabilities of each image."""
    num = feed.source.num_examples
    shape = (num, run.num_classes)
    logits, labels = np.zeros(shape, "float32"), np.zeros(shape, "uint8")
    averaged = np.zeros(shape, "float32") if tta else None
    is_read = np.zeros(num, bool)
    progress = Progress(f"evaluating {split}", num)
    # Not `Classifier`: a temperature is fitted to logits without one, and the accuracy
    # must be that of the training's evaluation, with its batches and images.
    batches = evaluation_batches(
        feed.source,
        run.record,
        batch_size=_BATCH_SIZE,
        decode_errors=feed.decode_errors,
    )
    first = 0
    for pixels, batch_labels, weights in batches.as_numpy_iterator():
        rows = slice(first, min(first + _BATCH_SIZE, num))
        first, size = rows.stop, rows.stop - rows.start
        found = run.network.predict_on_batch(pixels)
        logits[rows], labels[rows] = found[:size], batch_labels[:size]
        is_read[rows] = weights[:size] > 0
        if averaged is not None:
            averaged[rows] = _mean_of_views(run, pixels, found)[:size]
        progress.advance(size)
    progress.finish()
    return logits, labels, is_read, averaged


def _mean_of_views(
    run: RunNetwork, pixels: np.ndarray, first: np.ndarray
) -> np.ndarray:
    """Mean probabilities of all views, given the logits of the first."""
    _, *others = views(pixels)
    logits = [first, *(run.network.predict_on_batch(x) for x in others)]
    activation = run.experiment.loss
    return np.mean([calibration.probabilities(x, activation) for x in logits], axis=0)
