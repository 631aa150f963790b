"""An index of the records of TFRecord files, made once and kept next to them.

Finding records takes reading through the files: the headers are a small part of them,
but large sequential reads are faster than small ones. An index is a title line, a line
of JSON with names, sizes and numbers of records of the files, the lengths of all
records, uint32, and a checksum of all that.
"""

import hashlib
import json
import os
import pathlib
import struct
import zlib
from collections.abc import Sequence

import numpy as np
import tensorflow as tf
from absl import logging

from keras_effnetv2.data.decoding.retrying import retried
from keras_effnetv2.data.records.record_files import RECORD_OVERHEAD
from keras_effnetv2.errors import InputError

_TITLE = b"keras_effnetv2 index of records, version 1\n"
_CHECKSUM = struct.Struct("<I")
# Maximum per file in the JSON line: its name has 255 characters, each 6 in JSON.
_BYTES_PER_FILE = 2000
_LONGEST = 2**32 - 1


def index_paths(paths: Sequence[str]) -> list[str]:
    """Possible places of an index: next to the first file, or in a cache folder."""
    folder = os.path.dirname(paths[0])
    names = "\n".join(map(os.path.basename, paths))
    name = f"index-of-{len(paths)}-files-{_digest(names)}.records"
    home = pathlib.Path(os.environ.get("KERAS_HOME") or "~/.keras").expanduser()
    place = folder if "://" in folder else os.path.abspath(folder)
    cached = home / "keras_effnetv2" / "indexes" / _digest(place) / name
    return [os.path.join(folder, name), str(cached)]


def has_index(paths: Sequence[str]) -> bool:
    """Whether there may be an index of some files."""
    return any(map(tf.io.gfile.exists, index_paths(paths)))


def read_index(paths: Sequence[str], sizes: Sequence[int]) -> list[np.ndarray] | None:
    """Lengths of the records of each file, int64; None without a sound index.

    Args:
        paths: paths of the files.
        sizes: sizes of the files, bytes.

    Raises:
        ValueError: the index is of other files.
        OSError: the index cannot be read, after several tries.
    """
    for place in index_paths(paths):
        contents = _read(place, len(paths), sum(sizes))
        if contents is None:
            continue
        try:
            files, lengths = _parse(contents)
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            logging.warning(
                "The index %s is damaged (%s), and will be rebuilt.", place, error
            )
            return None
        _check_files(files, paths, sizes, place)
        if all(
            len(found) * RECORD_OVERHEAD + found.sum() == size
            for found, size in zip(lengths, sizes, strict=True)
        ):
            return lengths
        logging.warning("The index %s is damaged, and will be rebuilt.", place)
        return None
    return None


def write_index(
    paths: Sequence[str], sizes: Sequence[int], lengths: Sequence[np.ndarray]
) -> str | None:
    """Writes an index next to the files, or else into the cache folder.

    Args:
        paths: paths of the files.
        sizes: sizes of the files, bytes.
        lengths: lengths of the records of each file.

    Returns:
        Its path; None if neither place can be written to, which is logged.
    """
    files = [
        [os.path.basename(path), size, len(found)]
        for path, size, found in zip(paths, sizes, lengths, strict=True)
    ]
    every = np.concatenate(lengths)
    if every.max(initial=0) > _LONGEST:
        raise InputError(
            f"A record of {every.max():,} bytes is not an image. Check the files next "
            f"to {paths[0]}."
        )
    contents = _TITLE + json.dumps({"files": files}).encode() + b"\n"
    contents += every.astype("<u4").tobytes()
    contents += _CHECKSUM.pack(zlib.crc32(contents))
    beside, cached = index_paths(paths)
    for place in (beside, cached):
        try:
            _write(place, contents)
            return place
        except (OSError, tf.errors.OpError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            logging.info("The index cannot be written to %s: %s", place, reason)
    logging.warning(
        "The index of the records can be written neither to %s nor to %s, so it is "
        "rebuilt each time.",
        beside,
        cached,
    )
    return None


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _read(place: str, num_files: int, num_bytes: int) -> bytes | None:
    """A file that may be an index of this size; None if there is none."""

    def read():
        try:
            size = tf.io.gfile.stat(place).length
        except (tf.errors.NotFoundError, tf.errors.PermissionDeniedError):
            return None
        most = len(_TITLE) + _BYTES_PER_FILE * (num_files + 1) + _CHECKSUM.size
        if size > most + 4 * (num_bytes // RECORD_OVERHEAD):
            return b""  # Counts as damaged.
        return tf.io.read_file(place).numpy()  # In one read.

    return retried(read, place)


def _parse(contents: bytes) -> tuple[list, list[np.ndarray]]:
    """Name, size and number of records of each file, and the lengths of its records.

    Raises:
        ValueError: it is damaged.
        TypeError, KeyError, RecursionError: it is damaged.
    """
    body, checksum = contents[: -_CHECKSUM.size], contents[-_CHECKSUM.size :]
    if not body.startswith(_TITLE) or _CHECKSUM.pack(zlib.crc32(body)) != checksum:
        raise ValueError("its checksum is wrong")
    line, _, lengths = body[len(_TITLE) :].partition(b"\n")
    files = json.loads(line)["files"]
    counts = [count for _, _, count in files]
    if not all(type(count) is int and count >= 0 for count in counts):
        raise ValueError("its numbers are wrong")
    every = np.frombuffer(lengths, "<u4").astype(np.int64)
    if sum(counts) != len(every):
        raise ValueError("its numbers are wrong")
    return files, np.split(every, np.cumsum(counts)[:-1])


def _check_files(
    files: list, paths: Sequence[str], sizes: Sequence[int], place: str
) -> None:
    """Refuses an index of other files than these."""
    wanted = [
        (os.path.basename(path), size) for path, size in zip(paths, sizes, strict=True)
    ]
    found = [(name, size) for name, size, _ in files]
    for there, here in zip(found, wanted, strict=False):
        if there != here:
            raise InputError(
                f"{here[0]} has {here[1]:,} bytes, but the index of the records says "
                f"that {str(there[0])[:100]} had {str(there[1])[:20]}: the file is "
                f"cut off, or another. Get it again, or remove {place} if it is new."
            )
    if len(found) != len(wanted):
        raise InputError(
            f"{place} is the index of {len(found)} files, but there are "
            f"{len(wanted)}. Remove it."
        )


def _write(place: str, contents: bytes) -> None:
    """Writes a file under a temporary name, then renames it."""
    tf.io.gfile.makedirs(os.path.dirname(place))
    temporary = f"{place}.{os.urandom(8).hex()}.part"
    try:
        with tf.io.gfile.GFile(temporary, "wb") as file:
            file.write(contents)
        tf.io.gfile.rename(temporary, place, overwrite=True)
    finally:
        if tf.io.gfile.exists(temporary):
            tf.io.gfile.remove(temporary)
