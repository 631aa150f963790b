"""Any record of TFRecord files at any time.

Format: https://www.tensorflow.org/tutorials/load_data/tfrecord: of each record its
length, 8 bytes, a checksum of it, 4, the data, and a checksum of the data, 4.
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
# Files whose headers are read at the same time; of a remote file each takes a while.
_NUM_THREADS = 16
# The first bytes of files that were compressed.
_COMPRESSED = (b"\x1f\x8b", b"\x78\x01", b"\x78\x5e", b"\x78\x9c", b"\x78\xda")


@dataclasses.dataclass(frozen=True)
class Records:
    """Where the records of some files are.

    Attributes:
        paths: of the files.
        files: of each record, the index of its file, int64 `(num_records,)`.
        numbers: its place in the file, from 0.
        offsets: where it starts, bytes.
        lengths: of its data, bytes.
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
        """Records one after another, of the lengths that each file has.

        Args:
            paths: of the files.
            lengths: of the records of each.
            parts: which records of each file. None: all.

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
        """The file and the place in it of a record."""
        return f"{self.paths[self.files[index]]} record {self.numbers[index]}"

    def reader(self) -> Callable[[tf.Tensor], tf.Tensor]:
        """A function from a scalar index to the record, in TensorFlow ops.

        Its checksum is looked at: a changed record is a tf.errors.DataLossError.
        """
        paths = tf.constant(self.paths)
        files, offsets = tf.constant(self.files), tf.constant(self.offsets)
        sizes = tf.constant(self.lengths + RECORD_OVERHEAD)

        def read(index):
            # One read gets it all.
            dataset = records_from(paths[files[index]], offsets[index], sizes[index])
            return dataset.take(1).get_single_element()

        return read


def records_from(path: Any, offset: Any, buffer_size: Any) -> tf.data.Dataset:
    """Records of a file from a byte on; a changed one is a tf.errors.DataLossError.

    Args:
        path: of the file.
        offset: where a record starts, bytes.
        buffer_size: bytes of each read.
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
        paths: of uncompressed files.
        parts: which records of each file. None: all.

    Raises:
        ValueError: no records, or a file that is compressed, cut off or no TFRecord.
        OSError: a file cannot be read, tried several times.
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
    """Lengths of the records of a file, int64 `(num_records,)`, by their headers alone.

    Raises:
        ValueError: a file that is compressed, cut off or no TFRecord.
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
        return f"{path} is compressed, so it has no records to find. Decompress it."
    return (
        f"{path} is cut off, or no TFRecord file: at byte {offset:,} there is no whole "
        f"record, and the file has {size:,} bytes. Get the file again."
    )


def _open(path: str) -> BinaryIO:
    """A file for reading few bytes here and there."""
    if "://" in path:
        # Reads ahead: each look at a remote file costs more than the bytes between.
        return tf.io.gfile.GFile(path, "rb")
    return open(path, "rb", buffering=0)
