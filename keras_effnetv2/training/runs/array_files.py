"""Arrays by name in safetensors files, which are written atomically and hold no code.

On remote file systems, where a single stream is slow, large data is divided among
several files next to the one that names them, which is written last and read first.
"""

import json
import re
import uuid
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from keras_effnetv2.errors import FileError, InputError
from keras_effnetv2.files import replace_file, replacing
from keras_effnetv2.paths import AnyPath, RemotePath

# Bytes of a part, and how many are uploaded at once: a copy of each is in memory.
_PART, _STREAMS = 1 << 26, 8
_PART_NAME = re.compile(r"step_\d+\.[0-9a-f]{32}\.part\.safetensors")
# Metadata key, in the file that names the others.
_PARTS = "parts"

_Arrays = dict[str, np.ndarray]


def write_arrays(path: AnyPath, arrays: _Arrays, metadata: dict[str, str]) -> list[str]:
    """Writes arrays atomically.

    Returns:
        Names of the files next to `path` that hold them, if any.

    Raises:
        OSError: they cannot be written.
    """
    import safetensors.numpy

    try:
        if isinstance(path, RemotePath):
            return _write_parts(path, arrays, metadata)
        with replacing(path) as temporary:
            safetensors.numpy.save_file(arrays, temporary, metadata)
        return []
    except safetensors.SafetensorError as error:  # Also for a full disk.
        raise FileError(f"{path} cannot be written: {error}.") from error


def read_arrays(path: AnyPath) -> tuple[_Arrays, dict[str, str]]:
    """Reads what `write_arrays` wrote.

    Raises:
        ValueError: the file is damaged.
        OSError: it cannot be read.
    """
    arrays, metadata = _read_file(path)
    names = _part_names(path, metadata)
    if names:
        with ThreadPoolExecutor(_STREAMS) as threads:
            for part, _ in threads.map(lambda x: _read_file(path.with_name(x)), names):
                arrays |= part
    return arrays, metadata


def read_metadata(path: AnyPath) -> dict[str, str]:
    """Only the metadata, without the arrays of a large file.

    Raises:
        ValueError: the file is damaged.
        OSError: it cannot be read.
    """
    if isinstance(path, RemotePath):
        return _read_file(path)[1]
    import safetensors

    try:
        with safetensors.safe_open(path, "numpy") as file:
            return file.metadata() or {}
    except safetensors.SafetensorError as error:
        raise InputError(f"{path} is damaged: {error}.") from error


def _part_names(path: AnyPath, metadata: dict[str, str]) -> list[str]:
    names = json.loads(metadata.get(_PARTS, "[]"))
    if all(isinstance(x, str) and _PART_NAME.fullmatch(x) for x in names):
        return names
    raise InputError(f"{path} is damaged: it names parts {str(names)[:100]}.")


def _write_parts(
    path: RemotePath, arrays: _Arrays, metadata: dict[str, str]
) -> list[str]:
    import safetensors.numpy

    parts = _divide(arrays)
    if len(parts) < 2:
        replace_file(path, safetensors.numpy.save(arrays, metadata))
        return []
    # Unique names: files of an earlier try at the same step may be in use.
    start = path.name.partition(".")[0]
    names = [f"{start}.{uuid.uuid4().hex}.part.safetensors" for _ in parts]

    def write(name: str, part: _Arrays) -> None:
        replace_file(path.with_name(name), safetensors.numpy.save(part))

    with ThreadPoolExecutor(_STREAMS) as threads:
        list(threads.map(write, names, parts))
    head = safetensors.numpy.save({}, {**metadata, _PARTS: json.dumps(names)})
    replace_file(path, head)
    return names


def _divide(arrays: _Arrays) -> list[_Arrays]:
    """Consecutive arrays divided into parts of about equal size."""
    parts: list[_Arrays] = [{}]
    size = 0
    for name, array in arrays.items():
        if parts[-1] and size + array.nbytes > _PART:
            parts.append({})
            size = 0
        parts[-1][name] = array
        size += array.nbytes
    return parts


def _read_file(path: AnyPath) -> tuple[_Arrays, dict[str, str]]:
    import safetensors.numpy

    try:
        if isinstance(path, RemotePath):
            contents = path.read_bytes()
            # The reader of bytes does not return the metadata.
            size = int.from_bytes(contents[:8], "little")
            header = json.loads(contents[8 : 8 + size])
            arrays = safetensors.numpy.load(contents)
            return arrays, header.get("__metadata__", {})
        with safetensors.safe_open(path, "numpy") as file:
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            return arrays, file.metadata() or {}
    except (safetensors.SafetensorError, ValueError) as error:
        raise InputError(f"{path} is damaged: {error}.") from error
