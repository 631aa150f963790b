"""Files that are whole at any moment, and names that they may have."""

import contextlib
import os
import pathlib
import re
import uuid
from collections.abc import Iterator
from typing import Any

from keras_effnetv2.errors import InputError

# Of models and studies, which files and folders are called after.
_NAME = r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}"
# Of a file that is being written.
_TEMPORARY = r"\.[0-9a-f]{32}\..+"


@contextlib.contextmanager
def replacing(path: str | os.PathLike) -> Iterator[pathlib.Path]:
    """Gives `path` new contents at once: the old ones stay until the new are whole.

    Yields:
        A name beside `path`, with its suffixes, that no other process or machine uses.
        What is written there takes the place of `path` when the block ends, and is
        removed if it raises.
    """
    path = pathlib.Path(path)
    # Not the process's number: in containers every process is number 1. The end of the
    # name alone, as a name has 255 bytes at most.
    temporary = path.with_name(f".{uuid.uuid4().hex}.{path.name[-50:]}")
    try:
        yield temporary
        with temporary.open("rb+") as file:  # Windows syncs what is open to write.
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    _sync_folder(path.parent)


def remove_unfinished(folder: str | os.PathLike) -> None:
    """Removes what killed processes have left of `replacing` in a folder.

    Args:
        folder: that no other process writes to.
    """
    for path in pathlib.Path(folder).iterdir():
        if re.fullmatch(_TEMPORARY, path.name):
            path.unlink(missing_ok=True)


def replace_file(path: str | os.PathLike, contents: bytes) -> None:
    """Writes a file that is always whole: the old one, until the new one is."""
    with replacing(path) as temporary:
        temporary.write_bytes(contents)


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
