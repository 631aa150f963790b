"""Atomic writes, locally or in a bucket; locks; and valid names of files."""

import contextlib
import errno
import logging
import os
import pathlib
import re
import tempfile
import uuid
from collections.abc import Iterator
from typing import Any

from keras_effnetv2.errors import FileError, InputError
from keras_effnetv2.paths import AnyPathLike, RemotePath, as_path

_LOG = logging.getLogger(__name__)

# Names of models and studies, which become names of files and folders.
_NAME = r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}"
# The suffix of a file that is being written.
_TEMPORARY = r"\.[0-9a-f]{32}\..+"


@contextlib.contextmanager
def replacing(path: AnyPathLike, *, is_locked: bool = False) -> Iterator[pathlib.Path]:
    """Replaces the contents of `path` atomically: old until the new are complete.

    Args:
        path: the file.
        is_locked: nobody else can be writing it, so a temporary file that a killed
            process left is overwritten.

    Yields:
        A temporary name next to `path` (on this machine if `path` is remote), with its
        suffixes, that no other process or machine uses. The file written there replaces
        `path` when the block ends, and is removed if the block raises.
    """
    path = as_path(path)
    if isinstance(path, RemotePath):
        with tempfile.TemporaryDirectory() as folder:
            temporary = pathlib.Path(folder, path.name)
            yield temporary
            with _whole(path) as target:
                target.upload(temporary)
        return
    if is_locked:
        temporary = path.with_name(f".{path.name}.part")
    else:
        temporary = path.with_name(_unique_name(path.name))
    try:
        yield temporary
        with temporary.open("rb+") as file:  # Windows syncs only writable files.
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    _sync_folder(path.parent)


@contextlib.contextmanager
def _whole(path: RemotePath) -> Iterator[RemotePath]:
    """Where to write a file, so that it replaces `path` when it is complete."""
    if path.is_in_bucket:
        yield path
        return
    temporary = path.with_name(_unique_name(path.name))
    try:
        yield temporary
        temporary.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise


@contextlib.contextmanager
def on_this_machine(path: AnyPathLike) -> Iterator[pathlib.Path]:
    """A local file with the contents of `path`, for the block.

    Raises:
        OSError: `path` is remote, and cannot be read.
    """
    path = as_path(path)
    if isinstance(path, pathlib.Path):
        yield path
        return
    with tempfile.TemporaryDirectory() as folder:
        copy = pathlib.Path(folder, path.name)
        path.download(copy)
        yield copy


def remove_unfinished(folder: AnyPathLike) -> None:
    """Removes temporary files that killed processes left in a folder.

    Args:
        folder: a folder that no other process writes to.
    """
    folder = as_path(folder)
    if isinstance(folder, RemotePath) and folder.is_in_bucket:
        return  # Buckets hold no unfinished files.
    for path in folder.iterdir():
        if re.fullmatch(_TEMPORARY, path.name):
            path.unlink(missing_ok=True)


def replace_file(path: AnyPathLike, contents: bytes) -> None:
    """Writes a file atomically: it holds the old contents or the new."""
    path = as_path(path)
    if isinstance(path, RemotePath):
        with _whole(path) as target:
            target.write_bytes(contents)
        return
    with replacing(path) as temporary:
        temporary.write_bytes(contents)


def check_writable(folder: AnyPathLike) -> None:
    """Makes a folder, if need be, and a file in it, which is removed again.

    Raises:
        OSError: the folder cannot be written to.
    """
    folder = as_path(folder)
    probe = folder / _unique_name("probe")
    folder.mkdir(parents=True, exist_ok=True)
    probe.write_bytes(b"probe")
    probe.unlink()


@contextlib.contextmanager
def full_disk_named(folder: AnyPathLike, remedy: str) -> Iterator[None]:
    """Makes the error for a disk that gets full inside the block name the folder.

    Args:
        folder: the folder that is written to.
        remedy: sentences that say what to do.

    Raises:
        OSError: the disk is full.
    """
    try:
        yield
    except Exception as error:
        # C++ and Rust libraries raise errors of their own, with the system's text.
        is_full = getattr(error, "errno", None) == errno.ENOSPC
        if not is_full and os.strerror(errno.ENOSPC) not in str(error):
            raise
        raise FileError(
            f"The disk of {folder} is full. What was saved before is not lost. {remedy}"
        ) from error


@contextlib.contextmanager
def locked(path: str | os.PathLike, task: str) -> Iterator[None]:
    """Lets one process or thread at a time run the block; the others wait.

    Args:
        path: the lock file, in a folder that is made if need be.
        task: what the other process is doing, for the log: "measures this".

    Raises:
        OSError: the lock file cannot be made.
    """
    import filelock

    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = filelock.FileLock(path)
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:
        _LOG.warning("Another process %s: waiting for it.", task)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _unique_name(name: str) -> str:
    """A temporary name for a file `name`, unique over processes and machines."""
    # Not the process number: in containers every process is number 1. Only the end of
    # `name`, as file names have at most 255 bytes.
    return f".{uuid.uuid4().hex}.{name[-50:]}"


def _sync_folder(folder: pathlib.Path) -> None:
    """Syncs a folder to disk, so that a new name survives a power cut."""
    # Windows cannot open folders, and some network file systems do not sync them.
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def check_name(name: Any) -> None:
    """Refuses names that files and folders could not have on every machine.

    Raises:
        ValueError: other characters, too many, or not a string.
    """
    if not isinstance(name, str) or not re.fullmatch(_NAME, name):
        raise InputError(
            "name must consist of letters, digits, '.', '_' and '-', begin with a "
            "letter or digit, and have at most 64 characters. Received: "
            f"{repr(name)[:100]}."
        )
