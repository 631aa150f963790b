"""Files that are whole at any moment."""

import os
import pathlib


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
