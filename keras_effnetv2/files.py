"""Files that are whole at any moment, here or in a bucket, and names they may have."""

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

# Of models and studies, which files and folders are called after.
_NAME = r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}"
# Of a file that is being written.
_TEMPORARY = r"\.[0-9a-f]{32}\..+"


@contextlib.contextmanager
def replacing(path: AnyPathLike, *, is_locked: bool = False) -> Iterator[pathlib.Path]:
    """Gives `path` new contents at once: the old ones stay until the new are whole.

    Args:
        path: of the file.
        is_locked: nobody else writes it now, so that what a killed process has left of
            it is written over.

    Yields:
        A name beside `path`, or on this machine for one that is not, with its suffixes,
        that no other process or machine uses. What is written there takes the place of
        `path` when the block ends, and is removed if it raises.
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
        with temporary.open("rb+") as file:  # Windows syncs what is open to write.
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    _sync_folder(path.parent)


@contextlib.contextmanager
def _whole(path: RemotePath) -> Iterator[RemotePath]:
    """Where to write a file, so that it takes the place of `path` when it is whole."""
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
    """A file of this machine with the contents of `path`, for the block.

    Raises:
        OSError: it is elsewhere, and cannot be read.
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
    """Removes what killed processes have left of `replacing` in a folder.

    Args:
        folder: that no other process writes to.
    """
    folder = as_path(folder)
    if isinstance(folder, RemotePath) and folder.is_in_bucket:
        return  # Where nothing unfinished is.
    for path in folder.iterdir():
        if re.fullmatch(_TEMPORARY, path.name):
            path.unlink(missing_ok=True)


def replace_file(path: AnyPathLike, contents: bytes) -> None:
    """Writes a file that is always whole: the old one, until the new one is."""
    path = as_path(path)
    if isinstance(path, RemotePath):
        with _whole(path) as target:
            target.write_bytes(contents)
        return
    with replacing(path) as temporary:
        temporary.write_bytes(contents)


def check_writable(folder: AnyPathLike) -> None:
    """Makes a folder, if need be, and a file in it, which goes at once.

    Raises:
        OSError: that cannot be done.
    """
    folder = as_path(folder)
    probe = folder / _unique_name("probe")
    folder.mkdir(parents=True, exist_ok=True)
    probe.write_bytes(b"probe")
    probe.unlink()


@contextlib.contextmanager
def full_disk_named(folder: AnyPathLike, remedy: str) -> Iterator[None]:
    """Says of a disk that gets full inside the block whose it is, and what to do.

    Args:
        folder: that is written to.
        remedy: sentences.

    Raises:
        OSError: the disk is full.
    """
    try:
        yield
    except Exception as error:
        # Libraries of C++ and Rust raise errors of their own, with the system's text.
        is_full = getattr(error, "errno", None) == errno.ENOSPC
        if not is_full and os.strerror(errno.ENOSPC) not in str(error):
            raise
        raise FileError(
            f"The disk of {folder} is full. What was saved before is not lost. {remedy}"
        ) from error


@contextlib.contextmanager
def locked(path: str | os.PathLike, task: str) -> Iterator[None]:
    """Of all processes and threads, one at a time; the others wait.

    Args:
        path: of the lock, in a folder that is made if need be.
        task: what another process does meanwhile, for the log: "measures this".

    Raises:
        OSError: there can be no such file.
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
    """A name for a file that is to be `name`; no other process or machine has it."""
    # Not the process's number: in containers every process is number 1. The end of the
    # name alone, as a name has 255 bytes at most.
    return f".{uuid.uuid4().hex}.{name[-50:]}"


def _sync_folder(folder: pathlib.Path) -> None:
    """Puts the names in a folder on the disk, so that a power cut keeps the new one."""
    # Windows opens no folders, and some network file systems do not sync them.
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def check_name(name: Any) -> None:
    """Refuses what could not be the name of a file or folder on every machine.

    Raises:
        ValueError: it has other characters, too many, or is no string.
    """
    if not isinstance(name, str) or not re.fullmatch(_NAME, name):
        raise InputError(
            "name must be of letters, digits, '.', '_' and '-', begin with a letter or "
            f"digit, and have 64 of them at most. Received: {repr(name)[:100]}."
        )
