"""Archives of SavedModels, as TF Hub hosts them, with deterministic bytes.

Source: https://www.tensorflow.org/hub/hosting.
"""

import gzip
import pathlib
import shutil
import tarfile
import zlib

from keras_effnetv2.errors import InputError
from keras_effnetv2.weights.files.tar_members import iterate_members

SUFFIXES = (".tar.gz", ".tgz", ".tar")

_GZIP = b"\x1f\x8b"
# Each takes a file in the file system, but next to nothing in the archive.
_MAX_MEMBERS = 10_000


def pack(folder: pathlib.Path, archive: pathlib.Path) -> None:
    """Writes the contents of `folder` as a `.tar.gz` whose root is that folder.

    Order, owners, permissions and times are fixed.
    """
    with (
        archive.open("xb") as file,
        # Gzip would write the time and the file's name.
        gzip.GzipFile("", "wb", fileobj=file, mtime=0) as stream,
        tarfile.open(fileobj=stream, mode="w") as tar,
    ):
        for path in sorted(folder.rglob("*")):
            name = path.relative_to(folder).as_posix()
            tar.add(path, f"./{name}", recursive=False, filter=_anonymous)


def _anonymous(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    member.mtime = 0
    member.mode = 0o755 if member.isdir() else 0o644
    return member


def unpack(archive: pathlib.Path, folder: pathlib.Path) -> None:
    """Unpacks an archive to `folder`, which is removed if that fails.

    Raises:
        ValueError: it is damaged, contains anything but plain files and folders within
            it, or unpacks to far more than a module would.
    """
    try:
        with archive.open("rb") as file:
            is_packed = file.peek(2).startswith(_GZIP)
            stream = gzip.GzipFile(fileobj=file) if is_packed else file
            members = iterate_members(archive, stream)
            for number, (tar, member) in enumerate(members):
                if number == _MAX_MEMBERS:
                    raise InputError(f"it contains more than {_MAX_MEMBERS:,} files")
                tar.extract(member, folder, filter="data")
    except (tarfile.TarError, EOFError, OSError, ValueError, zlib.error) as error:
        shutil.rmtree(folder, ignore_errors=True)
        raise InputError(
            f"{archive} cannot be unpacked: {error}. Expected an archive "
            f"({', '.join(SUFFIXES)}) whose root is a SavedModel."
        ) from error
