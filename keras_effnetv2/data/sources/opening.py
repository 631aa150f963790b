"""Opens a source of any kind, by name."""

import dataclasses

from keras_effnetv2.data.records.record_opening import Reading
from keras_effnetv2.data.source import Source
from keras_effnetv2.data.sources import (
    csv_files,
    digits,
    folder,
    hugging_face,
    idx,
    tfds,
    tfrecord,
)
from keras_effnetv2.data.sources.cache import cached
from keras_effnetv2.errors import InputError

_OF_RECORDS = {
    "imagenet_tfrecord": tfrecord.open_imagenet,
    "imagenet21k_tfrecord": tfrecord.open_imagenet21k,
}
_KINDS = ("tfds", "digits", "folder", "idx", "csv", "hugging_face", *_OF_RECORDS)


def open_source(
    kind: str,
    split: str,
    *,
    num_classes: int | None = None,
    name: str = "",
    directory: str | None = None,
    multi_label: bool = False,
    cache: bool = False,
    orientation: str = "auto",
    train_split: str = "train",
    reading: Reading | None = None,
) -> Source:
    """Opens a split of a dataset.

    Args:
        kind: `"tfds"`, `"folder"`, `"imagenet_tfrecord"`, `"imagenet21k_tfrecord"`,
            `"idx"`, `"digits"`, `"csv"` or `"hugging_face"`.
        split: as named by the kind; see its module.
        num_classes: labels are below it. None: as many as the data has; required for
            TFRecords.
        name: name of a dataset of TensorFlow Datasets or of the Hugging Face Hub (there
            also a folder), or path of the table of `"csv"`.
        directory: where the data is. None: the default of the kind.
        multi_label: an image may have several classes.
        cache: whether to read all encoded images into memory, once.
        orientation: orientation of encoded images. `"upright"`: rotated as their EXIF
            says; `"stored"`: as they are; `"auto"`: upright, except for ImageNet's
            TFRecords, since the released code ignores EXIF.
        train_split: for the kinds `"folder"` and `"csv"`, the split that defines the
            classes.
        reading: how records are read. None: the defaults of `Reading`; with `cache`,
            all at once, and then in any order.

    Raises:
        ValueError: there is no such kind, dataset, split or orientation, or it is not
            as described.
        ImportError: the kind needs a package that is not installed.
    """
    reading = reading or Reading()
    _check_reading(reading, kind, cache)
    if kind == "tfds":
        source = tfds.open_tfds(
            name, split, num_classes, directory, multi_label, reading
        )
    elif kind == "digits":
        source = digits.open_digits(split, num_classes)
    elif kind == "folder":
        root = _required(directory, kind)
        source = folder.open_folder(split, num_classes, root, train_split)
    elif kind == "idx":
        source = idx.open_idx(split, num_classes, directory)
    elif kind == "csv":
        source = csv_files.open_csv(
            split, num_classes, name, directory, multi_label, train_split
        )
    elif kind == "hugging_face":
        source = hugging_face.open_hugging_face(name, split, num_classes, multi_label)
    elif kind in _OF_RECORDS:
        root = _required(directory, kind)
        source = _OF_RECORDS[kind](split, num_classes, root, reading)
    else:
        raise InputError(
            f"kind must be one of {', '.join(_KINDS)}. Received: {kind!r}."
        )
    if source.multi_label != multi_label:
        raise InputError(
            f"The labels of {kind!r} require multi_label={source.multi_label}. "
            f"Received: multi_label={multi_label}."
        )
    source = dataclasses.replace(source, turn_upright=_is_turned(kind, orientation))
    return cached(source) if cache else source


def _check_reading(reading: Reading, kind: str, cache: bool) -> None:
    """Refuses chunk order for data without chunks.

    Raises:
        ValueError: the kind has no records, or they are kept in memory.
    """
    if reading.order != "chunks":
        return
    if kind not in ("tfds", *_OF_RECORDS):
        raise InputError(
            f"Chunk order needs records: the kinds tfds, {', '.join(_OF_RECORDS)}. "
            f"Received: order='chunks' with the kind {kind!r}. Leave it at 'auto'."
        )
    if cache:
        raise InputError(
            "Images in memory need no chunk order. Received: order='chunks' with "
            "cache=True. Leave out one of them."
        )


def _required(directory: str | None, kind: str) -> str:
    if not directory:
        raise InputError(
            f"Pass the folder of the {kind!r} dataset as directory (--set "
            f"data.directory=FOLDER). Received: {directory!r}."
        )
    return directory


def _is_turned(kind: str, orientation: str) -> bool:
    """Whether images are rotated as their EXIF says.

    Raises:
        ValueError: unknown orientation.
    """
    if orientation not in ("auto", "upright", "stored"):
        raise InputError(
            "orientation must be 'auto', 'upright' or 'stored'. Received: "
            f"orientation={orientation!r}."
        )
    if orientation == "auto":
        return kind not in _OF_RECORDS
    return orientation == "upright"
