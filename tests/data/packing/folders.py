"""Folders that are packed, and what is read of a pack."""

import collections

import tensorflow as tf
import tensorflow_datasets as tfds

from keras_effnetv2.data.sources import open_source
from tests import image_files as files
from tests.data import image_folders

OTHERS = {
    "turned.jpg": files.encode(files.RGB, "JPEG", exif=files.exif(6)),
    "moving.gif": files.encode(files.PALETTE, "GIF"),
    "flat.bmp": files.encode(files.PALETTE, "BMP"),
    "deep.png": files.png_16(files.RGB_16, 2),
    "two\nlines.tiff": files.encode(files.RGB, "TIFF"),
    f"{image_folders.NOT_UTF8}.jpg": files.JPEG,
}


def write(folder):
    """60 images of three classes in three splits, six of them of other formats."""
    image_folders.write(folder / "train", {"ant": 14, "bee": 12, "cow": 13})
    image_folders.write(folder / "validation", {"ant": 4, "bee": 5, "cow": 3}, 100)
    image_folders.write(folder / "test", {"cow": 3}, 200)
    for name, contents in OTHERS.items():
        (folder / "train" / "bee" / name).write_bytes(contents)
    return folder


def contents(folder):
    """Bytes of all files but those that no reader looks at."""
    return {
        path.name: path.read_bytes()
        for path in folder.iterdir()
        if not path.name.startswith(".")
    }


def records(folder, split):
    """Of a split, the bytes, name and label of each image, as TFDS reads them."""
    builder = tfds.builder_from_directory(folder)
    decoders = {"image": tfds.decode.SkipDecoding()}
    dataset = builder.as_dataset(split=split, decoders=decoders)
    return [
        (x["image"], x["image/filename"].decode(), int(x["label"]))
        for x in dataset.as_numpy_iterator()
    ]


def examples(source):
    """Pixels and label of each image of a source, counted."""
    found = collections.Counter()
    for index in range(source.num_examples):
        encoded, label = source.read(index)
        pixels = tf.io.decode_image(encoded, 3, expand_animations=False)
        found[pixels.numpy().tobytes(), int(label)] += 1
    return found


def opened(folder, split, kind="tfds", **options):
    return open_source(kind, split, directory=str(folder), **options)
