"""Image files listed in a table, with labels and splits."""

import os

import numpy as np
import tensorflow as tf

from keras_effnetv2.data.labelled_files import LabelledFile, read_table
from keras_effnetv2.data.printable import printable, shown
from keras_effnetv2.data.source import Source, check_num_classes
from keras_effnetv2.errors import InputError


def open_csv(
    split: str,
    num_classes: int | None,
    table: str,
    directory: str | None,
    multi_label: bool = False,
    train_split: str = "train",
) -> Source:
    """Opens the images of a table with the columns `file`, `label` and `part`.

    Classes are the labels of the training split, numbered in the order of their names.

    Args:
        split: the value in the column `part` of its images.
        num_classes: number of classes. None: as many as are found.
        table: path of the table.
        directory: folder that files are relative to. None: that of the table.
        multi_label: an image may have several labels, separated by `;`, or none.
        train_split: the split that defines the classes.

    Raises:
        ValueError: no such table, split or files, or a different number of classes.
    """
    if not table:
        raise InputError(
            "Pass the table of the 'csv' dataset as name (--set data.name=FILE.csv). "
            f"Received: {table!r}."
        )
    table = os.path.expanduser(table)
    rows = read_table(table, multi_label)
    chosen = [row for row in rows if row.part == split]
    if not chosen:
        parts = sorted({row.part for row in rows})
        raise InputError(
            f"{printable(table)} has no images of the part {split!r}. It has "
            f"{shown(parts)}: name one of them."
        )
    training = [row for row in rows if row.part == train_split] or chosen
    classes = sorted({label for row in training for label in row.labels})
    _check_classes(table, chosen, classes, num_classes)
    root = os.path.expanduser(directory) if directory else os.path.dirname(table)
    paths = [os.path.join(root, row.file) for row in chosen]
    _check_files(table, root, chosen, paths)
    return _from_rows(chosen, paths, classes, multi_label)


def _from_rows(
    rows: list[LabelledFile], paths: list[str], classes: list[str], multi_label: bool
) -> Source:
    numbers = {label: number for number, label in enumerate(classes)}
    hot = np.zeros((len(rows), len(classes)), "uint8")
    for place, row in enumerate(rows):
        hot[place, [numbers[label] for label in row.labels]] = 1
    # As bytes: names need not be UTF-8.
    path_tensor = tf.constant([os.fsencode(path) for path in paths])
    labels = tf.constant(hot if multi_label else hot.argmax(axis=1))

    def read(index):
        kind = tf.float32 if multi_label else tf.int64
        return tf.io.read_file(path_tensor[index]), tf.cast(labels[index], kind)

    return Source(
        num_examples=len(rows),
        num_classes=len(classes),
        multi_label=multi_label,
        read=read,
        name_of=lambda index: printable(paths[index]),
        class_names=tuple(map(printable, classes)),
        class_counts=tuple(hot.sum(axis=0, dtype="int64").tolist()),
    )


def _check_classes(
    table: str,
    rows: list[LabelledFile],
    classes: list[str],
    num_classes: int | None,
) -> None:
    name = printable(table)
    others = sorted({label for row in rows for label in row.labels} - {*classes})
    if others:
        raise InputError(
            f"{name} has images of classes that its training images do not have: "
            f"{shown(others)}. Put images of them into the training part too."
        )
    if len(classes) < 2:
        raise InputError(
            f"{name} has only one class, {shown(classes)!r}. A classifier needs two."
        )
    check_num_classes(num_classes, len(classes), name)


def _check_files(
    table: str, root: str, rows: list[LabelledFile], paths: list[str]
) -> None:
    """Refuses missing files; remote ones are not checked."""
    if "://" in root:
        return
    pairs = zip(rows, paths, strict=True)
    missing = [row.file for row, path in pairs if not os.path.isfile(path)]
    if missing:
        raise InputError(
            f"{len(missing):,} of {len(rows):,} files in {printable(table)} are not in "
            f"{printable(root) or 'the current folder'}: {shown(missing)}. Pass the "
            "folder that they are relative to as directory."
        )
