"""Lists folders of images, in the same way for everything that takes one.

Hidden files and folders are left out, as are those that operating systems leave behind.
Links are followed. Names are sorted by their composed form.
"""

import collections
import dataclasses
import os
import pathlib
from collections.abc import Iterator

import tensorflow as tf
from absl import logging

from keras_effnetv2.data.decoding import images
from keras_effnetv2.data.printable import composed, printable, shown
from keras_effnetv2.errors import InputError
from keras_effnetv2.paths import is_remote

# Left behind by macOS's archives, Windows, Synology's and Linux's disks; lower case.
_LEFT_BEHIND = {
    "__macosx", "thumbs.db", "ehthumbs.db", "desktop.ini", "$recycle.bin",
    "system volume information", "@eadir", "lost+found",
}  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Listing:
    """The direct contents of a folder.

    Attributes:
        path: path of the folder.
        folders: names of its subfolders.
        images: names of the files with a suffix of images.
        others: names of the other files.
        broken: names of what is neither file nor folder: broken links.
    """

    path: str
    folders: tuple[str, ...]
    images: tuple[str, ...]
    others: tuple[str, ...]
    broken: tuple[str, ...]
    _inside: dict[str, "Listing"] = dataclasses.field(
        default_factory=dict, init=False, repr=False
    )

    @property
    def title(self) -> str:
        """The path, for messages."""
        return printable(self.path)

    def folder(self, name: str) -> "Listing":
        """The direct contents of one of its subfolders, listed once."""
        if name not in self._inside:
            self._inside[name] = listing(os.path.join(self.path, name))
        return self._inside[name]

    def paths(self) -> Iterator[str]:
        """Paths of the images."""
        return (os.path.join(self.path, name) for name in self.images)

    def log_unread(self) -> None:
        """Logs which files are not read, if there are any."""
        if self.others:
            kinds = collections.Counter(
                _suffix(name) or "without suffix" for name in self.others
            )
            logging.warning(
                "%s holds files that are not read, since they have no suffix of "
                "images: %s.",
                self.title,
                ", ".join(
                    f"{n:,} {printable(kind)}" for kind, n in kinds.most_common()
                ),
            )
        if self.broken:
            logging.warning(
                "%s holds %s broken links, which are left out: %s.",
                *(self.title, f"{len(self.broken):,}", shown(self.broken)),
            )


def listing(folder: str) -> Listing:
    """The direct contents of a folder, local or in a remote file system."""
    kinds = {"folders": [], "images": [], "others": [], "broken": []}
    for name, kind in _entries(folder):
        if not name.startswith(".") and name.lower() not in _LEFT_BEHIND:
            kinds[kind].append(name)
    # Also by the name itself, so that the order is always the same.
    order = {
        kind: tuple(sorted(names, key=lambda name: (composed(name), name)))
        for kind, names in kinds.items()
    }
    return Listing(folder, **order)


def find(path: str | os.PathLike) -> list[pathlib.Path]:
    """The image files anywhere in a local folder; a file stands for itself.

    Raises:
        ValueError: a folder without images, or a remote one.
    """
    check_local(path)
    if not os.path.isdir(path):
        return [pathlib.Path(path)]
    return find_below(path)


def find_below(folder: str | os.PathLike) -> list[pathlib.Path]:
    """The image files anywhere in a local folder, each folder once.

    Raises:
        ValueError: not a folder, a remote one, or one without images.
    """
    check_local(folder)
    if not os.path.isdir(folder):
        raise InputError(f"{absence(folder)} Pass a folder of images.")
    files = [pathlib.Path(x) for x in _below(os.fspath(folder), set())]
    if not files:
        raise InputError(
            f"{printable(folder)} has no images, nor have the folders in it. "
            f"{expected()}"
        )
    return sorted(files, key=lambda path: ([*map(composed, path.parts)], path))


def find_remote(folder: str) -> list[str]:
    """The image files anywhere in a folder that only TensorFlow opens.

    Raises:
        ValueError: it has no images.
        OSError: there is no such bucket, or no permission for it.
    """
    files = sorted(_below(folder.rstrip("/"), set()), key=lambda x: (composed(x), x))
    if not files:
        raise InputError(f"{folder} has no images. {expected()}")
    return files


def absence(path: str | os.PathLike) -> str:
    """A sentence about a path that is not a folder."""
    if not is_remote(path) and os.path.lexists(path):
        return f"{printable(path)!r} is not a folder."
    return f"There is no folder {printable(path)!r}."


def expected() -> str:
    """A sentence about the suffixes of images."""
    return f"Expected files that end in {', '.join(sorted(images.SUFFIXES))}."


def _below(folder: str, seen: set[str]) -> Iterator[str]:
    # Links may lead back to a parent folder.
    place = os.path.realpath(folder)
    if place in seen:
        return
    seen.add(place)
    found = listing(folder)
    found.log_unread()
    yield from found.paths()
    for name in found.folders:
        yield from _below(os.path.join(folder, name), seen)


def _entries(folder: str) -> Iterator[tuple[str, str]]:
    """Every name, and the list that it belongs to."""
    if is_remote(folder):
        yield from _remote_entries(folder)
        return
    # Not TensorFlow's listing, which fails on names that are not UTF-8.
    with os.scandir(folder) as entries:
        for entry in entries:
            # An entry raises an error for a link to itself.
            target = pathlib.Path(entry.path) if entry.is_symlink() else entry
            if target.is_dir():
                yield entry.name, "folders"
            elif target.is_file():
                yield entry.name, _kind_of_file(entry.name)
            else:
                yield entry.name, "broken"


def _remote_entries(folder: str) -> Iterator[tuple[str, str]]:
    for name in tf.io.gfile.listdir(folder):
        kind = "folders" if name.endswith("/") else _kind_of_file(name)
        # Not checked for images: each check may take a request to a server.
        if kind == "others" and tf.io.gfile.isdir(os.path.join(folder, name)):
            kind = "folders"
        yield name.rstrip("/"), kind


def _kind_of_file(name: str) -> str:
    return "images" if _suffix(name) in images.SUFFIXES else "others"


def _suffix(name: str) -> str:
    return os.path.splitext(name)[1].lower()


def check_local(path: str | os.PathLike) -> None:
    """Refuses paths of file systems that only TensorFlow opens.

    Raises:
        ValueError: the path is one.
    """
    if is_remote(path):
        raise InputError(
            f"{path} is not on this machine, and only local files are read here. Copy "
            "the images to this machine, or mount the bucket. (`train`, `pack` and "
            "`predict` read buckets.)"
        )
