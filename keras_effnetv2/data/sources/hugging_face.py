"""Datasets of the Hugging Face Hub or in its library's formats, from Arrow files.

Names are `OWNER/NAME`, `OWNER/NAME:CONFIG` and `OWNER/NAME@REVISION`, or a folder that
the library has saved or can load: with Parquet files, or with images.
"""

import pathlib
import re
import textwrap
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from keras_effnetv2.data.printable import printable, shown
from keras_effnetv2.data.source import Source, check_num_classes, parse_split
from keras_effnetv2.errors import InputError, require_modules

_NAME = re.compile(
    r"(?P<repository>[\w.-]+(/[\w.-]+)?)(:(?P<config>[\w.-]+))?(@(?P<revision>[\w./-]+))?"
)
# Parts of a split that must serve for validation too: one image in so many is held out
# of each class.
_PARTS, _HELD_OUT = ("kept", "held_out"), 5
_LABELS = ("label", "labels")  # These come first if several columns have classes.
_LONGEST_REASON = 400  # Characters.


def open_hugging_face(
    name: str, split: str, num_classes: int | None, multi_label: bool = False
) -> Source:
    """Opens a split of a dataset, and downloads it if necessary.

    Images come from the first column of images, labels from the column `label` or
    `labels`, or else from the first column of classes.

    Args:
        name: name of the dataset, or a folder; see above.
        split: such as `"train"` or `"train[:1000]"`; `"train[kept]"` and
            `"train[held_out]"` are four fifths of each class and the rest.
        num_classes: number of classes. None: that of the dataset.
        multi_label: labels are lists of classes.

    Raises:
        ValueError: no such dataset or split, or one without images and classes.
        ImportError: the library `datasets` is not installed.
    """
    splits = load_splits(name)
    base, part = _divided(split)
    base, subset = parse_split(base, tuple(splits))
    dataset = splits[base]
    image_key, label_key, feature = _columns(name, dataset, multi_label)
    check_num_classes(num_classes, feature.num_classes, f"The dataset {name}")
    labels = _labels(dataset, label_key, feature.num_classes, multi_label)
    numbers = _part(labels, part) if part else np.arange(len(labels))[subset]
    if not len(numbers) or (labels[numbers] < 0).any():
        lacks = "lacks labels" if len(numbers) else "is empty"
        raise InputError(
            f"The split {split!r} of {name} {lacks}. It has {shown(splits)}: choose "
            "another."
        )
    return _from_rows(
        *(_encoded(dataset, image_key), numbers, labels[numbers], multi_label),
        names=tuple(map(printable, feature.names)),
        title=f"{name} {base}",
    )


def load_splits(name: str) -> dict[str, Any]:
    """The splits of a dataset by name, as objects of the library.

    Raises:
        ValueError: there is no such dataset, or it cannot be reached now.
        ImportError: the library is not installed.
    """
    require_modules("Datasets of the Hugging Face Hub need", "datasets", "datasets")
    import datasets

    folder, address = pathlib.Path(name).expanduser(), _address(name)
    try:
        if any((folder / x).is_file() for x in ("dataset_dict.json", "state.json")):
            found = datasets.load_from_disk(str(folder))
        elif folder.is_dir():
            found = datasets.load_dataset(str(folder))
        else:
            repository, config, revision = address
            found = datasets.load_dataset(repository, config, revision=revision)
    except Exception as error:  # The library raises errors of many others.
        reason = textwrap.shorten(str(error), _LONGEST_REASON, placeholder=" ...")
        raise InputError(
            f"The dataset {printable(name)!r} of the Hugging Face Hub cannot be "
            f"loaded: {reason}"
        ) from error
    if isinstance(found, datasets.DatasetDict):
        return {str(split): dataset for split, dataset in found.items()}
    return {"train": found}  # Saved without a split.


def _address(name: str) -> tuple[str, str | None, str | None]:
    """Repository, configuration and revision of a name that is not a folder."""
    match = _NAME.fullmatch(name)
    if match is not None:
        return match["repository"], match["config"], match["revision"]
    if pathlib.Path(name).expanduser().is_dir():
        return name, None, None
    raise InputError(
        "A dataset of the Hugging Face Hub is OWNER/NAME, OWNER/NAME:CONFIG or "
        f"OWNER/NAME@REVISION, or a folder. Received: {printable(name)!r}."
    )


def has_labels(name: str, dataset: Any) -> bool:
    """Whether every image of a split has a class; public test sets have none."""
    _, column, feature = _columns(name, dataset, False)
    return bool((_labels(dataset, column, feature.num_classes, False) >= 0).all())


def is_multi_label(dataset: Any) -> bool:
    """Whether the images of a split have lists of classes, and no single class."""
    kinds = {_class_feature(x)[1] for x in dataset.features.values()}
    return "several" in kinds and "one" not in kinds


def _divided(split: str) -> tuple[str, str]:
    """A split, and the part of it that is asked for, if any."""
    match = re.fullmatch(rf"(\w+)\[({'|'.join(_PARTS)})\]", split)
    return (match[1], match[2]) if match else (split, "")


def _columns(name: str, dataset: Any, multi_label: bool) -> tuple[str, str, Any]:
    """Columns of images and of labels, and the feature that has the classes."""
    import datasets

    features = dataset.features
    images = [x for x, kind in features.items() if isinstance(kind, datasets.Image)]
    wanted = "several" if multi_label else "one"
    labels = {
        column: feature
        for column, (feature, kind) in (
            (column, _class_feature(kind)) for column, kind in features.items()
        )
        if kind == wanted
    }
    if not images or not labels:
        many = "a list of classes" if multi_label else "one class"
        raise InputError(
            f"The dataset {name} does not consist of images, each with {many}: its "
            f"columns are {shown(features)}. If a column of another type has the "
            "classes, encode it as classes and save the dataset: "
            "dataset.class_encode_column(COLUMN).save_to_disk(FOLDER)."
        )
    label = next((x for x in _LABELS if x in labels), next(iter(labels)))
    return images[0], label, labels[label]


def _class_feature(feature: Any) -> tuple[Any, str]:
    """The classes of a column, and whether an image has `"one"` or `"several"`."""
    import datasets

    if isinstance(feature, datasets.ClassLabel):
        return feature, "one"
    inner = getattr(feature, "feature", None)
    if isinstance(inner, datasets.ClassLabel):
        return inner, "several"
    return None, ""


def _labels(
    dataset: Any, column: str, num_classes: int, multi_label: bool
) -> np.ndarray:
    """Classes, int64 `(images,)`, negative if unknown; or rows of 0 and 1."""
    values = dataset.select_columns(column).with_format(None)[:][column]
    if not multi_label:
        return np.array([-1 if x is None else x for x in values], "int64")
    hot = np.zeros((len(values), num_classes), "int8")
    for row, classes in zip(hot, values, strict=True):
        row[classes or []] = 1
    return hot


def _part(labels: np.ndarray, part: str) -> np.ndarray:
    """Numbers of the images that are kept, or of those held out, in order."""
    _, kinds = np.unique(labels, axis=0, return_inverse=True)
    kinds = kinds.reshape(-1)
    # Neighbours are often alike, such as frames of a film. The same in every NumPy
    # version.
    order = np.random.RandomState(0).permutation(len(labels))
    order = order[np.argsort(kinds[order], kind="stable")]
    ends = np.cumsum(np.bincount(kinds))
    held_out = [
        # At least one, and never all.
        members[: max(1, round(len(members) / _HELD_OUT)) if len(members) > 1 else 0]
        for members in np.split(order, ends[:-1])
    ]
    chosen = np.sort(np.concatenate(held_out))
    if part == "held_out":
        return chosen
    return np.setdiff1d(np.arange(len(labels)), chosen)


def _encoded(dataset: Any, column: str) -> Any:
    """The encoded images of a split, by number."""
    import datasets

    undecoded = dataset.select_columns(column).with_format(None)
    undecoded = undecoded.cast_column(column, datasets.Image(decode=False))
    return lambda number: undecoded[number][column]


def _from_rows(
    cell: Callable[[int], Any],
    numbers: np.ndarray,
    labels: np.ndarray,
    multi_label: bool,
    *,
    names: tuple[str, ...],
    title: str,
) -> Source:
    rows = tf.constant(numbers, tf.int64)
    label_tensor = tf.constant(labels)

    def contents(row: np.ndarray) -> bytes:
        found = cell(int(row)) or {}
        if found.get("bytes") is None and found.get("path"):
            return pathlib.Path(found["path"]).read_bytes()
        return found.get("bytes") or b""  # No decoder takes this for an image.

    def read(index):
        # Stateless: rows may be made in parallel.
        image = tf.numpy_function(contents, [rows[index]], tf.string, stateful=False)
        kind = tf.float32 if multi_label else tf.int64
        return tf.ensure_shape(image, ()), tf.cast(label_tensor[index], kind)

    counts = labels.sum(axis=0, dtype="int64") if multi_label else None
    if counts is None:
        counts = np.bincount(labels, minlength=len(names))
    return Source(
        num_examples=len(numbers),
        num_classes=len(names),
        multi_label=multi_label,
        read=read,
        name_of=lambda index: f"{title} image {numbers[index]}",
        class_names=names,
        class_counts=tuple(counts.tolist()),
    )
