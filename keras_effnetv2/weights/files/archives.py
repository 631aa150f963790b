"""Zip archives from anywhere, opened within limits."""

import contextlib
import io
import pathlib
import struct
import zipfile
from collections.abc import Iterator

from keras_effnetv2.errors import InputError
from keras_effnetv2.weights.files.arrays import damaged

# Python reads the list of members at once. For the largest network's state dict, with
# averages and slots, it has 1 MB.
_MAX_DIRECTORY_BYTES = 2 << 20


@contextlib.contextmanager
def open_archive(path: pathlib.Path) -> Iterator[zipfile.ZipFile]:
    """Opens a zip archive for reading.

    Raises:
        ValueError: damaged, or with far more members than weights have.
    """
    with _File(path) as file:
        try:
            archive = zipfile.ZipFile(file)
        except (
            zipfile.BadZipFile,
            NotImplementedError,
            OSError,
            UnicodeDecodeError,
            struct.error,
        ) as error:
            raise damaged(path, "zip", error) from None
        with archive:
            _check_members(path, archive)
            yield archive


def _check_members(path: pathlib.Path, archive: zipfile.ZipFile) -> None:
    for member in archive.infolist():
        # Before the start of the file, if the list of members is shorter than it
        # claims.
        if member.header_offset < 0:
            raise damaged(path, "zip", "its list of members is truncated")
        # Other methods report damage in other ways.
        if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise InputError(
                f"{path}: {member.filename[:100]!r} is compressed by method "
                f"{member.compress_type}. Expected none, or deflate."
            )


class _File(io.FileIO):
    """A file that is never read as a whole."""

    def __init__(self, path: pathlib.Path) -> None:
        super().__init__(path)
        self._path, self._size = path, path.stat().st_size

    def read(self, size: int | None = -1, /) -> bytes:
        """At most `size` bytes; refuses to read too many."""
        if size is None or size < 0:
            size = self._size - self.tell()
        if size > _MAX_DIRECTORY_BYTES:
            raise InputError(
                f"{self._path} is a zip archive whose list of members claims {size:,} "
                "bytes. Refused: that of weights is far shorter."
            )
        return super().read(max(0, size))
