"""Batches of images that are easy to recognise, for tests of every source and order."""

import numpy as np
import tensorflow as tf

from keras_effnetv2.data.augmentation.augmenter import Augmenter
from keras_effnetv2.data.augmentation.mixing import Mixing
from keras_effnetv2.data.augmentation.random_cropping import OFFICIAL, RandomCutout
from keras_effnetv2.data.decode_errors import DecodeErrors
from keras_effnetv2.data.pipeline import evaluation_batches, training_batches
from keras_effnetv2.data.sources import Source
from keras_effnetv2.preprocessing import Preprocessing

# Cutout, since it compiles faster than the other policies.
AUGMENTER = Augmenter(16, OFFICIAL, True, "bilinear", RandomCutout())
PLAIN = Augmenter(16, None, False, "bilinear", None)
BOTH = Mixing(0.5, 0.5)
SQUASH = Preprocessing((128,), (128,), "bilinear", "squash", 16)


def numbered(num, num_classes=None, multi_label=False):
    """Image i has the pixels i everywhere and is of class i, or of i and i + 1."""

    def read(index):
        pixels = tf.fill((8, 8, 1), tf.cast(index, tf.uint8))
        if multi_label:
            return pixels, tf.reduce_max(tf.one_hot([index, index + 1], num), 0)
        return pixels, index % (num_classes or num)

    return Source(num, num_classes or num, multi_label, read, str)


def train(source, batch_size, augmenter=PLAIN, mixing=None, **options):
    """Batches of the global batch, two epochs unless `options` say otherwise."""
    steps = source.num_examples // batch_size
    arguments = dict(
        first_step=0,
        num_steps=2 * steps,
        steps_per_epoch=steps,
        first_epoch=0,
        seed=7,
        decode_errors=DecodeErrors("train", source.num_examples),
    )
    dataset = training_batches(
        source,
        augmenter,
        mixing or Mixing(),
        batch_size=batch_size,
        **arguments | options,
    )
    return list(dataset.as_numpy_iterator())


def evaluate(source, batch_size, preprocessing=SQUASH, **options):
    decode_errors = DecodeErrors("test", source.num_examples)
    options = {"decode_errors": decode_errors} | options
    dataset = evaluation_batches(
        source, preprocessing, batch_size=batch_size, **options
    )
    return list(dataset.as_numpy_iterator())


def numbers_in(batches):
    """Of `numbered` images, which are in the batches."""
    return [int(x) for images, *_ in batches for x in images[:, 0, 0, 0]]


def assert_same(found, expected):
    assert len(found) == len(expected)
    for ours, theirs in zip(found, expected, strict=True):
        for a, b in zip(ours, theirs, strict=True):
            np.testing.assert_array_equal(a, b)


def joined(parts):
    """The global batches of what every worker made."""
    return [
        tuple(np.concatenate(pieces) for pieces in zip(*step, strict=True))
        for step in zip(*parts, strict=True)
    ]
