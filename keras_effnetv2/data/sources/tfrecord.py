"""ImageNet and ImageNet-21k, as used to train the released networks.

Layouts and divisions into splits: google/automl, efficientnetv2/datasets.py.
"""

import fnmatch
import os
import re

import tensorflow as tf

from keras_effnetv2.data.printable import shown
from keras_effnetv2.data.records.record_opening import Reading, open_records
from keras_effnetv2.data.source import Source
from keras_effnetv2.errors import InputError
from keras_effnetv2.paths import as_path, is_remote

# The released code evaluates small changes on the first 20 of ImageNet's 1,024 files.
_MINIVAL_SHARE = 20 / 1024
# The first 16 of ImageNet-21k's files are for evaluation, the next 4 are the minival.
_NUM_EVALUATION, _NUM_MINIVAL = 16, 4


def open_imagenet(
    split: str,
    num_classes: int | None,
    directory: str,
    reading: Reading | None = None,
) -> Source:
    """Opens records with `image/encoded` and `image/class/label`; 0 is background.

    Args:
        split: `"train"`: all files `train-*` except the first 2%; `"minival"`: these;
            `"train+minival"`: both; `"validation"`: the files `validation-*`.
        num_classes: labels are 1 to this number.
        directory: folder of the files, or of folders `train` and `validation` with
            them.
        reading: how to read. None: the defaults of `Reading`.

    Raises:
        ValueError: no such files or split, or files that are not TFRecord files.
    """
    kind = "validation" if split == "validation" else "train"
    paths = _paths(directory, (f"{kind}-*", f"{kind}/{kind}-*"))
    num_minival = round(_MINIVAL_SHARE * len(paths))
    parts = {
        "train": slice(num_minival, None),
        "minival": slice(num_minival),
        "train+minival": slice(None),
        "validation": slice(None),
    }
    num_classes = _stated(num_classes, directory)
    features = {
        "image/encoded": tf.io.FixedLenFeature((), tf.string),
        "image/class/label": tf.io.FixedLenFeature((), tf.int64),
    }

    def parse(record):
        parsed = tf.io.parse_single_example(record, features)
        return parsed["image/encoded"], parsed["image/class/label"] - 1

    return open_records(
        _choose(paths, parts, split),
        parse,
        reading or Reading(),
        num_classes=num_classes,
        multi_label=False,
    )


def open_imagenet21k(
    split: str,
    num_classes: int | None,
    directory: str,
    reading: Reading | None = None,
) -> Source:
    """Opens records with `image` and `labels`: 0 or 1 for each class.

    Args:
        split: `"validation"`: the first 16 files; `"minival"`: the next 4; `"train"`:
            the others; `"train+minival"`.
        num_classes: number of values in `labels`.
        directory: folder of the files `imagenet21k*`, `train-*` or `*.tfrecord*`.
        reading: how to read. None: the defaults of `Reading`.

    Raises:
        ValueError: no such files or split, or files that are not TFRecord files.
    """
    paths = _paths(directory, ("imagenet21k*", "train-*", "*.tfrecord*"))
    first, end = _NUM_EVALUATION, _NUM_EVALUATION + _NUM_MINIVAL
    parts = {
        "train": slice(end, None),
        "minival": slice(first, end),
        "train+minival": slice(first, None),
        "validation": slice(first),
    }
    num_classes = _stated(num_classes, directory)
    features = {
        "image": tf.io.FixedLenFeature((), tf.string),
        "labels": tf.io.FixedLenFeature((num_classes,), tf.int64),
    }

    def parse(record):
        parsed = tf.io.parse_single_example(record, features)
        return parsed["image"], tf.cast(parsed["labels"], tf.float32)

    return open_records(
        _choose(paths, parts, split),
        parse,
        reading or Reading(),
        num_classes=num_classes,
        multi_label=True,
    )


def _stated(num_classes: int | None, directory: str) -> int:
    if num_classes is None:
        raise InputError(
            f"The TFRecords in {directory} do not say how many classes there are. Set "
            "data.num_classes."
        )
    return num_classes


def _paths(directory: str, patterns: tuple[str, ...]) -> list[str]:
    """The files of the first pattern that matches any, in order."""
    if is_remote(directory):
        as_path(directory).exists()  # Reports missing permissions.
    for pattern in patterns:
        folder, name = os.path.split(os.path.join(directory, pattern))
        if tf.io.gfile.isdir(folder):
            found = fnmatch.filter(tf.io.gfile.listdir(folder), name)
            if found:
                _check_complete(sorted(found), folder)
                return [os.path.join(folder, name) for name in sorted(found)]
    raise InputError(
        f"There are no files {' or '.join(patterns)} in {directory}. Pass the folder "
        "of the TFRecord files as directory."
    )


def _check_complete(names: list[str], folder: str) -> None:
    """Refuses numbered files of which some are missing."""
    match = re.fullmatch(r"(.*)-\d+-of-(\d{1,6})", names[0])
    if match is None:
        return
    stem, num = match.groups()
    width = len(num)
    expected = [f"{stem}-{x:0{width}}-of-{num}" for x in range(int(num))]
    missing = sorted({*expected} - {*names})
    if missing and {*names} < {*expected}:
        raise InputError(
            f"{len(missing):,} of {int(num):,} files are missing in {folder}: "
            f"{shown(missing)}. Download or copy them."
        )


def _choose(paths: list[str], parts: dict[str, slice], split: str) -> list[str]:
    if split not in parts:
        raise InputError(
            f"The splits are {', '.join(parts)}. Received: split={split!r}."
        )
    chosen = paths[parts[split]]
    if not chosen:
        raise InputError(
            f"None of the {len(paths)} files next to {paths[0]} is in the split "
            f"{split!r}: there are too few. Choose another of {', '.join(parts)}."
        )
    return chosen
