"""Folders that appear at once and whole, or not at all."""

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

# Of Linux: renameat2(2), whose flag 2 exchanges two names in one step.
_AT_FDCWD = -100
_RENAME_EXCHANGE = 2

# What every folder of an export holds; others are not ours to replace.
MANIFEST = "model.json"

# Of folders that are being filled.
_PREFIX = ".export-"
_ABANDONED_SECONDS = 2 * 24 * 3600


def check_target(path: str | os.PathLike) -> pathlib.Path:
    """The folder that an export is to become, before work starts.

    Raises:
        ValueError: it cannot be written, or is there already and no export.
    """
    target = _local(path, "Export to a folder and copy that to the bucket.")
    if target.exists() and not _is_replaceable(target):
        raise InputError(
            f"{path} is there already and is no export ({MANIFEST} is missing). Choose "
            "another --output, or remove it."
        )
    check_writable(target.parent)
    return target


def check_base(path: str | os.PathLike) -> pathlib.Path:
    """The folder that versions of an export are to be in, before work starts.

    Raises:
        ValueError: nothing can be written there.
    """
    base = _local(
        path, "Export to a folder and copy that to the bucket, models.config last."
    )
    check_writable(base)
    return base


def check_writable(folder: pathlib.Path) -> None:
    """Makes a folder where there is none.

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

    Killed at any moment, `target` is whole: what it was before, or the new one. What
    was there before is removed.
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

    So are those of exports that were killed days ago.

    Raises:
        OSError: by what fills it, where the disk is full.
    """
    for left in parent.glob(f"{_PREFIX}*"):
        with contextlib.suppress(FileNotFoundError):  # Another export's, just done.
            if time.time() - left.stat().st_mtime > _ABANDONED_SECONDS:
                shutil.rmtree(left, ignore_errors=True)
    scratch = pathlib.Path(tempfile.mkdtemp(dir=parent, prefix=_PREFIX))
    try:
        yield scratch
    except Exception as error:
        # In whoever's words: TensorFlow's errors are no OSError.
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
            f"Exports go to folders of the file system. Received: {text}. {remedy}"
        )
    return pathlib.Path(text).expanduser().absolute()


def _is_replaceable(target: pathlib.Path) -> bool:
    if not target.is_dir():
        return False
    return (target / MANIFEST).is_file() or not any(target.iterdir())


def _exchange(fresh: pathlib.Path, target: pathlib.Path) -> None:
    """Both names change their folders in one step, where the system can do that."""
    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    names = (os.fsencode(fresh), os.fsencode(target))
    if rename is not None and not rename(
        _AT_FDCWD, names[0], _AT_FDCWD, names[1], _RENAME_EXCHANGE
    ):
        return
    # Elsewhere a moment without `target` remains, and its old state beside it.
    os.rename(target, fresh.with_name(f"{fresh.name}.old"))
    os.rename(fresh, target)
