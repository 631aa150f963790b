"""Members of tar files from anywhere: only plain files and folders, within limits."""

import io
import pathlib
import tarfile
from collections.abc import Iterator
from typing import Any

from keras_effnetv2.errors import InputError
from keras_effnetv2.weights.files.arrays import max_unpacked


def iterate_members(
    path: pathlib.Path, file: Any
) -> Iterator[tuple[tarfile.TarFile, tarfile.TarInfo]]:
    """Each member with its archive, to extract it before going to the next one.

    Args:
        path: path of the file, for its size and for messages.
        file: its open, unpacked stream, which is read to the end, where gzip has its
            checksum.

    Raises:
        ValueError: a member is not a plain file or folder, or leads out of the archive,
            or all unpack to far more than weights would.
        tarfile.TarError: the archive is damaged; other errors of `file` mean the same.
    """
    stream = _Limited(path, file, max_unpacked(path.stat().st_size))
    with tarfile.open(fileobj=stream, mode="r|") as archive:
        for member in archive:
            _check(path, member)
            yield archive, member
    while stream.read():
        pass


def _check(path: pathlib.Path, member: tarfile.TarInfo) -> None:
    name = pathlib.PurePosixPath(member.name)
    is_plain = member.isdir() or (member.isreg() and not member.issparse())
    if name.is_absolute() or ".." in name.parts or "\\" in member.name or not is_plain:
        raise InputError(
            f"{path} holds {member.name!r}, which is a link, a device or leads out of "
            "the archive. Refused."
        )


class _Limited(io.RawIOBase):
    """Reads a stream that must end before `limit` bytes."""

    def __init__(self, path: pathlib.Path, file: Any, limit: int) -> None:
        super().__init__()
        self._path, self._file, self._left = path, file, limit

    def read(self, size: int = -1) -> bytes:
        """At most `size` bytes."""
        data = self._file.read(min(size, 1 << 20) if size >= 0 else 1 << 20)
        self._left -= len(data)
        if self._left < 0:
            raise InputError(
                f"{self._path} unpacks to far more than weights would. Refused."
            )
        return data
