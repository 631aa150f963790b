"""The photographs to train on, with labels from folders or a table."""

import dataclasses
import functools
import os
import pathlib
from collections.abc import Iterable, Iterator

from absl import logging

from keras_effnetv2.data import folders
from keras_effnetv2.data.labelled_files import (
    BETWEEN_LABELS,
    LabelledFile,
    read_table,
)
from keras_effnetv2.data.printable import composed, printable, shown
from keras_effnetv2.errors import InputError
from keras_effnetv2.finetuning.photographs.work_files import is_work_folder

PARTS = ("train", "validation", "test")
# Common names of folders of parts, in lower case.
_PART_NAMES = {
    "train": "train", "training": "train",
    "validation": "validation", "valid": "validation", "val": "validation",
    "test": "test",
}  # fmt: skip
_MOST_CLASSES_SHOWN = 5


@dataclasses.dataclass(frozen=True)
class Photographs:
    """Files and their labels, before anything is read.

    Attributes:
        root: folder that files are relative to.
        rows: one per file; the part is empty if not decided yet.
        multi_label: an image may have several labels.
    """

    root: pathlib.Path
    rows: tuple[LabelledFile, ...]
    multi_label: bool = False

    @property
    def class_names(self) -> list[str]:
        """Names of all classes, in order."""
        return sorted({label for row in self.rows for label in row.labels})

    def path(self, row: LabelledFile) -> pathlib.Path:
        """The path of the file of a row."""
        return self.root / row.file


def find_photographs(
    folder: str | os.PathLike, labels: str | os.PathLike | None = None
) -> Photographs:
    """The photographs in a folder.

    Without a table of labels, each folder in it is a class, with images in it or in
    folders below. Folders `train`, `validation` (or `val`, `valid`) and `test` that
    hold folders of classes are parts. Work folders of earlier calls are left out.

    Args:
        folder: a local folder.
        labels: table of files and labels, relative to the folder of the table or to
            `folder`; labels separated by `;` make it multi-label.

    Raises:
        ValueError: there is nothing to train on.
    """
    folders.check_local(folder)
    root = pathlib.Path(folder).expanduser()
    try:
        _check_folder(root)
        if labels is not None:
            return _of_table(root, labels)
        return Photographs(root, tuple(_of_folders(root)))
    except PermissionError as error:
        raise InputError(
            f"{printable(error.filename or root)} cannot be read: {error.strerror}. "
            "Change its permissions, or copy the photographs."
        ) from error


def _check_folder(root: pathlib.Path) -> None:
    if root.is_file():
        raise InputError(
            f"{printable(root)} is a file. Expected a folder of photographs with a "
            "folder for each class."
        )
    if not root.is_dir():
        raise InputError(
            f"There is no folder {printable(root)!r}. Pass the folder of your "
            "photographs, with a folder for each class in it."
        )


def _of_folders(root: pathlib.Path) -> Iterator[LabelledFile]:
    top = folders.listing(os.fspath(root))
    parts = {
        name: _PART_NAMES[name.lower()] for name in top.folders if _is_part(top, name)
    }
    classes = [name for name in top.folders if name not in parts]
    if "train" in parts.values() and classes:
        logging.warning(
            "Left out: %s, next to the folders of training images in %s.",
            *(shown(classes), top.title),
        )
        classes = []
    found = [*_of_classes(root, top, classes, "")]
    for name, part in parts.items():
        inside = top.folder(name)
        found += _of_classes(root, inside, inside.folders, part)
    if not found:
        raise InputError(_nothing(top))
    if top.images:
        logging.warning(
            "%s images directly in %s are in no folder of a class, and are left out.",
            *(f"{len(top.images):,}", top.title),
        )
    yield from found


def _is_part(top: folders.Listing, name: str) -> bool:
    """Whether a folder is a part: it has such a name, and contains only folders."""
    inside = top.folder(name)
    return name.lower() in _PART_NAMES and bool(inside.folders) and not inside.images


def _of_classes(
    root: pathlib.Path, parent: folders.Listing, names: Iterable[str], part: str
) -> Iterator[LabelledFile]:
    for name in names:
        try:
            paths = folders.find_below(parent.folder(name).path)
        except InputError:
            logging.warning("%s has no images.", parent.folder(name).title)
            continue
        for path in _outside_runs(root, paths):
            file = os.path.relpath(path, root)
            yield LabelledFile(file, (_class_name(name),), part)


def _outside_runs(
    root: pathlib.Path, paths: Iterable[pathlib.Path]
) -> list[pathlib.Path]:
    """The images that are not the output of an earlier call, in its work folder."""

    @functools.cache
    def run_of(folder: pathlib.Path) -> pathlib.Path | None:
        if folder == root or is_work_folder(folder):
            return None if folder == root else folder
        return run_of(folder.parent)

    found = {path: run_of(path.parent) for path in paths}
    runs = dict.fromkeys(run for run in found.values() if run)
    if runs:
        logging.warning("Left out, as work folders of earlier runs: %s.", shown(runs))
    return [path for path, run in found.items() if run is None]


def _class_name(name: str) -> str:
    return printable(composed(name))


def _nothing(top: folders.Listing) -> str:
    if top.images:
        return (
            f"{top.title} has {len(top.images):,} images directly in it, and nothing "
            "says what their classes are. Make a folder for each class, or name a "
            "table of files and labels: --labels FILE.csv."
        )
    others = ", only other files" if top.others or top.folders else ""
    return f"{top.title} has no images{others}. {folders.expected()}"


def _of_table(root: pathlib.Path, labels: str | os.PathLike) -> Photographs:
    table = pathlib.Path(labels).expanduser()
    rows = read_table(table, multi_label=True)
    multi_label = any(len(row.labels) != 1 for row in rows)
    found = [_placed(row, table.parent, root) for row in rows]
    present = [row for row in found if (root / row.file).is_file()]
    if not present:
        raise InputError(
            f"None of the {len(rows):,} files in {printable(table)} is next to it or "
            f"in {printable(root)}: {shown(row.file for row in rows[:3])}. Is it the "
            "table of other photographs?"
        )
    _check_once(table, found)
    unknown = sorted({row.part for row in found} - {"", *PARTS})
    if unknown:
        raise InputError(
            f"The column part of {printable(table)} may be {', '.join(PARTS)} or "
            f"empty. Received: {shown(unknown)}."
        )
    return Photographs(root, tuple(found), multi_label)


def _placed(
    row: LabelledFile, beside: pathlib.Path, root: pathlib.Path
) -> LabelledFile:
    """The row, with its file relative to the root, and labels like those of folders."""
    labels = dict.fromkeys(_class_name(label) for label in row.labels)
    row = dataclasses.replace(row, labels=tuple(labels))
    for folder in (root, beside):
        path = folder / row.file
        if path.is_file():
            inside = path.resolve().is_relative_to(root.resolve())
            resolved = os.path.relpath(path, root) if inside else os.path.abspath(path)
            return dataclasses.replace(row, file=resolved)
    return row


def _check_once(table: pathlib.Path, rows: list[LabelledFile]) -> None:
    seen: set[str] = set()
    doubled = [x.file for x in rows if x.file in seen or seen.add(x.file)]
    if doubled:
        raise InputError(
            f"{printable(table)} names files more than once: {shown(doubled)}. Give "
            f"each one line, with {BETWEEN_LABELS!r} between its labels."
        )
