"""Finds where records start in TFRecord files without an index.

A record begins with its length and a checksum of that, which distinguishes it from any
other bytes: https://www.tensorflow.org/tutorials/load_data/tfrecord.
"""

import functools

import numpy as np
import tensorflow as tf

from keras_effnetv2.data.records.record_files import RECORD_OVERHEAD

_HEADER_SIZE = 12
_POLYNOMIAL = 0x82F63B78  # CRC-32C, reflected.
_MASK_DELTA = 0xA282EAD8
# Size of each read, bytes: a few photographs.
_PIECE = 1 << 19


def first_start(path: str, begin: int, end: int, size: int) -> int:
    """The first offset from `begin` on where a record starts, or else `end`.

    Args:
        path: path of the file.
        begin: where to start searching.
        end: where to stop.
        size: size of the file, bytes.
    """
    with tf.io.gfile.GFile(path, "rb") as file:
        file.seek(begin)
        known, place = b"", begin
        while place < end:
            known += file.read(_PIECE)
            starts = _starts(known, size - place)
            if len(starts):
                return min(place + int(starts[0]), end)
            # A header may begin in the last bytes.
            passed = max(0, len(known) - _HEADER_SIZE + 1)
            if place + len(known) >= size:
                return end
            known, place = known[passed:], place + passed
    return end


def _starts(contents: bytes, left: int) -> np.ndarray:
    """Offsets of headers whose records end within `left` bytes from the first byte."""
    num = len(contents) - _HEADER_SIZE + 1
    if num <= 0:
        return np.zeros(0, np.int64)
    data = np.frombuffer(contents, np.uint8)
    zero = data == 0
    # Lengths have 8 bytes, of which the upper 4 are zero.
    places = np.flatnonzero(
        zero[4 : num + 4] & zero[5 : num + 5] & zero[6 : num + 6] & zero[7 : num + 7]
    )
    header = data[places[:, None] + np.arange(_HEADER_SIZE)]
    lengths = header[:, :4].copy().view("<u4")[:, 0].astype(np.int64)
    stated = header[:, 8:].copy().view("<u4")[:, 0]
    is_start = (places + lengths + RECORD_OVERHEAD <= left) & (
        _masked_checksums(header[:, :8]) == stated
    )
    return places[is_start]


def _masked_checksums(rows: np.ndarray) -> np.ndarray:
    """CRC-32C of rows of bytes, masked as in TFRecord files, uint32 `(num,)`."""
    found = np.full(len(rows), 0xFFFFFFFF, np.uint32)
    for column in rows.T:
        found = _table()[(found ^ column) & 0xFF] ^ (found >> np.uint32(8))
    found = ~found
    rotated = (found >> np.uint32(15)) | (found << np.uint32(17))
    return rotated + np.uint32(_MASK_DELTA)


@functools.cache
def _table() -> np.ndarray:
    """CRC-32C of every byte, uint32 `(256,)`."""
    found = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        low = found & np.uint32(1)
        found = (found >> np.uint32(1)) ^ np.where(low, np.uint32(_POLYNOMIAL), 0)
        found = found.astype(np.uint32)
    return found
