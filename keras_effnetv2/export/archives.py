"""Archives of SavedModels, as TF Hub hosts them: the same bytes for the same folder.

Source: https://www.tensorflow.org/hub/hosting.
"""

import gzip
import pathlib
import tarfile

from keras_effnetv2.errors import InputError

SUFFIXES = (".tar.gz", ".tgz", ".tar")


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
    """Writes what is in an archive below `folder`.

    Raises:
        ValueError: it is damaged, or holds what is no plain file or folder below it.
    """
    try:
        with tarfile.open(archive) as tar:
            tar.extractall(folder, filter="data")
    except (tarfile.TarError, EOFError, OSError) as error:
        raise InputError(
            f"{archive} cannot be unpacked: {error}. Expected an archive "
            f"({', '.join(SUFFIXES)}) whose root is a SavedModel."
        ) from error
