"""Folders that are written atomically: completely or not at all."""

import contextlib
import ctypes
import errno
import os
import pathlib
import shutil
import tempfile
import time
from collections.abc import Iterator

from keras_effnetv2 import files
from keras_effnetv2.errors import FileError, InputError

# Linux's renameat2(2), whose flag 2 exchanges two names atomically.
_AT_FDCWD = -100
_RENAME_EXCHANGE = 2

# In every folder of an export; folders without it are never replaced.
MANIFEST = "model.json"

# Prefix of folders that are being filled.
_PREFIX = ".export-"
_ABANDONED_SECONDS = 2 * 24 * 3600


def check_target(path: str | os.PathLike) -> pathlib.Path:
    """The folder that an export is to become, before work starts.

    Raises:
        ValueError: it cannot be written, or exists and is not an export.
    """
    target = _local(path, "Export to a folder and copy that to the bucket.")
    target = target.resolve()  # A link stays, and what it points to is replaced.
    if target.exists() and not _is_replaceable(target):
        raise InputError(
            f"{path} already exists and is not an export ({MANIFEST} is missing). "
            "Choose another --output, or remove it."
        )
    check_writable(target.parent)
    return target


def check_base(path: str | os.PathLike) -> pathlib.Path:
    """The folder for versions of an export, before work starts.

    Raises:
        ValueError: nothing can be written there.
    """
    base = _local(
        path, "Export to a folder and copy that to the bucket, models.config last."
    )
    check_writable(base)
    return base


def check_writable(folder: pathlib.Path) -> None:
    """Makes a folder if there is none.

    Raises:
        ValueError: nothing can be written there.
    """
    try:
        files.check_writable(folder)
    except OSError as error:
        raise InputError(
            f"Nothing can be written to {folder}: {error.strerror}. Choose another "
            "--output."
        ) from error


@contextlib.contextmanager
def replaced_folder(target: pathlib.Path) -> Iterator[pathlib.Path]:
    """An empty folder to fill, which becomes `target` at the end if nothing fails.

    If the process is killed, `target` is either the old or the new one, completely. The
    old one is removed at the end.
    """
    with scratch_folder(target.parent) as scratch:
        fresh = scratch / target.name
        fresh.mkdir()
        yield fresh
        try:
            os.rename(fresh, target)
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
            _exchange(fresh, target)


@contextlib.contextmanager
def scratch_folder(parent: pathlib.Path) -> Iterator[pathlib.Path]:
    """A hidden folder on the file system of `parent`, removed at the end.

    Scratch folders of exports that were killed days ago are removed, too.

    Raises:
        OSError: raised by the code that fills it, if the disk is full.
    """
    for left in parent.glob(f"{_PREFIX}*"):
        with contextlib.suppress(FileNotFoundError):  # Another export removed it.
            if time.time() - left.stat().st_mtime > _ABANDONED_SECONDS:
                shutil.rmtree(left, ignore_errors=True)
    scratch = pathlib.Path(tempfile.mkdtemp(dir=parent, prefix=_PREFIX))
    try:
        yield scratch
    except Exception as error:
        # Whatever the type: TensorFlow's errors are not OSErrors.
        if os.strerror(errno.ENOSPC) not in str(error):
            raise
        raise FileError(
            f"No space is left on the disk of {parent}. Free some, or choose another "
            "--output."
        ) from None
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _local(path: str | os.PathLike, remedy: str) -> pathlib.Path:
    text = os.fspath(path)
    if "://" in text:
        raise InputError(
            f"Exports are written to local folders. Received: {text}. {remedy}"
        )
    return pathlib.Path(text).expanduser().absolute()


def _is_replaceable(target: pathlib.Path) -> bool:
    if not target.is_dir():
        return False
    return (target / MANIFEST).is_file() or not any(target.iterdir())


def _exchange(fresh: pathlib.Path, target: pathlib.Path) -> None:
    """Exchanges two folders, atomically if the system can do that."""
    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    names = (os.fsencode(fresh), os.fsencode(target))
    if rename is not None and not rename(
        _AT_FDCWD, names[0], _AT_FDCWD, names[1], _RENAME_EXCHANGE
    ):
        return
    # Otherwise there is a moment without `target`, with its old state next to it.
    os.rename(target, fresh.with_name(f"{fresh.name}.old"))
    os.rename(fresh, target)
