"""PyTorch's state dict files, in both layouts of `torch.save`, without PyTorch.

The legacy layout is five pickles (magic number, version, system, object, keys of the
storages), then for each storage its count, int64, and its numbers, always
little-endian. The other is a zip archive: the pickle of the object is `NAME/data.pkl`,
the storages are `NAME/data/KEY`, not compressed, in the byte order that
`NAME/byteorder` says.

Source: PyTorch 2.14, `torch/serialization.py`.
"""

import contextlib
import dataclasses
import io
import os
import pathlib
import struct
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO

import numpy as np

from keras_effnetv2.errors import InputError
from keras_effnetv2.weights import names
from keras_effnetv2.weights.files.arrays import (
    Arrays,
    damaged,
    is_counter,
)
from keras_effnetv2.weights.files.torch_pickles import (
    FORMAT,
    Storage,
    Tensor,
    read_pickle,
)

# The contents of the first pickle of the legacy layout, in any protocol.
LEGACY_MAGIC = bytes.fromhex("8a0a6cfc9c46f9206aa850192e")
_LEGACY_VERSION = 1001

# The largest network's state dict has 0.5 MB, with averages and slots 3 MB.
_MAX_PICKLE_BYTES = 8 << 20
_MAX_NAME = 256

# Keys under which training scripts store the state dict, moving averages first.
_PLACES = ("state_dict_ema", "model_ema", "state_dict", "model")
# Prefixes that wrappers of models add to all names.
_WRAPPERS = ("module.", "_orig_mod.")

# A member's header in the archive: signature, lengths of name and extra field.
_MEMBER_HEADER = struct.Struct("<4s22xHH")


@dataclasses.dataclass(frozen=True)
class _Place:
    """The position of a storage's numbers in the file, and their checksum if known."""

    start: int
    num_bytes: int
    crc: int | None = None


@contextlib.contextmanager
def open_legacy(path: pathlib.Path) -> Iterator[Arrays]:
    """Opens a file of the legacy layout.

    Raises:
        ValueError: damaged, not a state dict, or with other objects to build.
    """
    with path.open("rb") as file:
        head = io.BytesIO(file.read(_MAX_PICKLE_BYTES))
        read_pickle(path, head)  # The magic number.
        version, _ = read_pickle(path, head)
        if version != _LEGACY_VERSION:
            raise damaged(path, FORMAT, f"its version is not {_LEGACY_VERSION}")
        read_pickle(path, head)  # The system, whose byte order is not the file's.
        value, storages = read_pickle(path, head)
        keys, _ = read_pickle(path, head)
        places = _legacy_places(path, file, head.tell(), keys, storages)
        yield _arrays(path, file, value, places, "<")


@contextlib.contextmanager
def open_zip(path: pathlib.Path, archive: zipfile.ZipFile) -> Iterator[Arrays]:
    """Opens a file of the zip layout.

    Args:
        path: path of the file.
        archive: the open archive of the file.

    Raises:
        ValueError: damaged, not a state dict, or with other objects to build.
    """
    pickles = [x for x in archive.infolist() if x.filename.endswith("/data.pkl")]
    if len(pickles) != 1 or pickles[0].file_size > _MAX_PICKLE_BYTES:
        raise InputError(
            f"{path} is a zip archive with {len(pickles)} pickles. Expected one, of at "
            f"most {_MAX_PICKLE_BYTES:,} bytes, as torch.save writes it."
        )
    folder = pickles[0].filename.removesuffix("data.pkl")
    members = {x.filename: x for x in archive.infolist()}
    with path.open("rb") as file:
        pickled = _read_member(path, file, pickles[0])
        value, storages = read_pickle(path, io.BytesIO(pickled))
        order = members.get(f"{folder}byteorder")
        is_big = order is not None and _read_member(path, file, order) == b"big"
        places = {}
        for key, storage in storages.items():
            if (member := members.get(f"{folder}data/{key}")) is None:
                raise damaged(path, FORMAT, f"storage {key[:50]!r} is missing")
            places[key] = place = _place_of_member(path, file, member)
            _check_bytes(path, storage, place.num_bytes)
        yield _arrays(path, file, value, places, ">" if is_big else "<")


def _legacy_places(
    path: pathlib.Path,
    file: BinaryIO,
    start: int,
    keys: Any,
    storages: Mapping[str, Storage],
) -> dict[str, _Place]:
    size = file.seek(0, os.SEEK_END)
    if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
        raise damaged(path, FORMAT, "it has no list of storages")
    if len(keys) != len(storages) or set(keys) != storages.keys():
        raise damaged(path, FORMAT, "its list of storages names others")
    places = {}
    for key in keys:
        file.seek(start)
        count = int.from_bytes(file.read(8), "little")
        item_bytes = _numpy_dtype(storages[key].dtype).itemsize
        places[key] = place = _Place(start + 8, count * item_bytes)
        _check_bytes(path, storages[key], place.num_bytes)
        start = place.start + place.num_bytes
        if start > size:
            raise damaged(path, FORMAT, f"it ends within storage {key[:50]!r}")
    return places


def _check_bytes(path: pathlib.Path, storage: Storage, num_bytes: int) -> None:
    claimed = storage.count * _numpy_dtype(storage.dtype).itemsize
    if claimed != num_bytes:
        raise damaged(
            path,
            FORMAT,
            f"storage {storage.key[:50]!r} claims {claimed:,} bytes and has "
            f"{num_bytes:,}",
        )


def _place_of_member(
    path: pathlib.Path, file: BinaryIO, member: zipfile.ZipInfo
) -> _Place:
    if member.compress_type != zipfile.ZIP_STORED or member.flag_bits & 1:
        raise InputError(
            f"{path}: {member.filename[:100]!r} is compressed or encrypted, which "
            "torch.save never does. Refused: unpack it and save it again."
        )
    file.seek(member.header_offset)
    header = file.read(_MEMBER_HEADER.size)
    size = file.seek(0, os.SEEK_END)
    if len(header) == _MEMBER_HEADER.size:
        magic, *lengths = _MEMBER_HEADER.unpack(header)
        start = member.header_offset + len(header) + sum(lengths)
        if magic == b"PK\x03\x04" and start + member.file_size <= size:
            return _Place(start, member.file_size, member.CRC)
    raise damaged(path, FORMAT, f"{member.filename[:100]!r} is not where it should be")


def _read_member(path: pathlib.Path, file: BinaryIO, member: zipfile.ZipInfo) -> bytes:
    place = _place_of_member(path, file, member)
    _check_crc(path, file, place)
    file.seek(place.start)
    return file.read(min(place.num_bytes, _MAX_PICKLE_BYTES))


def _check_crc(path: pathlib.Path, file: BinaryIO, place: _Place) -> None:
    file.seek(place.start)
    left, crc = place.num_bytes, 0
    while left and (chunk := file.read(min(left, 1 << 20))):
        crc, left = zlib.crc32(chunk, crc), left - len(chunk)
    if crc != place.crc:
        raise damaged(path, FORMAT, "a checksum does not match")


def _arrays(
    path: pathlib.Path,
    file: BinaryIO,
    value: Any,
    places: Mapping[str, _Place],
    order: str,
) -> Arrays:
    tensors = _tensors(path, value)
    unchecked = {key for key, place in places.items() if place.crc is not None}

    def read(name: str) -> np.ndarray:
        tensor = tensors[name]
        place = places[tensor.storage.key]
        if tensor.storage.key in unchecked:
            _check_crc(path, file, place)
            unchecked.remove(tensor.storage.key)
        return _read(path, file, name, tensor, place, order)

    return Arrays(
        "PyTorch state dict",
        names.PYTORCH,
        {name: tensor.shape for name, tensor in tensors.items()},
        read,
    )


def _tensors(path: pathlib.Path, value: Any) -> dict[str, Tensor]:
    """The weights in a state dict, or in a training script's checkpoint."""
    found = value if isinstance(value, dict) else {}
    if not any(isinstance(x, Tensor) for x in found.values()):
        nested = (found[x] for x in _PLACES if isinstance(found.get(x), dict))
        found = next(nested, {})
    tensors = {str(name): x for name, x in found.items() if isinstance(x, Tensor)}
    if not tensors:
        raise InputError(
            f"{path} is a PyTorch file, but not of a state dict: neither it nor its "
            f"entries {', '.join(_PLACES)} map names to arrays. Save one with "
            "torch.save(model.state_dict(), FILE)."
        )
    named = {}
    for name, tensor in tensors.items():
        if len(name) > _MAX_NAME or not name.isprintable():
            raise damaged(path, FORMAT, f"a name begins with {name[:50]!r}")
        if not is_counter(name):
            named[name] = tensor
    for wrapper in _WRAPPERS:
        if all(name.startswith(wrapper) for name in named):
            named = {name.removeprefix(wrapper): x for name, x in named.items()}
    return named


def _read(
    path: pathlib.Path,
    file: BinaryIO,
    name: str,
    tensor: Tensor,
    place: _Place,
    order: str,
) -> np.ndarray:
    dtype = _numpy_dtype(tensor.storage.dtype)
    if "float" not in dtype.name:
        raise InputError(
            f"{path}: {name} should hold floating-point numbers. Received: {dtype}."
        )
    file.seek(place.start + tensor.offset * dtype.itemsize)
    data = file.read(tensor.extent * dtype.itemsize)
    if len(data) != tensor.extent * dtype.itemsize:
        raise damaged(path, FORMAT, f"it ends within {name}")
    # NumPy swaps the bytes of integers; it has no bfloat16.
    bits = np.frombuffer(data, f"{order}u{dtype.itemsize}")
    flat = bits.astype(f"u{dtype.itemsize}", copy=False).view(dtype)
    strides = [stride * dtype.itemsize for stride in tensor.strides]
    return np.array(np.lib.stride_tricks.as_strided(flat, tensor.shape, strides))


def _numpy_dtype(name: str) -> np.dtype:
    if name != "bfloat16":
        return np.dtype(name)
    import ml_dtypes

    return np.dtype(ml_dtypes.bfloat16)
