"""Where the records of TFRecord files are, found once and kept beside them.

To find records takes reading through the files, of which the headers are a small part;
but storage gives large runs of bytes sooner than small pieces. An index is a line that
says what it is, a line of JSON with names, sizes and numbers of records of the files,
the lengths of all records, uint32, and a checksum of all that.
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
# Of a file in the JSON line at most: its name has 255 characters, each 6 as JSON.
_BYTES_PER_FILE = 2000
_LONGEST = 2**32 - 1


def index_paths(paths: Sequence[str]) -> list[str]:
    """Where the index of some files may be: beside the first, or in a cache folder."""
    folder = os.path.dirname(paths[0])
    names = "\n".join(map(os.path.basename, paths))
    name = f"index-of-{len(paths)}-files-{_digest(names)}.records"
    home = pathlib.Path(os.environ.get("KERAS_HOME") or "~/.keras").expanduser()
    place = folder if "://" in folder else os.path.abspath(folder)
    cached = home / "keras_effnetv2" / "indexes" / _digest(place) / name
    return [os.path.join(folder, name), str(cached)]


def has_index(paths: Sequence[str]) -> bool:
    """Whether there is something that may be the index of some files."""
    return any(map(tf.io.gfile.exists, index_paths(paths)))


def read_index(paths: Sequence[str], sizes: Sequence[int]) -> list[np.ndarray] | None:
    """Lengths of the records of each file, int64; None where there is no sound index.

    Args:
        paths: of the files.
        sizes: of the files, bytes.

    Raises:
        ValueError: the index there is of other files.
        OSError: the index cannot be read, tried several times.
    """
    for place in index_paths(paths):
        contents = _read(place, len(paths), sum(sizes))
        if contents is None:
            continue
        try:
            files, lengths = _parse(contents)
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            logging.warning(
                "The index %s is damaged (%s), and made again.", place, error
            )
            return None
        _check_files(files, paths, sizes, place)
        if all(
            len(found) * RECORD_OVERHEAD + found.sum() == size
            for found, size in zip(lengths, sizes, strict=True)
        ):
            return lengths
        logging.warning("The index %s is damaged, and made again.", place)
        return None
    return None


def write_index(
    paths: Sequence[str], sizes: Sequence[int], lengths: Sequence[np.ndarray]
) -> str | None:
    """Writes an index beside the files, or else into the cache folder.

    Args:
        paths: of the files.
        sizes: of the files, bytes.
        lengths: of the records of each file.

    Returns:
        Where it is; None where neither place can be written, which is logged.
    """
    files = [
        [os.path.basename(path), size, len(found)]
        for path, size, found in zip(paths, sizes, lengths, strict=True)
    ]
    every = np.concatenate(lengths)
    if every.max(initial=0) > _LONGEST:
        raise InputError(
            f"A record of {every.max():,} bytes is no image. Check the files beside "
            f"{paths[0]}."
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
        "The index of the records fits neither %s nor %s: it is made again each time.",
        beside,
        cached,
    )
    return None


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _read(place: str, num_files: int, num_bytes: int) -> bytes | None:
    """A file that may be an index of so much; None where there is none."""

    def read():
        try:
            size = tf.io.gfile.stat(place).length
        except (tf.errors.NotFoundError, tf.errors.PermissionDeniedError):
            return None
        most = len(_TITLE) + _BYTES_PER_FILE * (num_files + 1) + _CHECKSUM.size
        if size > most + 4 * (num_bytes // RECORD_OVERHEAD):
            return b""  # As damaged as any.
        return tf.io.read_file(place).numpy()  # In one read.

    return retried(read, place)


def _parse(contents: bytes) -> tuple[list, list[np.ndarray]]:
    """Name, size and number of records of each file; lengths of the records of each.

    Raises:
        ValueError: it is damaged.
        TypeError, KeyError, RecursionError: likewise.
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
                f"{here[0]} has {here[1]:,} bytes, and the index of the records says "
                f"that {str(there[0])[:100]} had {str(there[1])[:20]}: the file is cut "
                f"off, or another. Get it again, or remove {place} if it is new."
            )
    if len(found) != len(wanted):
        raise InputError(
            f"{place} is the index of {len(found)} files, and there are "
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
