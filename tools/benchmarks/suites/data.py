"""Images/s of training batches from JPEG files: ours against two peers.

Every pipeline reads a file, decodes it, crops a random window, resizes and flips it,
applies two RandAugment operations at magnitude 15 and mixes the batch by MixUp, all on
the same number of cores.
"""

import os
import pathlib
import tempfile
import time
from collections.abc import Callable

import numpy as np
from PIL import Image

from benchmarks import comparison
from benchmarks.progress import Progress
from benchmarks.suites import official_style

# Pixels of a typical ImageNet photograph, at about 60 kB each.
_PHOTO_SIZE = (500, 375)
_QUALITY = 90
_BATCH_SIZE = 32
_NUM_OPS, _MAGNITUDE = 2, 15.0
_MIXUP_ALPHA = 0.2
# Batches that are not counted: they fill the prefetch buffers.
_NUM_SETTLING = 4


def measure(
    repeats: int,
    num_photos: int = 200,
    image_sizes: tuple[int, ...] = (128, 224),
    seconds: float = 4,
) -> list[dict]:
    """Images/s at each size, against every peer, from files written here."""
    num_pairs = 2 * len(image_sizes) * (repeats + 1)
    progress = Progress("data", num_pairs)
    with tempfile.TemporaryDirectory() as folder:
        write_photos(pathlib.Path(folder), num_photos)
        return [
            comparison.row(
                "data",
                f"JPEG to batch, {image_size} pixels",
                "images/s",
                peer_name,
                _in_turn(repeats, seconds, ours(folder, image_size), peer, progress),
                "above 1",
            )
            for image_size in image_sizes
            for peer_name, peer in (
                ("keras.layers", with_keras_layers(folder, image_size)),
                ("google/automl style", in_official_style(folder, image_size)),
            )
        ]


def write_photos(folder: pathlib.Path, num: int) -> None:
    """Writes windows of scikit-learn's two photographs as JPEGs, in two classes."""
    from sklearn.datasets import load_sample_images

    photos = [Image.fromarray(pixels) for pixels in load_sample_images().images]
    numbers = np.random.default_rng(0)
    for number in range(num):
        photo = photos[number % len(photos)]
        width = numbers.uniform(0.7, 1) * photo.width
        height = width * _PHOTO_SIZE[1] / _PHOTO_SIZE[0]
        height = min(height, photo.height)
        left = numbers.uniform(0, photo.width - width)
        top = numbers.uniform(0, photo.height - height)
        window = (left, top, left + width, top + height)
        path = folder / "train" / f"class{number % 2}" / f"{number:03}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        photo.resize(_PHOTO_SIZE, box=window).save(path, quality=_QUALITY)


def ours(folder: str, image_size: int):
    """Endless batches from `keras_effnetv2.data.pipeline`, as in training."""
    from keras_effnetv2.data import pipeline
    from keras_effnetv2.data.augmentation import random_cropping
    from keras_effnetv2.data.augmentation.augmenter import Augmenter
    from keras_effnetv2.data.augmentation.mixing import Mixing
    from keras_effnetv2.data.augmentation.randaugment import RandAugment
    from keras_effnetv2.data.decode_errors import DecodeErrors
    from keras_effnetv2.data.sources import open_source

    source = open_source("folder", "train", num_classes=2, directory=folder)
    return pipeline.training_batches(
        source,
        Augmenter(
            image_size,
            random_cropping.OFFICIAL,
            True,
            "bilinear",
            RandAugment(_NUM_OPS, _MAGNITUDE),
        ),
        Mixing(mixup_alpha=_MIXUP_ALPHA),
        batch_size=_BATCH_SIZE,
        first_step=0,
        num_steps=1_000_000,
        steps_per_epoch=source.num_examples // _BATCH_SIZE,
        first_epoch=0,
        seed=0,
        decode_errors=DecodeErrors("train", source.num_examples),
    )


def with_keras_layers(folder: str, image_size: int):
    """The same with stock Keras layers, one image at a time up to MixUp.

    Their RandAugment has a different scale; its default is kept.
    """
    import keras

    resize = keras.layers.Resizing(image_size, image_size)
    flip = keras.layers.RandomFlip("horizontal")
    rand_augment = keras.layers.RandAugment(num_ops=_NUM_OPS)
    mix_up = keras.layers.MixUp(alpha=_MIXUP_ALPHA)

    def mix(images, labels):
        mixed = mix_up({"images": images, "labels": labels})
        return mixed["images"], mixed["labels"]

    return _batches(folder, lambda window: rand_augment(flip(resize(window))), mix)


def in_official_style(folder: str, image_size: int):
    """The same as in google/automl's code."""
    import tensorflow as tf

    def change(window):
        image = tf.cast(tf.image.resize(window, (image_size, image_size)), tf.uint8)
        image = tf.image.random_flip_left_right(image)
        return official_style.rand_augment(image, _NUM_OPS, _MAGNITUDE)

    def mix(images, labels):
        return official_style.mix_up(images, labels, _MIXUP_ALPHA)

    return _batches(folder, change, mix)


def _batches(folder: str, change: Callable, mix: Callable):
    """Endless mixed batches of augmented random crops of images, decoded whole."""
    import tensorflow as tf

    paths = sorted(str(path) for path in pathlib.Path(folder).rglob("*.jpg"))
    labels = [path.split(os.sep)[-2] == "class1" for path in paths]

    def example(path, label):
        image = tf.io.decode_jpeg(tf.io.read_file(path), channels=3)
        begin, size, _ = tf.image.sample_distorted_bounding_box(
            tf.shape(image),
            tf.zeros((1, 0, 4)),
            min_object_covered=0,
            aspect_ratio_range=(0.75, 1.33),
            area_range=(0.05, 1.0),
            use_image_if_no_bounding_boxes=True,
        )
        window = tf.ensure_shape(tf.slice(image, begin, size), (None, None, 3))
        return change(window), tf.one_hot(tf.cast(label, tf.int32), 2)

    files = tf.data.Dataset.from_tensor_slices((paths, labels))
    files = files.shuffle(len(paths)).repeat()
    images = files.map(example, num_parallel_calls=os.cpu_count())
    batches = images.batch(_BATCH_SIZE, drop_remainder=True)
    return batches.map(mix, num_parallel_calls=os.cpu_count()).prefetch(2)


def _in_turn(
    repeats: int, seconds: float, ours, peer, progress: Progress
) -> list[tuple[float, float]]:
    """Images/s of two endless datasets, in pairs."""
    pairs = []
    for number in range(repeats + 1):
        progress.begin(f"pair {number} of {repeats}")
        pair = _images_per_second(ours, seconds), _images_per_second(peer, seconds)
        if number:  # The first run traces functions and fills the disk cache.
            pairs.append(pair)
    return pairs


def _images_per_second(dataset, seconds: float) -> float:
    """Images/s of one iterator, which ends with its threads."""
    batches = iter(dataset)
    for _ in range(_NUM_SETTLING):
        next(batches)
    num_batches = 0
    start = time.perf_counter()
    while time.perf_counter() < start + seconds:
        next(batches)
        num_batches += 1
    return num_batches * _BATCH_SIZE / (time.perf_counter() - start)
