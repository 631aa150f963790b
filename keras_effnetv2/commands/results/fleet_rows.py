"""Rows of results from a Ray cluster, equal to those of a single process."""

import argparse
import functools
import os
from collections.abc import Callable, Iterator, Sequence

import tensorflow as tf

from keras_effnetv2 import fleet
from keras_effnetv2.classification.classifying import Classifier
from keras_effnetv2.classification.inputs import Item
from keras_effnetv2.commands.results.result_files import Row
from keras_effnetv2.commands.shared.classifiers import open_classifier
from keras_effnetv2.progress import Progress

# Batches that an actor classifies before it returns results: at most a minute's work on
# a processor, so that little is repeated if an actor is lost.
_BATCHES = 16

# Makes the rows of images with a classifier, in the order of the images.
RowsOf = Callable[[Classifier, Sequence[Item]], list[Row]]


def rows(
    args: argparse.Namespace, images: Sequence[Item], rows_of: RowsOf
) -> Iterator[list[Row]]:
    """Rows of the images in their order, many at a time.

    Args:
        args: the flags of a classifier, which each actor opens.
        images: images whose files each machine has under these names.
        rows_of: makes the rows; defined in a module, so that actors can import it.
    """
    if not images:
        return
    # Whole batches: results depend on how many images are computed together.
    num = _BATCHES * args.batch_size
    tasks = [images[start : start + num] for start in range(0, len(images), num)]
    progress = Progress("Images", len(images))
    make = functools.partial(_opened, os.getcwd(), args, rows_of)
    for found in fleet.on_actors(make, tasks):
        yield found
        progress.advance(len(found))
    progress.finish()


def leave_devices() -> None:
    """Leaves the GPUs of this machine to actors."""
    tf.config.set_visible_devices([], "GPU")


def _opened(
    folder: str, args: argparse.Namespace, rows_of: RowsOf
) -> Callable[[Sequence[Item]], list[Row]]:
    """In an actor: the function that classifies."""
    os.chdir(folder)  # Relative names are relative to the calling process.
    return functools.partial(rows_of, open_classifier(args))
