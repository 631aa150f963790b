"""Files that are whole at any moment, and names that they may have."""

import os
import pathlib
import re
from typing import Any

# Of models and studies, which files and folders are called after.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def replace_file(path: str | os.PathLike, contents: bytes) -> None:
    """Writes a file that is always whole: the old one, until the new one is."""
    path = pathlib.Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with temporary.open("wb") as file:
            file.write(contents)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def check_name(name: Any) -> None:
    """Refuses what could not be the name of a file or folder on every machine.

    Raises:
        ValueError: it has other characters, too many, or is no string.
    """
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ValueError(
            "name must be of letters, digits, '.', '_' and '-', begin with a letter or "
            f"digit, and have 64 of them at most. Received: {repr(name)[:100]}."
        )
