"""Image files in one folder per class."""

import dataclasses
import os
import zlib
from collections.abc import Sequence

import numpy as np
import tensorflow as tf
from absl import logging

from keras_effnetv2.data import folders
from keras_effnetv2.data.printable import composed, printable, shown
from keras_effnetv2.data.source import Source, check_num_classes
from keras_effnetv2.data.sources.splits import has_splits
from keras_effnetv2.errors import InputError

# In a folder without splits, one file in so many is for validation.
_VALIDATION = 10

# The folders of each class, by name; several if their names look the same.
Classes = dict[str, list[folders.Listing]]


def open_folder(
    split: str, num_classes: int | None, directory: str, train_split: str = "train"
) -> Source:
    """Opens the images of `directory/split/class/` or `directory/class/`.

    The contents of the folders decide which, not their names. In every split, the
    classes are those of the training split, numbered in the order of their names.
    Without folders for splits, the file names decide: about one file in ten is in
    `"validation"`, the others are in `"train"`.

    Args:
        split: name of a folder in `directory`, or `"train"` or `"validation"`.
        num_classes: number of folders of classes. None: as many as are found.
        directory: local, or of a file system that TensorFlow knows, such as `gs://...`.
        train_split: name of the split whose folders are the classes.

    Raises:
        ValueError: no such folder or split, no images, or different classes.
    """
    top = _top(directory)
    if has_splits(top, {split, train_split}):
        found = _of_split(top, split, train_split, num_classes)
    else:
        found = _of_hash(top, split, num_classes)
    _log_left_out(found)
    files, labels = zip(*labelled_paths(found), strict=True)
    return _from_files(files, labels, [*found])


def find_splits(directory: str, train_split: str = "train") -> dict[str, Classes]:
    """Every split of a folder, with the images that `open_folder` returns for it.

    All have the classes of the training split, which comes first.

    Raises:
        ValueError: no such folder, no such training split, no images, or different
            classes.
    """
    top = _top(directory)
    if not has_splits(top, {train_split}):
        return _splits_of_hash(top)
    found = {train_split: _of_split(top, train_split, train_split, None)}
    for split in top.folders:
        if split != train_split and _with_classes(top.folder(split)):
            found[split] = _of_split(top, split, train_split, None)
    for classes in found.values():
        _log_left_out(classes)
    return found


def labelled_paths(classes: Classes) -> list[tuple[str, int]]:
    """Paths of all images, each with the number of its class."""
    return [
        (path, label)
        for label, of_class in enumerate(classes.values())
        for listing in of_class
        for path in listing.paths()
    ]


def _top(directory: str) -> folders.Listing:
    """The direct contents of the folder of a dataset."""
    directory = os.path.expanduser(directory)
    if not tf.io.gfile.isdir(os.fsencode(directory)):
        raise InputError(
            f"{folders.absence(directory)} Pass the folder of your images as "
            "directory, with a subfolder for each split, and in it one for each class."
        )
    return folders.listing(directory)


def _from_files(
    paths: Sequence[str], labels: Sequence[int], classes: Sequence[str]
) -> Source:
    # As bytes: names need not be UTF-8.
    path_tensor = tf.constant([os.fsencode(path) for path in paths])
    label_tensor = tf.constant(labels, tf.int64)
    return Source(
        num_examples=len(paths),
        num_classes=len(classes),
        multi_label=False,
        read=lambda index: (tf.io.read_file(path_tensor[index]), label_tensor[index]),
        name_of=lambda index: printable(paths[index]),
        class_names=tuple(classes),
        class_counts=tuple(np.bincount(labels, minlength=len(classes)).tolist()),
    )


def _with_classes(root: folders.Listing) -> bool:
    """Whether a folder next to that of the training split has labelled images too."""
    if any(root.folder(name).images for name in root.folders):
        return True
    if root.images:
        logging.warning(
            "%s is not a split, and is left out: its images are in no folder of a "
            "class.",
            root.title,
        )
    return False


def _of_split(
    top: folders.Listing, split: str, train_split: str, num_classes: int | None
) -> Classes:
    """The classes in the folder of a split."""
    if split not in top.folders:
        raise InputError(
            f"There is no split {split!r} in {top.title}, which has the folders "
            f"{shown(top.folders)}, with folders of classes in them. Name one of them."
        )
    root = top.folder(split)
    found = _read_classes(root)
    if not _with_images(found):
        raise InputError(
            f"{root.title} has no images in subfolders, one for each class. "
            f"{folders.expected()}"
        )
    if split == train_split:
        _check_classes(root, found, num_classes)
        return found
    train_root = os.path.join(top.path, train_split)
    training = (
        _read_classes(top.folder(train_split)) if train_split in top.folders else {}
    )
    if training:
        check_num_classes(num_classes, len(training), printable(train_root))
        _check_known(root, _with_images(found), printable(train_root), [*training])
    elif num_classes not in (None, len(found)):
        raise InputError(_unnumbered(root, found, printable(train_root), num_classes))
    classes = {name: found.get(name, []) for name in training or found}
    _log_missing(root.title, classes)
    return classes


def _of_hash(top: folders.Listing, split: str, num_classes: int | None) -> Classes:
    """The classes of a folder without splits, with the files of one split."""
    chosen = _chosen(_undivided(top, split, num_classes), split)
    if not _with_images(chosen):
        raise InputError(
            f"None of the images in {top.title} falls into {split!r}, which happens "
            "if there are few. Make folders train and validation in it."
        )
    _log_missing(f"The split {split!r} of {top.title}", chosen)
    return chosen


def _splits_of_hash(top: folders.Listing) -> dict[str, Classes]:
    """The splits of a folder without splits; with few images, one may get them all."""
    found = _undivided(top, "train", None)
    _log_left_out(found)
    splits = {split: _chosen(found, split) for split in ("train", "validation")}
    return {
        split: classes for split, classes in splits.items() if _with_images(classes)
    }


def _undivided(top: folders.Listing, split: str, num_classes: int | None) -> Classes:
    """The classes of a folder without splits, with all of their files."""
    found = _read_classes(top)
    if split not in ("train", "validation") or not _with_images(found):
        raise InputError(
            f"There is no split {split!r} in {top.title}, which has the folders "
            f"{shown(top.folders) or '(none)'}. With images directly in folders of "
            "classes the splits are 'train' and 'validation'; any other is a folder "
            "that holds folders of classes."
        )
    _check_classes(top, found, num_classes)
    return found


def _chosen(classes: Classes, split: str) -> Classes:
    return {
        name: [_part(listing, split) for listing in of_class]
        for name, of_class in classes.items()
    }


def _part(listing: folders.Listing, split: str) -> folders.Listing:
    """The images of a folder that belong to a split."""
    folder = os.path.basename(listing.path)
    chosen = (x for x in listing.images if _is_in_split(f"{folder}/{x}", split))
    return dataclasses.replace(listing, images=tuple(chosen))


def _is_in_split(name: str, split: str) -> bool:
    # A hash of the name, so that new files do not move the others; of the composed
    # name, so that a copy on macOS is divided in the same way.
    is_validation = zlib.crc32(os.fsencode(composed(name))) % _VALIDATION == 0
    return is_validation == (split == "validation")


def _read_classes(root: folders.Listing) -> Classes:
    """The folders of each class, in the order of the classes' names."""
    found: Classes = {}
    for name in root.folders:
        found.setdefault(printable(composed(name)), []).append(root.folder(name))
    doubled = [name for name, of_class in found.items() if len(of_class) > 1]
    if doubled:
        logging.warning(
            "%s has several folders with names that look the same, each treated as "
            "one class: %s.",
            *(root.title, shown(doubled)),
        )
    if root.images:
        logging.warning(
            "%s holds %s images that are in no folder of a class, and are left out.",
            *(root.title, f"{len(root.images):,}"),
        )
    return dict(sorted(found.items()))


def _with_images(classes: Classes) -> list[str]:
    return [x for x, of_class in classes.items() if any(y.images for y in of_class)]


def _check_classes(
    root: folders.Listing, found: Classes, num_classes: int | None
) -> None:
    """Refuses classes that a network cannot be trained on."""
    empty = sorted(found.keys() - _with_images(found))
    if empty:
        raise InputError(
            f"There are no images in these folders of {root.title}: {shown(empty)}. "
            "Each folder is a class: put images directly into it, or remove it, in "
            "every split."
        )
    if len(found) < 2:
        raise InputError(
            f"{root.title} has only one class, {[*found][0]!r}. A classifier needs "
            "two: make a folder for each."
        )
    check_num_classes(num_classes, len(found), root.title)


def _check_known(
    root: folders.Listing, found: Sequence[str], train: str, classes: Sequence[str]
) -> None:
    """Refuses images of classes that the training split does not have."""
    others = sorted({*found} - {*classes})
    known = {name.casefold(): name for name in classes}
    alike = [known[x.casefold()] for x in others if x.casefold() in known]
    hint = f" Only upper and lower case differ: {shown(alike)} there." if alike else ""
    if others:
        raise InputError(
            f"{root.title} has images of classes that {train} does not have: "
            f"{shown(others)}.{hint} Put images of them into {train} too, or take them "
            f"out of {root.title}."
        )


def _unnumbered(
    root: folders.Listing, found: Classes, train: str, num_classes: int | None
) -> str:
    return (
        f"{root.title} has {len(found)} classes. Received: "
        f"data.num_classes={num_classes}. There is no folder {train} that defines the "
        f"classes: add it, or give {root.title} a folder for each class of the "
        "training, and no other; they may be empty."
    )


def _log_missing(where: str, classes: Classes) -> None:
    missing = sorted(classes.keys() - _with_images(classes))
    if missing:
        logging.warning(
            "%s has no images of %s classes, which keep their numbers: %s.",
            *(where, f"{len(missing):,}", shown(missing)),
        )


def _log_left_out(classes: Classes) -> None:
    listings = [listing for of_class in classes.values() for listing in of_class]
    deeper = [x for listing in listings for x in map(listing.folder, listing.folders)]
    names = [x.path for x in deeper if x.images]
    if names:
        logging.warning(
            "Images must be directly in the folder of their class. Left out are "
            "those in %s.",
            shown(names),
        )
    for listing in listings:
        listing.log_unread()
