"""A source of any kind, by name."""

import dataclasses

from keras_effnetv2.data.records.record_opening import Reading
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
from keras_effnetv2.data.sources.source import Source
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
        split: in the words of the kind; its module says which.
        num_classes: labels are below it. None: as many as the data has, which all but
            TFRecords say.
        name: of a dataset of TensorFlow Datasets or of the Hugging Face Hub, there also
            a folder; of the table of `"csv"`, a path.
        directory: where the data is. None: where the kind has it by default.
        multi_label: an image may have several classes.
        cache: read all encoded images into memory, once.
        orientation: of encoded images, `"upright"`: turned as their EXIF says; or
            `"stored"`: as they are. `"auto"`: upright, but in ImageNet's TFRecords as
            they are, since the released code does not look at EXIF.
        train_split: of the kinds `"folder"` and `"csv"`, the split whose classes count.
        reading: how records are read. None: as `Reading` has it; with `cache`, all at
            once, and then in any order.

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
        raise InputError(f"kind is one of {', '.join(_KINDS)}. Received: {kind!r}.")
    if source.multi_label != multi_label:
        raise InputError(
            f"The labels of {kind!r} are such that multi_label={source.multi_label}. "
            f"Received: multi_label={multi_label}."
        )
    source = dataclasses.replace(source, turn_upright=_is_turned(kind, orientation))
    return cached(source) if cache else source


def _check_reading(reading: Reading, kind: str, cache: bool) -> None:
    """Refuses chunks of what has none.

    Raises:
        ValueError: the kind has no records, or they are kept in memory.
    """
    if reading.order != "chunks":
        return
    if kind not in ("tfds", *_OF_RECORDS):
        raise InputError(
            f"Chunks are of records: of tfds, {', '.join(_OF_RECORDS)}. Received: "
            f"order='chunks' with the kind {kind!r}. Leave it at 'auto'."
        )
    if cache:
        raise InputError(
            "Images in memory are taken in any order. Received: order='chunks' with "
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
    """Whether images are turned as their EXIF says.

    Raises:
        ValueError: there is no such orientation.
    """
    if orientation not in ("auto", "upright", "stored"):
        raise InputError(
            "orientation is 'auto', 'upright' or 'stored'. Received: "
            f"orientation={orientation!r}."
        )
    if orientation == "auto":
        return kind not in _OF_RECORDS
    return orientation == "upright"
