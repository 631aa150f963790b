"""RandAugment as google/automl computes it, as a peer to measure against.

Written from a description, without any of its code. Every operation has its own
`tf.cond`, moved images carry a fourth channel that marks what is outside, histograms
are computed channel by channel, and smoothing is a depthwise convolution. The images
are the same as ours.
"""

import math
from collections.abc import Callable

import tensorflow as tf

GRAY = 128


def rand_augment(image: tf.Tensor, num_ops: int, magnitude: float) -> tf.Tensor:
    """`num_ops` random operations, each drawn from 16; uint8 `(height, width, 3)`."""
    shape = image.shape
    for _ in range(num_ops):
        changes = operations(magnitude, tf.random.uniform((3,)))
        number = tf.random.uniform((), 0, len(changes), tf.int32)
        for place, change in enumerate(changes):
            image = tf.cond(
                number == place,
                lambda image=image, change=change: change(image),
                lambda image=image: image,
            )
            image = tf.ensure_shape(image, shape)
    return image


def mix_up(
    images: tf.Tensor, labels: tf.Tensor, alpha: float
) -> tuple[tf.Tensor, tf.Tensor]:
    """Mixes each image with the opposite one of the batch, in drawn shares; float32."""
    draws = tf.random.gamma((2, tf.shape(images)[0]), alpha)
    share = draws[0] / (draws[0] + draws[1])
    share = tf.maximum(share, 1 - share)
    images = tf.cast(images, tf.float32)
    mixed = [
        share[(..., *[None] * (x.shape.rank - 1))] * (x - x[::-1]) + x[::-1]
        for x in (images, labels)
    ]
    return mixed[0], mixed[1]


def operations(magnitude: float, draws: tf.Tensor) -> list[Callable]:
    """Operations in the order of `data.augmentation.operations.NAMES`, same draws."""
    share = magnitude / 10
    factor = share * 1.8 + 0.1

    def signed(value):
        return tf.cond(draws[0] < 0.5, lambda: -value, lambda: value)

    return [
        lambda x: _by_channel(x, _stretch),
        lambda x: _by_channel(x, _equalize),
        lambda x: 255 - x,
        lambda x: _rotate(x, signed(share * 30)),
        lambda x: _posterize(x, 8 - int(share * 4)),
        lambda x: _solarize(x, int(share * 256) % 256),
        lambda x: _blend(_gray(x), x, factor),
        lambda x: _blend(_mean(x), x, factor),
        lambda x: _blend(tf.zeros_like(x), x, factor),
        lambda x: _blend(_smooth(x), x, factor),
        lambda x: _move(x, (1, signed(share * 0.3), 0, 0, 1, 0)),
        lambda x: _move(x, (1, 0, 0, signed(share * 0.3), 1, 0)),
        lambda x: _move(x, (1, 0, signed(share * 100), 0, 1, 0)),
        lambda x: _move(x, (1, 0, 0, 0, 1, signed(share * 100))),
        lambda x: _cutout(x, draws[1:], int(share * 40)),
        lambda x: _solarize_add(x, int(share * 110)),
    ]


def _blend(start: tf.Tensor, image: tf.Tensor, factor: float) -> tf.Tensor:
    start, image = tf.cast(start, tf.float32), tf.cast(image, tf.float32)
    mixed = start + factor * (image - start)
    return tf.cast(tf.clip_by_value(mixed, 0, 255), tf.uint8)


def _gray(image: tf.Tensor) -> tf.Tensor:
    return tf.image.grayscale_to_rgb(tf.image.rgb_to_grayscale(image))


def _mean(image: tf.Tensor) -> tf.Tensor:
    gray = tf.cast(tf.image.rgb_to_grayscale(image), tf.int32)
    counts = tf.histogram_fixed_width(gray, (0, 255), nbins=256)
    level = tf.reduce_sum(tf.cast(counts, tf.float32)) / 256
    level = tf.cast(tf.clip_by_value(level, 0, 255), tf.uint8)
    return tf.image.grayscale_to_rgb(tf.fill((*image.shape[:2], 1), level))


def _smooth(image: tf.Tensor) -> tf.Tensor:
    kernel = tf.constant([[1, 1, 1], [1, 5, 1], [1, 1, 1]], tf.float32) / 13
    kernel = tf.tile(kernel[:, :, None, None], (1, 1, 3, 1))
    pixels = tf.cast(image, tf.float32)[None]
    smooth = tf.nn.depthwise_conv2d(pixels, kernel, (1, 1, 1, 1), "VALID")[0]
    smooth = tf.cast(tf.clip_by_value(smooth, 0, 255), tf.uint8)
    frame = ((1, 1), (1, 1), (0, 0))
    is_inner = tf.pad(tf.ones_like(smooth), frame) == 1
    return tf.where(is_inner, tf.pad(smooth, frame), image)


def _posterize(image: tf.Tensor, bits: int) -> tf.Tensor:
    bits = tf.cast(bits, tf.uint8)
    return tf.bitwise.left_shift(tf.bitwise.right_shift(image, bits), bits)


def _solarize(image: tf.Tensor, threshold: int) -> tf.Tensor:
    return tf.where(image < tf.cast(threshold, tf.uint8), image, 255 - image)


def _solarize_add(image: tf.Tensor, addition: int) -> tf.Tensor:
    added = tf.cast(image, tf.int64) + addition
    added = tf.cast(tf.clip_by_value(added, 0, 255), tf.uint8)
    return tf.where(image < 128, added, image)


def _by_channel(image: tf.Tensor, change: Callable) -> tf.Tensor:
    return tf.stack([change(channel) for channel in tf.unstack(image, axis=2)], axis=2)


def _stretch(channel: tf.Tensor) -> tf.Tensor:
    low = tf.cast(tf.reduce_min(channel), tf.float32)
    high = tf.cast(tf.reduce_max(channel), tf.float32)

    def stretched():
        scale = 255 / (high - low)
        levels = tf.cast(channel, tf.float32) * scale - low * scale
        return tf.cast(tf.clip_by_value(levels, 0, 255), tf.uint8)

    return tf.cond(high > low, stretched, lambda: channel)


def _equalize(channel: tf.Tensor) -> tf.Tensor:
    levels = tf.cast(channel, tf.int32)
    counts = tf.histogram_fixed_width(levels, (0, 255), nbins=256)
    present = tf.boolean_mask(counts, counts > 0)
    step = (tf.reduce_sum(present) - present[-1]) // 255

    def equalized():
        table = (tf.cumsum(counts) + step // 2) // step
        table = tf.concat([[0], table[:-1]], axis=0)
        return tf.gather(tf.clip_by_value(table, 0, 255), levels)

    changed = tf.cond(step == 0, lambda: levels, equalized)
    return tf.cast(changed, tf.uint8)


def _rotate(image: tf.Tensor, degrees: tf.Tensor) -> tf.Tensor:
    sine, cosine = (f(degrees * (math.pi / 180)) for f in (tf.sin, tf.cos))
    height, width = (side - 1 for side in image.shape[:2])
    right = (width - (cosine * width - sine * height)) / 2
    down = (height - (sine * width + cosine * height)) / 2
    return _move(image, (cosine, -sine, right, sine, cosine, down))


def _move(image: tf.Tensor, matrix: tuple) -> tf.Tensor:
    inside = tf.ones_like(image[..., :1])
    moved = tf.raw_ops.ImageProjectiveTransformV3(
        images=tf.concat([image, inside], axis=2)[None],
        transforms=[[*(tf.cast(x, tf.float32) for x in matrix), 0.0, 0.0]],
        output_shape=image.shape[:2],
        fill_value=0.0,
        interpolation="NEAREST",
        fill_mode="CONSTANT",
    )[0]
    is_inside = tf.tile(moved[..., 3:] == 1, (1, 1, 3))
    return tf.where(is_inside, moved[..., :3], tf.constant(GRAY, tf.uint8))


def _cutout(image: tf.Tensor, draws: tf.Tensor, pad_size: int) -> tf.Tensor:
    sides = tf.constant((*image.shape[:2],))
    center = tf.cast(draws * tf.cast(sides, tf.float32), tf.int32)
    before = tf.maximum(center - pad_size, 0)
    after = tf.maximum(sides - center - pad_size, 0)
    hole = tf.zeros(sides - before - after, tf.uint8)
    mask = tf.pad(hole, tf.stack([before, after], axis=1), constant_values=1)
    mask = tf.tile(mask[..., None], (1, 1, 3))
    return tf.where(mask == 0, tf.cast(GRAY, tf.uint8), image)
