"""Shards: TFRecord files of images, each written at once by whoever has the time."""

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

# Of what is in a record, as TensorFlow Datasets calls it in folders of images.
IMAGE, FILE, LABEL = "image", "image/filename", "label"

# In the folder of a pack, while it is being written: what is known of whole shards.
NOTES = ".shards"
# Images of a shard whose bytes are read before they are needed; each read from a bucket
# takes a while.
_NUM_AHEAD = 16
# Bytes. More is no image that could be decoded, and no record that could be read.
_LARGEST = 1 << 30


@dataclasses.dataclass(frozen=True)
class LabelledImage:
    """An image that is to be packed.

    Attributes:
        path: of its file.
        name: of the file in the folder that is packed, printable.
        label: number of its class.
        size: of the file, bytes; 0 in a bucket, where that takes asking for each.
    """

    path: str
    name: str
    label: int
    size: int


@dataclasses.dataclass(frozen=True)
class Shard:
    """A file that is to be written.

    Attributes:
        folder: that it is in.
        name: of the file.
        images: that are in it, in their order, but for those that are damaged.
        image_size: as of `stored`.
    """

    folder: str
    name: str
    images: tuple[LabelledImage, ...]
    image_size: int | None


@dataclasses.dataclass(frozen=True)
class WrittenShard:
    """A file that is there.

    Attributes:
        name: of the file.
        num_records: in it.
        num_bytes: its size.
        damaged: name of each image that is not in it, and why.
    """

    name: str
    num_records: int
    num_bytes: int
    damaged: tuple[tuple[str, str], ...] = ()

    @staticmethod
    def from_json(values: Any) -> "WrittenShard":
        """One of which `dataclasses.asdict` has made JSON.

        Raises:
            TypeError, ValueError, KeyError: it has not.
        """
        damaged = tuple((str(name), str(reason)) for name, reason in values["damaged"])
        num_records, num_bytes = int(values["num_records"]), int(values["num_bytes"])
        return WrittenShard(str(values["name"]), num_records, num_bytes, damaged)


def divided(
    found: Sequence[LabelledImage], num_shards: int, seed: int
) -> list[tuple[LabelledImage, ...]]:
    """Images in an order that mixes them, and in parts whose lengths differ by 1.

    The order follows from the seed and the names alone.
    """

    def place(image: LabelledImage) -> bytes:
        return hashlib.blake2b(f"{seed}/{image.name}".encode(), digest_size=16).digest()

    mixed = sorted(found, key=lambda image: (place(image), image.path))
    ends = [len(mixed) * number // num_shards for number in range(num_shards + 1)]
    return [tuple(mixed[x:y]) for x, y in zip(ends, ends[1:], strict=False)]


def write(shard: Shard) -> WrittenShard:
    """Writes a shard, and then a note of what is in it.

    Raises:
        OSError: an image cannot be read, tried several times, or nothing be written.
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
    """Each image and its bytes, of which a few are read ahead."""
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
        raise InputError("the file has gone")
    if not os.access(path, os.R_OK):  # No failure of the disk, to be tried again.
        raise InputError("permission denied")
    if os.stat(path).st_size > _LARGEST:
        raise InputError(f"the file has more than {_LARGEST:,} bytes")
    return images.contents(path)


def _record(image: LabelledImage, encoded: bytes) -> bytes:
    """A serialized tf.train.Example, always of the same bytes."""
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
