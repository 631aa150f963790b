"""Any record of TFRecord files at any time.

Format: https://www.tensorflow.org/tutorials/load_data/tfrecord: of each record its
length, 8 bytes, a checksum of it, 4, the data, and a checksum of the data, 4.
"""

import concurrent.futures
import dataclasses
import struct
from collections.abc import Callable, Sequence
from typing import BinaryIO

import numpy as np
import tensorflow as tf

from keras_effnetv2.data.decoding.retrying import retried
from keras_effnetv2.errors import InputError
from keras_effnetv2.progress import Progress

_HEADER = struct.Struct("<QI")
_FOOTER_SIZE = 4
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

    def name_of(self, index: int) -> str:
        """The file and the place in it of a record."""
        return f"{self.paths[self.files[index]]} record {self.numbers[index]}"

    def reader(self) -> Callable[[tf.Tensor], tf.Tensor]:
        """A function from a scalar index to the record, in TensorFlow ops.

        Its checksum is looked at: a changed record is a tf.errors.DataLossError.
        """
        paths = tf.constant(self.paths)
        files, offsets = tf.constant(self.files), tf.constant(self.offsets)
        sizes = tf.constant(self.lengths + _HEADER.size + _FOOTER_SIZE)

        def read(index):
            variant = tf.raw_ops.TFRecordDatasetV2(
                filenames=paths[files[index]][None],
                compression_type="",
                buffer_size=sizes[index],  # One read gets it all.
                byte_offsets=offsets[index][None],
            )
            spec = tf.TensorSpec((), tf.string)
            dataset = tf.data.experimental.from_variant(variant, spec)
            return dataset.take(1).get_single_element()

        return read


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

    def scan(path, part):
        found = retried(lambda: _scan(path), path)
        progress.advance(len(found))
        return np.insert(found, 0, np.arange(len(found)), axis=1)[part]

    parts = parts or [slice(None)] * len(paths)
    with concurrent.futures.ThreadPoolExecutor(_NUM_THREADS) as pool:
        tables = [*pool.map(scan, paths, parts)]
    progress.finish()
    files = np.repeat(np.arange(len(paths)), [len(table) for table in tables])
    if not len(files):
        raise InputError(f"There are no records in {', '.join(paths[:3])}.")
    numbers, offsets, lengths = np.concatenate(tables).T.copy()
    return Records(tuple(paths), files, numbers, offsets, lengths)


def _scan(path: str) -> np.ndarray:
    """Offsets and lengths of the records of a file, int64 `(num_records, 2)`."""
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
            found.append((offset, length))
            offset = end
    return np.array(found, np.int64).reshape(-1, 2)


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
