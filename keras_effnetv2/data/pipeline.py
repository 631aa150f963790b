"""Batches for training and evaluation, independent of what computes them.

Every random decision is a function of the seed, the epoch and the example or step, so
training resumes at any step as if it had not stopped, and any number of workers makes
the same global batches.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from keras_effnetv2.data import rows
from keras_effnetv2.data.augmentation.augmenter import Augmenter
from keras_effnetv2.data.augmentation.mixing import Mixing
from keras_effnetv2.data.chunks.lanes import num_lanes
from keras_effnetv2.data.chunks.steps import (
    Steps,
    first_addresses,
    records_in_order,
    training_records,
)
from keras_effnetv2.data.chunks.stores import ChunkOrder
from keras_effnetv2.data.decode_errors import DecodeErrors
from keras_effnetv2.data.decoding import cropping, images
from keras_effnetv2.data.order import (
    ALL_ROWS,
    Shard,
    check_steps,
    epoch_order,
    epoch_seeds,
    training_steps,
)
from keras_effnetv2.data.parallelism import parallel
from keras_effnetv2.data.source import Source
from keras_effnetv2.preprocessing import Preprocessing

# Batches made in parallel, so that the end of one overlaps the start of the next, and
# batches made ahead. More would need memory: 128 images of 300 x 300 pixels are 35 MB.
_NUM_PARALLEL = 2
_NUM_AHEAD = 2


def training_batches(
    source: Source,
    augmenter: Augmenter,
    mixing: Mixing,
    *,
    batch_size: int,
    first_step: int,
    num_steps: int,
    steps_per_epoch: int,
    first_epoch: int,
    seed: int,
    decode_errors: DecodeErrors,
    shard: Shard = ALL_ROWS,
) -> tf.data.Dataset:
    """Augmented and mixed batches of one image size.

    An image that cannot be decoded is replaced by the one before it in the batch; a
    file that cannot be read, after several tries, is an error, `decode_errors.error`.

    Args:
        source: source of the images.
        augmenter: augmentation of each image.
        mixing: mixing of batches.
        batch_size: size of the global batch, over all workers.
        first_step: index of the first step in its epoch, from 0.
        num_steps: number of steps, across epochs.
        steps_per_epoch: at most as many as there are full batches.
        first_epoch: epoch of the first step.
        seed: seed of every random decision.
        decode_errors: records the images that cannot be decoded.
        shard: the rows of each global batch to make.

    Returns:
        Images, uint8 `(rows, image_size, image_size, 3)`, and labels, float32
        `(rows, classes)`: shares of classes; for a multi-label source, 1 for each of
        several.

    Raises:
        ValueError: batches or steps that the source does not have.
    """
    if source.chunks is not None:
        steps = Steps(
            batch_size, steps_per_epoch, first_epoch, first_step, num_steps, seed
        )
        return _in_chunks(
            source, source.chunks, augmenter, mixing, steps, shard, decode_errors
        )
    # A mixed image needs the one before it, which another worker may have.
    num_before = int(shard.count > 1 and not mixing.is_off)
    places = shard.rows(batch_size, num_before)
    steps = training_steps(
        source.num_examples,
        batch_size,
        steps_per_epoch=steps_per_epoch,
        first_epoch=first_epoch,
        first_step=first_step,
        num_steps=num_steps,
        seed=seed,
    )

    def batch(epoch, step, indices):
        _, image_seed, mixing_seed = epoch_seeds(seed, epoch)
        indices = tf.gather(indices, places)
        pixels, labels = _augmented(
            indices, image_seed, source, augmenter, decode_errors
        )
        mixing_seed = _fold_in(mixing_seed, step)
        if not num_before:
            return mixing.apply(pixels, labels, mixing_seed)
        first = places[num_before]
        return mixing.apply_part(
            pixels, labels, mixing_seed, first_row=first, batch_size=batch_size
        )

    return _in_parallel(steps, batch)


def _in_chunks(
    source: Source,
    order: ChunkOrder,
    augmenter: Augmenter,
    mixing: Mixing,
    steps: Steps,
    shard: Shard,
    decode_errors: DecodeErrors,
) -> tf.data.Dataset:
    """Batches in chunk order; images are mixed with others of the same lane."""
    check_steps(
        source.num_examples, steps.batch_size, steps.per_epoch, steps.first_step
    )
    own = shard.rows(steps.batch_size)
    per_lane = steps.batch_size // num_lanes(steps.batch_size, order.store.num_chunks)
    before = [row // per_lane * per_lane + (row - 1) % per_lane for row in own]
    # A mixed image needs the one before it, which another worker may have.
    made = own if mixing.is_off else sorted({*own, *before})
    by_address = source.by_address()

    def batch(epoch, step, addresses, contents):
        _, image_seed, mixing_seed = epoch_seeds(steps.seed, epoch)
        pixels, labels = _augmented(
            addresses,
            image_seed,
            by_address,
            augmenter,
            decode_errors,
            rows.Records(contents, order.parse),
        )
        if mixing.is_off:
            return pixels, labels
        return mixing.apply_pairs(
            pixels,
            labels,
            _fold_in(mixing_seed, step),
            rows=[made.index(row) for row in own],
            before=[made.index(row) for row in before],
            first_row=own[0],
            batch_size=steps.batch_size,
        )

    return _in_parallel(training_records(order, steps, made, decode_errors), batch)


def first_images(
    source: Source,
    augmenter: Augmenter,
    mixing: Mixing,
    *,
    num: int,
    epoch: int,
    seed: int,
    decode_errors: DecodeErrors,
) -> np.ndarray:
    """The first images of an epoch, if its batches had `num` images.

    In chunk order, the first images that the epoch takes from a few chunks.

    They are made eagerly: tracing and optimizing the graph of `training_batches` would
    take longer than a few images do. Those that cannot be decoded are black.

    Returns:
        uint8 `(num, image_size, image_size, 3)`.
    """
    index_of_epoch = tf.constant(epoch, tf.int64)
    _, image_seed, mixing_seed = epoch_seeds(seed, index_of_epoch)
    if source.chunks is None:
        indices = epoch_order(source.num_examples, seed, index_of_epoch)[:num]
    else:
        indices = tf.constant(first_addresses(source.chunks, num, seed, epoch))
        source = source.by_address()
    side = augmenter.image_size
    spec = tf.TensorSpec((side, side, 3), tf.uint8)
    prepare = _preparation(source, augmenter)
    made = [
        rows.load_row(prepare, source, decode_errors, spec, index, image_seed)
        for index in indices
    ]
    pixels, labels, _ = map(tf.stack, zip(*made, strict=True))
    mixing_seed = _fold_in(mixing_seed, tf.constant(0, tf.int64))
    mixed, _ = mixing.apply(pixels, labels, mixing_seed)
    return mixed.numpy()


def evaluation_batches(
    source: Source,
    preprocessing: Preprocessing,
    *,
    batch_size: int,
    decode_errors: DecodeErrors,
    shard: Shard = ALL_ROWS,
) -> tf.data.Dataset:
    """Every image once, cropped as in the published measurements.

    Args:
        source: source of the images.
        preprocessing: the crop.
        batch_size: size of the global batch, over all workers.
        decode_errors: records the images that cannot be decoded.
        shard: the rows of each global batch to make.

    Returns:
        Images, float32 `(rows, image_size, image_size, 3)`, pixels 0..255; labels,
        float32 `(rows, classes)`; weights, float32 `(rows,)`: 0 for rows after the last
        image and for images that cannot be decoded, else 1. The number of batches is
        the same for every shard.

    Raises:
        ValueError: a batch size that does not divide.
    """
    places = shard.rows(batch_size)
    first, num_rows = places[0], len(places)
    num = source.num_examples
    starts = tf.data.Dataset.range(first, first + num, batch_size)

    def prepare(_, image):
        image = images.to_rgb(image, source.turn_upright)
        return cropping.evaluation_image(image, preprocessing)

    def batch(indices, records=None, examples=source):
        made = rows.make_rows(
            indices, prepare, examples, decode_errors, at_least=0, records=records
        )
        (pixels, labels), weights = rows.fill_with_zeros(*made, num_rows)
        return pixels, labels, weights

    def from_start(start):
        end = tf.minimum(start + num_rows, num)
        return batch(tf.range(start, tf.maximum(start, end)))

    order = source.chunks
    if order is None:
        return _in_parallel(starts, from_start)
    by_address = source.by_address()
    spans = [(x, min(x + num_rows, num)) for x in range(first, first + num, batch_size)]
    return _in_parallel(
        records_in_order(order.store, spans, decode_errors),
        lambda addresses, contents: batch(
            addresses, rows.Records(contents, order.parse), by_address
        ),
    )


def _augmented(
    indices: tf.Tensor,
    seed: tf.Tensor,
    source: Source,
    augmenter: Augmenter,
    decode_errors: DecodeErrors,
    records: rows.Records | None = None,
) -> list[tf.Tensor]:
    """Images of an epoch and their labels, before they are mixed."""
    made = rows.make_rows(
        indices,
        _preparation(source, augmenter),
        source,
        decode_errors,
        at_least=1,
        arguments=[seed],
        records=records,
    )
    return rows.fill_with_previous(*made, indices.shape[0])


def _preparation(source: Source, augmenter: Augmenter) -> Callable[..., tf.Tensor]:
    """A function of an index, its image and the epoch's seed that augments it."""

    def prepare(index, image, seed):
        return augmenter.apply(image, _fold_in(seed, index), source.turn_upright)

    return prepare


def _in_parallel(steps: tf.data.Dataset, batch: Any) -> tf.data.Dataset:
    return steps.map(batch, **parallel(_NUM_PARALLEL)).prefetch(_NUM_AHEAD)


def _fold_in(seed: tf.Tensor, number: tf.Tensor) -> tf.Tensor:
    return tf.random.experimental.stateless_fold_in(seed, number)
