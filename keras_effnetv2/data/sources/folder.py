"""Image files in a folder for each class."""

import os
import zlib
from collections.abc import Sequence

import tensorflow as tf

from keras_effnetv2.data import images
from keras_effnetv2.data.sources.source import Source, check_num_classes
from keras_effnetv2.errors import InputError

# Of a folder without splits, one file in so many is for validation.
_VALIDATION = 10


def open_folder(split: str, num_classes: int, directory: str | None) -> Source:
    """Images of `directory/split/class/`, or of `directory/class/`.

    Classes are numbered in the order of their names. Without folders for splits, the
    names of the files decide: about one in ten is of `"validation"`, the others are of
    `"train"`.

    Args:
        split: name of a folder in `directory`, or `"train"` or `"validation"`.
        num_classes: how many folders of classes there are.
        directory: local, or of a file system that TensorFlow knows, as `gs://...`.

    Raises:
        ValueError: no such folder or split, no images, or other classes.
    """
    if directory is None or not tf.io.gfile.isdir(directory):
        raise InputError(
            f"There is no folder {directory!r}. Pass the folder of your images as "
            "directory, with a sub-folder for each split, and in it one for each class."
        )
    found = _folders(directory)
    root = os.path.join(directory, split) if split in found else directory
    classes = _folders(root)
    files = {name: _image_names(os.path.join(root, name)) for name in classes}
    if root == directory and not _are_classes(split, files):
        raise InputError(
            f"There is no split {split!r} in {directory}, which has the folders "
            f"{', '.join(found) or '(none)'}. Name one of them, or put images right "
            "into folders of classes, whose splits are 'train' and 'validation'."
        )
    _check_classes(root, files, num_classes)
    if root != directory and "train" in found:
        _check_same_classes(root, classes, _folders(os.path.join(directory, "train")))
    chosen = [
        (os.path.join(root, name, file), label)
        for label, name in enumerate(classes)
        for file in files[name]
        if root != directory or _is_in_split(f"{name}/{file}", split)
    ]
    if not chosen:
        raise InputError(
            f"None of the images in {directory} falls into {split!r}, which happens "
            f"where there are few. Make folders train and validation in it."
        )
    return _from_files(*zip(*chosen, strict=True), classes)


def _from_files(
    paths: Sequence[str], labels: Sequence[int], classes: Sequence[str]
) -> Source:
    path_tensor, label_tensor = tf.constant(paths), tf.constant(labels, tf.int64)
    return Source(
        num_examples=len(paths),
        num_classes=len(classes),
        multi_label=False,
        read=lambda index: (tf.io.read_file(path_tensor[index]), label_tensor[index]),
        name_of=lambda index: paths[index],
        class_names=tuple(classes),
    )


def _folders(directory: str) -> list[str]:
    """Names of sub-folders, in order, but hidden ones."""
    names = (name.rstrip("/") for name in tf.io.gfile.listdir(directory))
    return sorted(
        name
        for name in names
        if not name.startswith(".") and tf.io.gfile.isdir(os.path.join(directory, name))
    )


def _image_names(directory: str) -> list[str]:
    return sorted(images.readable(tf.io.gfile.listdir(directory), directory))


def _are_classes(split: str, files: dict[str, list[str]]) -> bool:
    """Whether a folder is one of classes, which then has two splits."""
    return split in ("train", "validation") and any(files.values())


def _is_in_split(name: str, split: str) -> bool:
    # A hash of the name, so that new files leave the others where they are.
    is_validation = zlib.crc32(name.encode()) % _VALIDATION == 0
    return is_validation == (split == "validation")


def _check_classes(root: str, files: dict[str, list[str]], num_classes: int) -> None:
    if not any(files.values()):
        raise InputError(
            f"{root} has no images in sub-folders, one for each class. "
            f"Expected files that end in {', '.join(sorted(images.SUFFIXES))}."
        )
    empty = [name for name, names in files.items() if not names]
    if empty:
        raise InputError(
            f"There are no images in these folders of {root}: {', '.join(empty)}. "
            "Each folder is a class; remove those that are none."
        )
    if len(files) < 2:
        raise InputError(
            f"{root} has one class only, {[*files][0]!r}. A classifier needs two: make "
            "a folder for each."
        )
    check_num_classes(num_classes, len(files), root)


def _check_same_classes(root: str, classes: list[str], expected: list[str]) -> None:
    """Classes are numbered by name: a missing one would shift the others."""
    if classes != expected:
        differing = sorted(set(classes) ^ set(expected))
        raise InputError(
            f"{root} has other classes than the folder train beside it. "
            f"In only one of them: {', '.join(differing)}."
        )
