"""Rows of results from the machines of a Ray cluster: those that one process gives."""

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

# That an actor classifies before it hands in: a minute's work on a processor at most,
# so that not more is done again where one is lost.
_BATCHES = 16

# What gives the rows of images: of a classifier, in the order of the images.
RowsOf = Callable[[Classifier, Sequence[Item]], list[Row]]


def rows(
    args: argparse.Namespace,
    images: Sequence[Item],
    rows_of: RowsOf,
    is_many: bool = False,
) -> Iterator[list[Row]]:
    """Rows of the images in their order, many at a time.

    Args:
        args: with the flags of a classifier, which each actor opens.
        images: whose files each machine has by these names.
        rows_of: of a module, as actors get it.
        is_many: as `open_classifier` takes it.
    """
    if not images:
        return
    # Whole batches: numbers depend on how many images are computed together.
    num = _BATCHES * args.batch_size
    tasks = [images[start : start + num] for start in range(0, len(images), num)]
    progress = Progress("Images", len(images))
    make = functools.partial(_opened, os.getcwd(), args, rows_of, is_many)
    for found in fleet.on_actors(make, tasks):
        yield found
        progress.advance(len(found))
    progress.finish()


def leave_devices() -> None:
    """This process computes nothing: the GPUs of its machine are for actors."""
    tf.config.set_visible_devices([], "GPU")


def _opened(
    folder: str, args: argparse.Namespace, rows_of: RowsOf, is_many: bool
) -> Callable[[Sequence[Item]], list[Row]]:
    """In an actor: what classifies."""
    os.chdir(folder)  # Relative names are of the process that was given them.
    return functools.partial(rows_of, open_classifier(args, is_many))
