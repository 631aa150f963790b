"""Random access to the records of TFRecord files.

Format: https://www.tensorflow.org/tutorials/load_data/tfrecord: each record is its
length (8 bytes), a checksum of that (4), the data, and a checksum of the data (4).
"""

import concurrent.futures
import dataclasses
import struct
from collections.abc import Callable, Sequence
from typing import Any, BinaryIO

import numpy as np
import tensorflow as tf

from keras_effnetv2.data.decoding.retrying import retried
from keras_effnetv2.errors import InputError
from keras_effnetv2.progress import Progress

_HEADER = struct.Struct("<QI")
_FOOTER_SIZE = 4
RECORD_OVERHEAD = _HEADER.size + _FOOTER_SIZE  # Bytes of a record besides its data.
# Files whose headers are read at the same time; each read of a remote file is slow.
_NUM_THREADS = 16
# The first bytes of compressed files.
_COMPRESSED = (b"\x1f\x8b", b"\x78\x01", b"\x78\x5e", b"\x78\x9c", b"\x78\xda")


@dataclasses.dataclass(frozen=True)
class Records:
    """Positions of the records of some files.

    Attributes:
        paths: paths of the files. files: index of the file of each record, int64
            `(num_records,)`.
        numbers: number of each record in its file, from 0.
        offsets: where each record starts, bytes.
        lengths: size of the data of each record, bytes.
    """

    paths: tuple[str, ...]
    files: np.ndarray
    numbers: np.ndarray
    offsets: np.ndarray
    lengths: np.ndarray

    def __len__(self) -> int:
        return len(self.files)

    @classmethod
    def of(
        cls,
        paths: Sequence[str],
        lengths: Sequence[np.ndarray],
        parts: Sequence[slice] | None = None,
    ) -> "Records":
        """Consecutive records, from their lengths in each file.

        Args:
            paths: paths of the files.
            lengths: lengths of the records of each file.
            parts: the records of each file to use. None: all.

        Raises:
            ValueError: there are none.
        """
        tables = []
        for own, part in zip(lengths, parts or [slice(None)] * len(paths), strict=True):
            ends = np.cumsum(own + RECORD_OVERHEAD)
            offsets = ends - own - RECORD_OVERHEAD
            table = np.stack([np.arange(len(own)), offsets, own], axis=1)
            tables.append(table[part])
        files = np.repeat(np.arange(len(paths)), [len(table) for table in tables])
        if not len(files):
            raise InputError(f"There are no records in {', '.join(paths[:3])}.")
        numbers, offsets, own = np.concatenate(tables).T.copy()
        return cls(tuple(paths), files, numbers, offsets, own)

    def name_of(self, index: int) -> str:
        """The file of a record, and its number there."""
        return f"{self.paths[self.files[index]]} record {self.numbers[index]}"

    def reader(self) -> Callable[[tf.Tensor], tf.Tensor]:
        """A function from a scalar index to the record, in TensorFlow ops.

        Its checksum is verified: a changed record is a tf.errors.DataLossError.
        """
        paths = tf.constant(self.paths)
        files, offsets = tf.constant(self.files), tf.constant(self.offsets)
        sizes = tf.constant(self.lengths + RECORD_OVERHEAD)

        def read(index):
            # One read gets everything.
            dataset = records_from(paths[files[index]], offsets[index], sizes[index])
            return dataset.take(1).get_single_element()

        return read


def records_from(path: Any, offset: Any, buffer_size: Any) -> tf.data.Dataset:
    """Records of a file from an offset on; a changed one is a tf.errors.DataLossError.

    Args:
        path: path of the file.
        offset: where a record starts, bytes.
        buffer_size: size of each read, bytes.
    """
    variant = tf.raw_ops.TFRecordDatasetV2(
        filenames=tf.reshape(path, (1,)),
        compression_type="",
        buffer_size=buffer_size,
        byte_offsets=tf.reshape(offset, (1,)),
    )
    return tf.data.experimental.from_variant(variant, tf.TensorSpec((), tf.string))


def find_records(paths: Sequence[str], parts: Sequence[slice] | None = None) -> Records:
    """Scans the headers of TFRecord files.

    Args:
        paths: paths of uncompressed files.
        parts: the records of each file to use. None: all.

    Raises:
        ValueError: no records, or a file that is compressed, cut off or not a TFRecord
            file.
        OSError: a file cannot be read, after several tries.
    """
    progress = Progress(f"records found in {len(paths)} files")

    def scan(path):
        found = retried(lambda: scan_headers(path), path)
        progress.advance(len(found))
        return found

    with concurrent.futures.ThreadPoolExecutor(_NUM_THREADS) as pool:
        lengths = [*pool.map(scan, paths)]
    progress.finish()
    return Records.of(paths, lengths, parts)


def scan_headers(path: str) -> np.ndarray:
    """Lengths of the records of a file, int64 `(num_records,)`, from headers only.

    Raises:
        ValueError: a file that is compressed, cut off or not a TFRecord file.
    """
    size = tf.io.gfile.stat(path).length
    found, offset = [], 0
    with _open(path) as file:
        while offset < size:
            file.seek(offset)
            header = file.read(_HEADER.size)
            length = _HEADER.unpack(header)[0] if len(header) == _HEADER.size else size
            end = offset + _HEADER.size + length + _FOOTER_SIZE
            if end > size:
                raise InputError(_complaint(path, offset, size, header))
            found.append(length)
            offset = end
    return np.array(found, np.int64)


def _complaint(path: str, offset: int, size: int, header: bytes) -> str:
    if not offset and header.startswith(_COMPRESSED):
        return f"{path} is compressed, so its records cannot be found. Decompress it."
    return (
        f"{path} is cut off, or not a TFRecord file: at byte {offset:,} there is no "
        f"complete record, and the file has {size:,} bytes. Get the file again."
    )


def _open(path: str) -> BinaryIO:
    """A file for reading a few bytes at random positions."""
    if "://" in path:
        # With read-ahead: each read of a remote file costs more than the bytes in
        # between.
        return tf.io.gfile.GFile(path, "rb")
    return open(path, "rb", buffering=0)
