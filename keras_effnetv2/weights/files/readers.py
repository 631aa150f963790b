"""Opens any file of weights; its format is recognised by content, never by name."""

import contextlib
import pathlib
from collections.abc import Iterator
from contextlib import AbstractContextManager

import numpy as np

from keras_effnetv2.errors import InputError
from keras_effnetv2.weights import names
from keras_effnetv2.weights.files import archives, hdf5, tf_checkpoints, torch_files
from keras_effnetv2.weights.files.arrays import Arrays, damaged, is_counter

_HEAD_BYTES = 512

# The last bytes of a checkpoint's .index file: the magic number of LevelDB's tables.
_INDEX_MAGIC = bytes.fromhex("57fb808b247547db")

_KNOWN = (
    "a .weights.h5 or .keras file of this package, a Keras .h5 file, an official "
    "checkpoint (.tgz, folder or prefix), or a PyTorch state dict (.pth, .safetensors)"
)


def open_arrays(path: pathlib.Path) -> AbstractContextManager[Arrays]:
    """Opens a file, or a folder or prefix of a checkpoint, to read its arrays.

    Raises:
        ValueError: there is no such file, or none that holds weights safely.
    """
    if path.is_dir():
        return tf_checkpoints.open_folder(path)
    if not path.exists():
        if path.with_name(f"{path.name}.index").exists():
            return tf_checkpoints.open_prefix(path)
        raise InputError(f"There is no {path}. Expected {_KNOWN}.")
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
        size = file.seek(0, 2)
        file.seek(max(0, size - len(_INDEX_MAGIC)))
        tail = file.read()
    _refuse(path, head)
    if head.startswith(b"\x89HDF\r\n\x1a\n"):
        return hdf5.open_hdf5(path)
    if head.startswith(b"PK\x03\x04"):
        return _open_zip(path)
    if torch_files.LEGACY_MAGIC in head[:32]:
        return torch_files.open_legacy(path)
    if head.startswith(b"\x1f\x8b"):
        return tf_checkpoints.open_tar(path)
    if head[257:262] == b"ustar":
        return tf_checkpoints.open_tar(path, open)
    if head[8:9] == b"{":
        return open_safetensors(path)
    if tail == _INDEX_MAGIC and path.suffix == ".index":
        return tf_checkpoints.open_prefix(path.with_suffix(""))
    raise InputError(
        f"{path} has an unknown format: it begins with {head[:16]!r}. "
        f"Expected {_KNOWN}."
    )


def _refuse(path: pathlib.Path, head: bytes) -> None:
    """Recognises what is often found in place of weights."""
    if not head:
        raise InputError(f"{path} is empty. Download or copy it again.")
    if head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<"):
        raise InputError(
            f"{path} is a web page or an XML message, not weights: the server sent "
            "something other than the file. Read it, and download again."
        )
    if head.startswith(b"version https://git-lfs"):
        raise InputError(
            f"{path} is a Git LFS pointer, not the weights. Run git lfs pull."
        )
    is_pickle = head[:1] == b"\x80" and head[1:2] in b"\x02\x03\x04\x05"
    if is_pickle and torch_files.LEGACY_MAGIC not in head[:32]:
        raise InputError(
            f"{path} is a Python pickle, but not one of PyTorch. Reading it could run "
            f"any program, so it is not read. Expected {_KNOWN}."
        )


@contextlib.contextmanager
def _open_zip(path: pathlib.Path) -> Iterator[Arrays]:
    with archives.open_archive(path) as archive:
        is_torch = any(name.endswith("/data.pkl") for name in archive.namelist())
        opener = torch_files.open_zip if is_torch else hdf5.open_keras
        with opener(path, archive) as arrays:
            yield arrays


@contextlib.contextmanager
def open_safetensors(path: pathlib.Path) -> Iterator[Arrays]:
    """Opens the arrays of a PyTorch network.

    Raises:
        ValueError: damaged.
    """
    from safetensors import SafetensorError, safe_open

    with path.open("rb") as file:
        header = int.from_bytes(file.read(8), "little")
    if header + 8 > path.stat().st_size:
        raise damaged(
            path,
            "safetensors",
            f"its header claims {header:,} bytes, but the file has "
            f"{path.stat().st_size:,}",
        )
    try:
        file = safe_open(path, framework="numpy")
    except SafetensorError as error:
        raise damaged(path, "safetensors", error) from None

    def read(name: str) -> np.ndarray:
        return file.get_tensor(name)

    with file:
        shapes = {
            name: tuple(file.get_slice(name).get_shape())
            for name in file.keys()  # noqa: SIM118
            if not is_counter(name)
        }
        yield Arrays("safetensors", names.PYTORCH, shapes, read)
