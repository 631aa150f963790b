"""`pack`: from a folder of images to a complete set of shards."""

import collections
import contextlib
import dataclasses
import itertools
import math
import os
from collections.abc import Iterator, Mapping

from keras_effnetv2 import files, fleet
from keras_effnetv2.data.packing import contents, shards, tfds_metadata
from keras_effnetv2.data.packing.manifest import Manifest
from keras_effnetv2.data.packing.shards import Shard, WrittenShard
from keras_effnetv2.data.printable import printable
from keras_effnetv2.errors import InputError, require_modules
from keras_effnetv2.paths import is_remote
from keras_effnetv2.progress import Progress

# With images like ImageNet's, shards have about 120 MB: TensorFlow Datasets recommends
# 100 MB or more, and work lost with a killed process is repeated in a minute.
_IMAGES_OF_A_SHARD = 1000
_LOCK = ".lock"


@dataclasses.dataclass(frozen=True)
class Pack:
    """The contents of a folder of shards.

    Attributes:
        folder: the folder of the shards.
        num_images: images in the shards of each split.
        num_shards: shards in total.
        damaged: names of the images that are in no shard, and why.
    """

    folder: str
    num_images: Mapping[str, int]
    num_shards: int
    damaged: tuple[tuple[str, str], ...]


def pack(
    folder: str | os.PathLike,
    output: str | os.PathLike,
    *,
    image_size: int | None = None,
    num_shards: int | None = None,
    seed: int = 0,
    train_split: str = "train",
    engine: str = "local",
    processes: int | None = None,
) -> Pack:
    """Packs a folder of images into TFRecord files, laid out for TensorFlow Datasets.

    Splits, classes and their numbers are those of the source `folder`. Images of a
    split are shuffled by `seed`, then divided into shards. Bytes of JPEGs and PNGs are
    kept; an image that some readers would rotate, colour differently or fail to read is
    converted: a JPEG at quality 95, others to PNG. Damaged images are left out, and
    listed in `damaged.jsonl`. After a kill, the same call resumes and ends with the
    same bytes, with any engine.

    Args:
        folder: has a folder for each class, or for each split with one for each class;
            local, or of a file system that TensorFlow knows, such as `gs://...`.
        output: a new folder, or that of the same pack. If it is named like a version,
            `DIRECTORY/flowers/1.0.0`, `tfds.load("flowers", data_dir=DIRECTORY)` reads
            it; `tfds.builder_from_directory(output)` always does.
        image_size: images whose shorter side is longer are shrunk to it, pixels. None:
            no image is shrunk.
        num_shards: shards of the largest split; others get as many images per shard.
            None: one for every 1,000 images.
        seed: seed of the order.
        train_split: the split whose folders are the classes.
        engine: `"local"`: processes of this machine; `"ray"`: all processors of a Ray
            cluster, whose machines see both folders under these names.
        processes: number for `"local"`; a program that starts several must be guarded
            by `if __name__ == "__main__"`. None: one for each processor.

    Raises:
        ValueError: nothing can be packed, or nothing can be written.
        OSError: an image cannot be read, after several tries, or a shard cannot be
            written.
        ImportError: a package is missing.
        ChildProcessError: a process was killed.
    """
    _check_numbers(image_size=image_size, num_shards=num_shards, processes=processes)
    fleet.check_engine(engine)
    require_modules("Packing needs", "train", "tensorflow_datasets")
    source, target = _absolute(folder), _absolute(output)
    _check_apart(source, target)
    found = contents.find(source, train_split)
    num_images = {split: len(images) for split, images in found.splits.items()}
    counts = _num_shards(num_images, num_shards)
    request = {
        "image_size": image_size,
        "seed": seed,
        "images": num_images,
        "shards": counts,
        "contents": found.digest(),
    }
    plan = _planned(found, target, counts, seed, image_size)
    with _sole(target):
        manifest = Manifest(target, request)
        _write_missing(manifest, [*itertools.chain(*plan.values())], engine, processes)
        manifest.finish()
        written = {shard.name: shard for shard in manifest.written}
        splits = {split: [written[x.name] for x in y] for split, y in plan.items()}
        _refuse_empty(target, splits)
        tfds_metadata.write(target, found.class_names, splits)
    return Pack(
        target,
        {split: sum(x.num_records for x in y) for split, y in splits.items()},
        len(written),
        tuple(itertools.chain(*(shard.damaged for shard in manifest.written))),
    )


def _check_numbers(**numbers: int | None) -> None:
    for name, number in numbers.items():
        if number is not None and number < 1:
            raise InputError(f"{name} must be at least 1. Received: {number}.")


def _absolute(path: str | os.PathLike) -> str:
    """The path as other processes and machines see it."""
    if is_remote(path):
        return os.fspath(path).rstrip("/")
    return os.path.abspath(os.path.expanduser(path))


def _check_apart(source: str, target: str) -> None:
    """Refuses an output folder that is within the folder of images."""
    if not (is_remote(source) or is_remote(target)):
        source, target = os.path.realpath(source), os.path.realpath(target)
    if target == source or target.startswith(os.path.join(source, "")):
        raise InputError(
            f"{printable(target)} is inside {printable(source)}, whose images are "
            "packed. Choose another folder."
        )


def _num_shards(num_images: Mapping[str, int], wanted: int | None) -> dict[str, int]:
    """Shards of each split."""
    largest = max(num_images.values())
    of_a_shard = _IMAGES_OF_A_SHARD if wanted is None else largest / wanted
    return {
        split: max(1, min(num, math.ceil(round(num / of_a_shard, 6))))
        for split, num in num_images.items()
    }


def _planned(
    found: contents.Contents,
    target: str,
    counts: Mapping[str, int],
    seed: int,
    image_size: int | None,
) -> dict[str, list[Shard]]:
    """The shards of each split."""
    name, _ = tfds_metadata.identity(target)
    return {
        split: [
            Shard(
                target,
                tfds_metadata.shard_name(name, split, number, counts[split]),
                images,
                image_size,
            )
            for number, images in enumerate(
                shards.divided(of_split, counts[split], seed)
            )
        ]
        for split, of_split in found.splits.items()
    }


@contextlib.contextmanager
def _sole(target: str) -> Iterator[None]:
    """Keeps others from packing into a folder in the block; buckets have no locks."""
    try:
        target.encode()  # As TensorFlow does.
        files.check_writable(target)
    except (OSError, UnicodeEncodeError) as error:
        reason = getattr(error, "strerror", None) or "its name is not UTF-8"
        raise InputError(
            f"Nothing can be written to {printable(target)}: {reason}. Choose another "
            "folder."
        ) from error
    with contextlib.ExitStack() as stack:
        if not is_remote(target):
            lock = os.path.join(target, _LOCK)
            stack.enter_context(files.locked(lock, "packs into this folder"))
        files.remove_unfinished(target)
        yield


def _write_missing(
    manifest: Manifest, plan: list[Shard], engine: str, processes: int | None
) -> None:
    missing = manifest.missing(plan)
    if not missing:
        return
    tfds_metadata.remove(missing[0].folder)
    sizes = {shard.name: len(shard.images) for shard in missing}
    progress = Progress("images packed", sum(sizes.values()))
    if engine == "ray":
        written = fleet.on_ray(shards.write, missing)
    else:
        processes = processes or os.cpu_count() or 1
        written = fleet.in_processes(shards.write, missing, processes)
    for shard in written:
        progress.advance(sizes[shard.name])
    progress.finish()


def _refuse_empty(target: str, splits: Mapping[str, list[WrittenShard]]) -> None:
    for split, of_split in splits.items():
        if not any(shard.num_records for shard in of_split):
            reasons = collections.Counter(
                reason for shard in of_split for _, reason in shard.damaged
            )
            ((reason, _),) = reasons.most_common(1)
            raise InputError(
                f"None of the images of the split {split!r} can be decoded, mostly "
                f"because {reason}. {printable(target)} lists them in damaged.jsonl."
            )
