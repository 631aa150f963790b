"""Training and evaluation data of an experiment, for every device."""

import contextlib
import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import tensorflow as tf

from keras_effnetv2.data.augmentation.augmenter import Augmenter
from keras_effnetv2.data.augmentation.autoaugment import AutoAugment
from keras_effnetv2.data.augmentation.mixing import Mixing
from keras_effnetv2.data.augmentation.randaugment import RandAugment
from keras_effnetv2.data.augmentation.random_cropping import (
    OFFICIAL,
    OFFICIAL_V1,
    RandomCutout,
)
from keras_effnetv2.data.decode_errors import DecodeErrors
from keras_effnetv2.data.order import Shard
from keras_effnetv2.data.pipeline import (
    evaluation_batches,
    first_images,
    training_batches,
)
from keras_effnetv2.data.sources import Reading, Source, open_source
from keras_effnetv2.preprocessing import Preprocessing
from keras_effnetv2.training.devices.strategies import Devices
from keras_effnetv2.training.experiments.configuration import Experiment
from keras_effnetv2.training.experiments.image_settings import Data
from keras_effnetv2.training.progressive.learning import Segment
from keras_effnetv2.training.progressive.stages import Stage, steps_per_epoch

# Side of the paper's smallest training images, pixels (Table 6).
_PAPER_SIZE = 128


@dataclasses.dataclass(frozen=True)
class Feed:
    """The images of an experiment.

    Attributes:
        source: the source of the images.
        decode_errors: counts the images that cannot be decoded.
    """

    source: Source
    decode_errors: DecodeErrors

    @classmethod
    def open(cls, data: Data, split: str) -> "Feed":
        """The images of one split.

        Raises:
            ValueError: there is no such dataset, or it does not match `data`.
        """
        source = open_source(
            data.source,
            split,
            num_classes=data.num_classes,
            name=data.name,
            directory=data.directory,
            multi_label=data.multi_label,
            cache=data.cache,
            orientation=data.orientation,
            train_split=data.train_split,
            reading=Reading(
                data.order,
                data.chunk_mb,
                data.window_chunks,
                data.num_train_images if split == data.train_split else None,
            ),
        )
        return cls(source, DecodeErrors(split, source.num_examples, data.on_error))


def open_feeds(experiment: Experiment) -> tuple[Experiment, Feed, Feed]:
    """Opens the images to train and to evaluate on.

    Returns:
        The experiment with the number of classes and the order of the training images,
        these images, and those to evaluate on.

    Raises:
        ValueError: as for `Feed.open`.
    """
    train_feed = Feed.open(experiment.data, experiment.data.train_split)
    num_classes = train_feed.source.num_classes
    data = dataclasses.replace(experiment.data, num_classes=num_classes)
    if train_feed.source.chunks is not None:
        # The order chosen for the data's storage stays, even if the data moves.
        data = dataclasses.replace(data, order="chunks")
    experiment = dataclasses.replace(experiment, data=data)
    return experiment, train_feed, Feed.open(data, data.eval_split)


@contextlib.contextmanager
def data_errors_raised(*feeds: Feed) -> Iterator[None]:
    """Raises the error that stopped the data, instead of TensorFlow's version of it."""
    try:
        yield
    except Exception:
        for feed in feeds:
            feed.decode_errors.raise_if_any()
        raise
    for feed in feeds:
        feed.decode_errors.raise_if_any()


def segment_batches(
    feed: Feed, experiment: Experiment, segment: Segment, shard: Shard
) -> tf.data.Dataset:
    """Batches `(images, labels)` of a segment: some rows of each global batch."""
    stage = segment.stage
    num_epochs = segment.end_epoch - segment.first_epoch
    return training_batches(
        feed.source,
        _augmenter(experiment, stage),
        Mixing(stage.mixup_alpha, stage.cutmix_alpha),
        batch_size=stage.batch_size,
        first_step=segment.first_step,
        num_steps=num_epochs * segment.num_steps,
        steps_per_epoch=steps_per_epoch(feed.source.num_examples, stage.batch_size),
        first_epoch=segment.first_epoch,
        seed=experiment.seed,
        shard=shard,
        decode_errors=feed.decode_errors,
    )


def training_data(
    feed: Feed,
    experiment: Experiment,
    segment: Segment,
    devices: Devices,
    make_batches: Callable[..., tf.data.Dataset] = segment_batches,
) -> Any:
    """Batches of a segment for `fit`, made by `segment_batches` or an equivalent."""

    def make(shard: Shard) -> tf.data.Dataset:
        batches = make_batches(feed, experiment, segment, shard)
        is_one = devices.strategy is not None and devices.name in ("cpu", "gpu")
        return batches.map(_of_any_size) if is_one else batches

    return _distributed(make, devices)


def _of_any_size(images: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """The same batch, without a static size: one traced step serves all stages."""
    num, _, _, channels = images.shape
    shape = (num, None, None, channels)
    return tf.raw_ops.PlaceholderWithDefault(input=images, shape=shape), labels


def sample_images(feed: Feed, experiment: Experiment, stage: Stage) -> Any:
    """The first few training images of a stage, uint8 `(8, size, size, 3)`."""
    return first_images(
        feed.source,
        _augmenter(experiment, stage),
        Mixing(stage.mixup_alpha, stage.cutmix_alpha),
        num=8,
        epoch=stage.first_epoch,
        seed=experiment.seed,
        decode_errors=feed.decode_errors,
    )


def evaluation_data(
    feed: Feed, preprocessing: Preprocessing, batch_size: int, devices: Devices
) -> Any:
    """Batches `(images, labels, weights)` for `evaluate`."""

    def make(shard: Shard) -> tf.data.Dataset:
        return evaluation_batches(
            feed.source,
            preprocessing,
            batch_size=batch_size,
            shard=shard,
            decode_errors=feed.decode_errors,
        )

    return _distributed(make, devices)


def _augmenter(experiment: Experiment, stage: Stage) -> Augmenter:
    settings = experiment.augmentation
    policies = {
        "randaugment": RandAugment(
            settings.num_ops,
            stage.randaugment_magnitude,
            pixel_scale=min(1.0, stage.image_size / _PAPER_SIZE),
        ),
        "autoaugment": AutoAugment(),
        "cutout": RandomCutout(),
        "none": None,
    }
    crop = None
    if settings.min_crop_area is not None:
        # The V1 recipes are those with bicubic resizing.
        official = OFFICIAL_V1 if settings.interpolation == "bicubic" else OFFICIAL
        crop = dataclasses.replace(official, area=(settings.min_crop_area, 1.0))
    return Augmenter(
        image_size=stage.image_size,
        crop=crop,
        flip=settings.flip,
        interpolation=settings.interpolation,
        policy=policies[settings.policy],
    )


def _distributed(make: Callable[[Shard], tf.data.Dataset], devices: Devices) -> Any:
    """Each worker's part of every batch, divided among its replicas."""
    strategy = devices.strategy
    if strategy is None or strategy.num_replicas_in_sync == 1:
        return make(Shard(devices.worker, devices.num_workers))

    def of_worker(context: tf.distribute.InputContext) -> tf.data.Dataset:
        workers = context.num_input_pipelines
        replicas = context.num_replicas_in_sync // workers

        def divide(*batch):
            return tuple(
                tf.reshape(x, (replicas, x.shape[0] // replicas, *x.shape[1:]))
                for x in batch
            )

        shard = Shard(context.input_pipeline_id, workers)
        return make(shard).map(divide).unbatch().prefetch(2 * replicas)

    return strategy.distribute_datasets_from_function(of_worker)
