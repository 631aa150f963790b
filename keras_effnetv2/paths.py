"""Local paths, and paths of file systems that TensorFlow reaches, such as buckets.

path = as_path("gs://bucket/runs/digits")  # Then used like a `pathlib.Path`.

In a bucket a file appears when its upload is complete, and replaces an older one
atomically: it is written under its own name. In other file systems it is written under
a temporary name first (`files.py`).
"""

import contextlib
import dataclasses
import os
import pathlib
import posixpath
from collections.abc import Iterator
from typing import Any, Literal, NamedTuple

from keras_effnetv2.errors import FileError

# File systems that show files only when they are complete, and have no folders.
_BUCKETS = ("gs://",)


def is_remote(path: "AnyPathLike") -> bool:
    """Whether it is a path such as `gs://...`, which only TensorFlow opens."""
    return isinstance(path, RemotePath) or "://" in os.fspath(path)


def as_path(path: "AnyPathLike") -> "AnyPath":
    """A local or remote path; `~` is the user's folder."""
    if isinstance(path, RemotePath):
        return path
    if is_remote(path):
        return RemotePath(os.fspath(path).rstrip("/"))
    # Not Pathlib's, which fails for names such as "~$draft.jpg".
    return pathlib.Path(os.path.expanduser(path))


def is_in_bucket(path: "AnyPathLike") -> bool:
    """Whether its file system has no folders and shows only complete files."""
    return is_remote(path) and str(path).startswith(_BUCKETS)


class Stat(NamedTuple):
    """Size and time of a file, named as in `os.stat`."""

    st_size: int
    st_mtime_ns: int


@dataclasses.dataclass(frozen=True, order=True)
class RemotePath:
    """A file or folder of `tf.io.gfile`, with the methods of `pathlib.Path` we need.

    It is not an `os.PathLike`, so that nothing takes it for a local path. Its methods
    raise a `FileError` that says in one line what is wrong.

    Attributes:
        url: `SCHEME://PLACE/NAME`, without a slash at the end.
    """

    url: str

    def __str__(self) -> str:
        return self.url

    def __truediv__(self, name: str) -> "RemotePath":
        return RemotePath(f"{self.url}/{name}")

    @property
    def name(self) -> str:
        """Its last part."""
        return self.url.rpartition("/")[2]

    @property
    def stem(self) -> str:
        """The name without its suffix."""
        return posixpath.splitext(self.name)[0]

    @property
    def suffix(self) -> str:
        """The end of the name, from its last dot on."""
        return posixpath.splitext(self.name)[1]

    @property
    def parent(self) -> "RemotePath":
        """The folder that it is in."""
        return RemotePath(self.url.rpartition("/")[0])

    @property
    def is_in_bucket(self) -> bool:
        """As `is_in_bucket` says."""
        return is_in_bucket(self)

    def with_name(self, name: str) -> "RemotePath":
        """Another path in the same folder."""
        return self.parent / name

    def exists(self) -> bool:
        """Whether it is a file or a folder; folders in buckets are never empty."""
        return self._stat() is not None

    def is_file(self) -> bool:
        """Whether it is a file."""
        found = self._stat()
        return found is not None and not found.is_directory

    def is_dir(self) -> bool:
        """Whether it is a folder."""
        found = self._stat()
        return found is not None and found.is_directory

    def iterdir(self) -> Iterator["RemotePath"]:
        """The direct contents of the folder."""
        with self._explained("listed"):
            names = _gfile().listdir(self.url)
        return (self / name.rstrip("/") for name in names)

    def glob(self, pattern: str) -> list["RemotePath"]:
        """The direct contents that match a pattern; nothing if there is no folder."""
        import tensorflow as tf

        with self._explained("listed"):
            try:
                return [RemotePath(x) for x in _gfile().glob(f"{self.url}/{pattern}")]
            except tf.errors.NotFoundError:
                return []

    def stat(self) -> Stat:
        """Its size and time."""
        with self._explained("looked at"):
            found = _gfile().stat(self.url)
        return Stat(found.length, found.mtime_nsec)

    def _stat(self) -> Any:
        """Its status, in one request if it is a file; None if it does not exist."""
        import tensorflow as tf

        with self._explained("looked for"):
            try:
                return _gfile().stat(self.url)
            except tf.errors.NotFoundError:
                return None

    def mkdir(self, parents: bool = True, exist_ok: bool = True) -> None:
        """Makes the folder and its parents, in file systems that have folders."""
        if not self.is_in_bucket:
            with self._explained("made"):
                _gfile().makedirs(self.url)

    def unlink(self, missing_ok: bool = False) -> None:
        """Removes the file."""
        import tensorflow as tf

        ignored = (tf.errors.NotFoundError,) if missing_ok else ()
        with self._explained("removed"), contextlib.suppress(*ignored):
            _gfile().remove(self.url)

    @contextlib.contextmanager
    def open(self, mode: Literal["rb"] = "rb") -> Iterator[Any]:
        """The file, opened to read bytes."""
        with self._explained("read"), _gfile().GFile(self.url, mode) as file:
            yield file

    def read_bytes(self) -> bytes:
        """The contents of the file."""
        with self.open() as file:
            return file.read()

    def read_text(self, encoding: str = "utf-8") -> str:
        """The contents of the file, decoded."""
        return self.read_bytes().decode(encoding)

    def write_bytes(self, contents: bytes) -> None:
        """Writes the file, replacing its contents."""
        # In one call: otherwise a half-written file could appear when it is closed.
        with self._explained("written"), _gfile().GFile(self.url, "wb") as file:
            file.write(contents)

    def upload(self, source: pathlib.Path) -> None:
        """Writes the file, with the contents of a local file."""
        with self._explained("written"):
            _gfile().copy(os.fspath(source), self.url, overwrite=True)

    def download(self, target: pathlib.Path) -> None:
        """Writes the contents of the file to a local file."""
        with self._explained("read"):
            _gfile().copy(self.url, os.fspath(target), overwrite=True)

    def replace(self, target: "RemotePath") -> None:
        """Renames the file, replacing an older one."""
        with self._explained("renamed"):
            _gfile().rename(self.url, target.url, overwrite=True)

    @contextlib.contextmanager
    def _explained(self, task: str) -> Iterator[None]:
        """Turns errors of TensorFlow into file errors.

        Raises:
            OSError: its `strerror` is the reason alone.
        """
        import tensorflow as tf

        try:
            yield
        except tf.errors.OpError as error:
            reason = _reason(error, self.url)
            explained = FileError(f"{self} cannot be {task}: {reason}.")
            explained.strerror = reason
            raise explained from error


AnyPath = pathlib.Path | RemotePath
AnyPathLike = str | os.PathLike | RemotePath


def _gfile() -> Any:
    import tensorflow as tf

    return tf.io.gfile


def _reason(error: Exception, url: str) -> str:
    import tensorflow as tf

    scheme, _, rest = url.partition("://")
    place = rest.partition("/")[0]
    if isinstance(error, tf.errors.UnimplementedError):
        known = ", ".join(x for x in sorted(_gfile().get_registered_schemes()) if x)
        return f"TensorFlow knows no {scheme}:// here, only {known}"
    if isinstance(error, tf.errors.NotFoundError):
        return f"there is no {scheme}://{place}, or no such file in it"
    rights = (tf.errors.PermissionDeniedError, tf.errors.UnauthenticatedError)
    if isinstance(error, rights):
        return (
            f"no permission for {place}; to use another account, set "
            "GOOGLE_APPLICATION_CREDENTIALS"
        )
    return " ".join(str(error).split())[:300].rstrip(".")
