"""Shards: TFRecord files of images, each written atomically by any process."""

import collections
import concurrent.futures
import dataclasses
import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from typing import Any

import tensorflow as tf

from keras_effnetv2 import files
from keras_effnetv2.data.decoding import images
from keras_effnetv2.data.packing.encoding import stored
from keras_effnetv2.errors import InputError
from keras_effnetv2.paths import as_path, is_remote

# Keys of a record, named as TensorFlow Datasets does for folders of images.
IMAGE, FILE, LABEL = "image", "image/filename", "label"

# Subfolder of a pack while it is being written, with notes on complete shards.
NOTES = ".shards"
# Images of a shard that are read ahead, since each read from a bucket takes a while.
_NUM_AHEAD = 16
# Bytes. Larger files could not be decoded, nor read as records.
_LARGEST = 1 << 30


@dataclasses.dataclass(frozen=True)
class LabelledImage:
    """An image to pack.

    Attributes:
        path: path of its file.
        name: printable path of the file within the packed folder.
        label: number of its class.
        size: size of the file, bytes; 0 in a bucket, where each would need a request.
    """

    path: str
    name: str
    label: int
    size: int


@dataclasses.dataclass(frozen=True)
class Shard:
    """A shard to write.

    Attributes:
        folder: the folder that it is in.
        name: name of the file. images: its images, in order, including damaged ones,
            which are left out.
        image_size: as in `stored`.
    """

    folder: str
    name: str
    images: tuple[LabelledImage, ...]
    image_size: int | None


@dataclasses.dataclass(frozen=True)
class WrittenShard:
    """A finished shard.

    Attributes:
        name: name of the file.
        num_records: number of records.
        num_bytes: its size.
        damaged: names of the images that were left out, and why.
    """

    name: str
    num_records: int
    num_bytes: int
    damaged: tuple[tuple[str, str], ...] = ()

    @staticmethod
    def from_json(values: Any) -> "WrittenShard":
        """The inverse of `dataclasses.asdict`, from JSON.

        Raises:
            TypeError, ValueError, KeyError: the JSON is not of this form.
        """
        damaged = tuple((str(name), str(reason)) for name, reason in values["damaged"])
        num_records, num_bytes = int(values["num_records"]), int(values["num_bytes"])
        return WrittenShard(str(values["name"]), num_records, num_bytes, damaged)


def divided(
    found: Sequence[LabelledImage], num_shards: int, seed: int
) -> list[tuple[LabelledImage, ...]]:
    """Images shuffled and divided into parts whose lengths differ by at most 1.

    The order depends only on the seed and the names.
    """

    def place(image: LabelledImage) -> bytes:
        return hashlib.blake2b(f"{seed}/{image.name}".encode(), digest_size=16).digest()

    mixed = sorted(found, key=lambda image: (place(image), image.path))
    ends = [len(mixed) * number // num_shards for number in range(num_shards + 1)]
    return [tuple(mixed[x:y]) for x, y in zip(ends, ends[1:], strict=False)]


def write(shard: Shard) -> WrittenShard:
    """Writes a shard, and then a note of its contents.

    Raises:
        OSError: an image cannot be read, after several tries, or the shard cannot be
            written.
    """
    path = os.path.join(shard.folder, shard.name)
    damaged, num_records = [], 0
    with (
        files.full_disk_named(shard.folder, "Make room; the same command resumes."),
        files.replacing(path) as temporary,
        tf.io.TFRecordWriter(os.fspath(temporary)) as writer,
    ):
        for image, contents in _contents(shard.images):
            try:
                encoded = stored(contents.result(), shard.image_size)
            except InputError as error:
                damaged.append((image.name, str(error)))
                continue
            writer.write(_record(image, encoded))
            num_records += 1
    num_bytes = as_path(path).stat().st_size
    written = WrittenShard(shard.name, num_records, num_bytes, tuple(damaged))
    files.replace_file(
        os.path.join(shard.folder, NOTES, f"{shard.name}.json"),
        json.dumps(dataclasses.asdict(written)).encode(),
    )
    return written


def _contents(
    found: Sequence[LabelledImage],
) -> Iterator[tuple[LabelledImage, concurrent.futures.Future]]:
    """Each image and its bytes; a few are read ahead."""
    waiting: collections.deque = collections.deque()
    pool = concurrent.futures.ThreadPoolExecutor(_NUM_AHEAD, "read")
    try:
        for image in found:
            waiting.append((image, pool.submit(_bytes, image.path)))
            if len(waiting) > _NUM_AHEAD:
                yield waiting.popleft()
        yield from waiting
    finally:
        pool.shutdown(cancel_futures=True)


def _bytes(path: str) -> bytes:
    if is_remote(path):
        return images.contents(path)
    if not os.path.exists(path):
        raise InputError("the file is gone")
    if not os.access(path, os.R_OK):  # Not a disk failure, so no retries.
        raise InputError("permission denied")
    if os.stat(path).st_size > _LARGEST:
        raise InputError(f"the file has more than {_LARGEST:,} bytes")
    return images.contents(path)


def _record(image: LabelledImage, encoded: bytes) -> bytes:
    """A serialized tf.train.Example, deterministic in its bytes."""
    text = {IMAGE: encoded, FILE: image.name.encode()}
    features = {
        name: tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))
        for name, value in text.items()
    }
    features[LABEL] = tf.train.Feature(
        int64_list=tf.train.Int64List(value=[image.label])
    )
    example = tf.train.Example(features=tf.train.Features(feature=features))
    return example.SerializeToString(deterministic=True)
