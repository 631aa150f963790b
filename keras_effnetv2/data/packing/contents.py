"""What is packed: splits, classes and images of a folder, before any is read."""

import concurrent.futures
import dataclasses
import hashlib
import os
import re
from collections.abc import Iterator, Mapping

from keras_effnetv2.data.packing.shards import LabelledImage
from keras_effnetv2.data.printable import printable, shown
from keras_effnetv2.data.sources import folder as class_folders
from keras_effnetv2.errors import InputError
from keras_effnetv2.paths import as_path, is_remote

# Files whose status is requested at the same time.
_NUM_THREADS = 16
# Names that TensorFlow Datasets accepts in `split=`.
_SPLIT = r"[\w-]+"


@dataclasses.dataclass(frozen=True)
class Contents:
    """The images of a folder.

    Attributes:
        class_names: a name for each class.
        splits: images of each split.
    """

    class_names: tuple[str, ...]
    splits: Mapping[str, tuple[LabelledImage, ...]]

    def digest(self) -> str:
        """A digest of the images, classes and sizes of files."""
        digest = hashlib.blake2b(digest_size=16)
        lines = (
            f"{split}\t{x.name}\t{x.label}\t{x.size}\n"
            for split, found in self.splits.items()
            for x in found
        )
        for text in (*self.class_names, *lines):
            digest.update(text.encode())
        return digest.hexdigest()


def find(folder: str, train_split: str = "train") -> Contents:
    """The images of each split, as in the source `folder`.

    Args:
        folder: absolute, or of a file system that TensorFlow knows.
        train_split: the split whose folders are the classes.

    Raises:
        ValueError: the folder holds nothing that can be packed, or may not be read.
        OSError: there is no such bucket, or no permission for it.
    """
    if is_remote(folder):
        as_path(folder).exists()  # Reports what is wrong with the bucket.
    try:
        found = class_folders.find_splits(folder, train_split)
        splits = {
            split: tuple(_images(folder, classes)) for split, classes in found.items()
        }
    except PermissionError as error:
        raise InputError(
            f"{printable(error.filename or folder)} cannot be read: {error.strerror}. "
            "Change its permissions, or copy the images."
        ) from error
    class_names = tuple(found[train_split if train_split in found else "train"])
    _check_names(folder, class_names, splits)
    return Contents(class_names, splits)


def _images(folder: str, classes: class_folders.Classes) -> Iterator[LabelledImage]:
    labelled = class_folders.labelled_paths(classes)
    with concurrent.futures.ThreadPoolExecutor(_NUM_THREADS) as pool:
        sizes = pool.map(_size, (path for path, _ in labelled))
        for (path, label), size in zip(labelled, sizes, strict=True):
            yield LabelledImage(path, _name(folder, path), label, size)


def _size(path: str) -> int:
    """Size of a file, bytes; 0 if it is gone or in a bucket."""
    if is_remote(path) or not os.path.exists(path):
        return 0
    return os.stat(path).st_size


def _name(folder: str, path: str) -> str:
    """The path within the folder, independent of where that is."""
    inside = path[len(folder) :].lstrip(os.sep)
    return printable(inside.replace(os.sep, "/"))


def _check_names(
    folder: str, class_names: tuple[str, ...], splits: Mapping[str, object]
) -> None:
    """Refuses names that TensorFlow Datasets would change or reject."""
    blank = [name for name in class_names if name != name.strip()]
    if blank:
        raise InputError(
            f"Names of classes may not begin or end with spaces: {blank[:5]}. Rename "
            f"the folders in {printable(folder)}."
        )
    others = [name for name in splits if not re.fullmatch(_SPLIT, name)]
    if others:
        raise InputError(
            f"Names of splits consist of letters, digits, '_' and '-'. Received: "
            f"{shown(others)}. Rename the folders in {printable(folder)}."
        )
