"""Datasets of TFRecord files for tests, small and read in small chunks."""

import numpy as np
import tensorflow as tf

from keras_effnetv2.data.records.record_opening import Reading, open_records


def write(folder, num_files=20, per_file=60, noise=40):
    """Files of records of a number and some bytes, as `open_files` reads them."""
    generator = np.random.default_rng(0)
    paths = []
    for file in range(num_files):
        paths.append(str(folder / f"part-{file:05}"))
        with tf.io.TFRecordWriter(paths[-1]) as writer:
            for number in range(file * per_file, (file + 1) * per_file):
                extra = generator.bytes(int(generator.integers(noise)))
                writer.write(number.to_bytes(8, "little") + extra)
    return paths


def parse(record):
    """Pixels of two bytes of a number, 16 by 16, of which it is the label, too."""
    number = tf.io.decode_raw(tf.strings.substr(record, 0, 8), tf.int64)[0]
    low, high = number % 256, number // 256
    pixels = tf.cast(tf.stack([low, high, low]), tf.uint8)
    return tf.tile(pixels[None, None], (16, 16, 1)), number


def open_files(paths, monkeypatch, parse=parse, num_classes=1200, **reading):
    """The files as a source in chunk order."""
    monkeypatch.setattr("keras_effnetv2.data.records.record_opening.MB", 350)
    reading = {"order": "chunks", "chunk_mb": 1, "window_chunks": 8} | reading
    return open_records(
        paths,
        parse,
        Reading(**reading),
        num_classes=num_classes,
        multi_label=False,
    )


def numbers_in(batches):
    """The numbers of the images of batches."""
    return [
        int(image[0, 0, 0]) + 256 * int(image[0, 0, 1])
        for images, *_ in batches
        for image in images
    ]
