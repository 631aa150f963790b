"""Formats and sizes of encoded images, read from headers before decoding.

In TensorFlow ops, since graphs have no Pillow.
"""

import os
import sys

import numpy as np
import tensorflow as tf
from PIL import Image

from keras_effnetv2.data.decoding import encoded
from keras_effnetv2.errors import InputError

LIMIT_VARIABLE = "KERAS_EFFNETV2_MAX_PIXELS"

_GIF_BLOCK = 256  # Bytes of a full block: its size byte, which is 255, and its data.
# Blocks of 255 bytes are skipped frame by frame; so many small ones hide something.
_GIF_STEPS = 1 << 16
# The masks of blue, green and red in a BMP with masks whose pixels are as in one
# without.
_BGR_MASKS = b"\0\0\xff\0\0\xff\0\0\xff\0\0\0"


def max_pixels() -> int:
    """The largest image that is decoded, pixels; traced graphs keep the value.

    The environment variable `KERAS_EFFNETV2_MAX_PIXELS`. By default Pillow's limit,
    twice `PIL.Image.MAX_IMAGE_PIXELS`: 178,956,970; no limit if that is None.

    Raises:
        ValueError: the variable is not a positive number.
    """
    received = os.environ.get(LIMIT_VARIABLE)
    if received is None:
        limit = Image.MAX_IMAGE_PIXELS
        return sys.maxsize if limit is None else int(2 * limit)
    if not received.isdecimal() or not int(received):
        raise InputError(
            f"{LIMIT_VARIABLE} must be the largest number of pixels of an image to "
            f"decode, such as 178956970. Received: {received!r}."
        )
    return min(int(received), sys.maxsize)


def check_size(num_pixels: tf.Tensor) -> tf.Operation | None:
    """An op that fails if an image is larger than `max_pixels()`.

    Args:
        num_pixels: scalar int64.
    """
    limit = max_pixels()
    return tf.debugging.Assert(num_pixels <= limit, [_too_large(limit), num_pixels])


def refuse_large(num_pixels: int) -> None:
    """As `check_size`, in Python.

    Raises:
        ValueError: an image larger than `max_pixels()`.
    """
    limit = max_pixels()
    if num_pixels > limit:
        raise InputError(f"{_too_large(limit)} {num_pixels:,}")


# As functions, these are traced once for all datasets.
_traced = tf.function(input_signature=[tf.TensorSpec((), tf.string)], autograph=False)


@_traced
def num_pixels(contents: tf.Tensor) -> tf.Tensor:
    """Pixels that decoding an image would make, scalar int64; 0 for unknown formats.

    TensorFlow decodes all frames of a GIF, with one byte per pixel; so a third of their
    pixels counts, if that is more than those of the image.

    Args:
        contents: scalar string: JPEG, PNG, GIF, BMP or WebP.

    Raises:
        tf.errors.InvalidArgumentError: a JPEG without a sound header.
    """
    return tf.cond(
        tf.io.is_jpeg(contents),
        lambda: area(tf.io.extract_jpeg_shape(contents)),
        lambda: _num_pixels(contents),
    )


def area(shape: tf.Tensor) -> tf.Tensor:
    """Height times width of a shape `(height, width, ...)`, scalar int64."""
    return tf.reduce_prod(tf.cast(shape[:2], tf.int64))


@_traced
def is_indexed_bmp(contents: tf.Tensor) -> tf.Tensor:
    """Whether an image is a BMP that TensorFlow would misread, scalar bool.

    It takes palette indices for gray levels, and packed pixels for plain ones.
    """
    head = encoded.read(contents, 0, 66)
    compression = encoded.number(head[30:34], True)
    is_plain = compression == 0
    is_plain |= (compression == 3) & encoded.equals(head[54:66], _BGR_MASKS)
    bits = encoded.number(head[28:30], True)
    return encoded.equals(head[:2], b"BM") & ~(is_plain & ((bits == 24) | (bits == 32)))


def _too_large(limit: int) -> str:
    """The error for images with more pixels than `limit`, before their number."""
    return (
        f"it has more than {limit:,} pixels, and may be a decompression bomb (if it "
        f"is not, set {LIMIT_VARIABLE}):"
    )


def _num_pixels(contents: tf.Tensor) -> tf.Tensor:
    """As `num_pixels`, for formats other than JPEG."""
    head = encoded.read(contents, 0, 30)
    is_webp = encoded.equals(head[:4], b"RIFF") & encoded.equals(head[8:12], b"WEBP")
    cases = [
        (encoded.equals(head[:4], b"\x89PNG"), lambda: _png_pixels(head)),
        (encoded.equals(head[:2], b"BM"), lambda: _bmp_pixels(head)),
        (encoded.equals(head[:4], b"GIF8"), lambda: _gif_pixels(contents)),
        (is_webp, lambda: _webp_pixels(head)),
    ]
    return tf.case(cases, default=lambda: tf.constant(0, tf.int64))


def _png_pixels(head: tf.Tensor) -> tf.Tensor:
    # PNG, 11.2.2: the first chunk is IHDR; big-endian.
    return encoded.number(head[16:20], False) * encoded.number(head[20:24], False)


def _bmp_pixels(head: tf.Tensor) -> tf.Tensor:
    # BITMAPINFOHEADER: signed; the height is negative if rows go from top to bottom.
    sides = tf.bitcast(tf.reshape(head[18:26], (2, 4)), tf.int32)
    return tf.reduce_prod(tf.abs(tf.cast(sides, tf.int64)))


def _webp_pixels(head: tf.Tensor) -> tf.Tensor:
    # RFC 9649, 2.5 to 2.7: 14 bits, 14 bits minus 1, or 24 bits minus 1.
    sides = tf.stack([encoded.number(head[x : x + 2], True) for x in (26, 28)])
    lossy = tf.reduce_prod(sides % (1 << 14))
    bits = encoded.number(head[21:25], True)
    lossless = (bits % (1 << 14) + 1) * (bits // (1 << 14) % (1 << 14) + 1)
    sides = tf.stack([encoded.number(head[x : x + 3], True) for x in (24, 27)])
    extended = tf.reduce_prod(sides + 1)
    is_lossless = encoded.equals(head[12:16], b"VP8L")
    is_extended = encoded.equals(head[12:16], b"VP8X")
    return tf.where(is_extended, extended, tf.where(is_lossless, lossless, lossy))


def _gif_pixels(contents: tf.Tensor) -> tf.Tensor:
    """The canvas of a GIF, its largest frame, or a third of all frames."""
    # Zeros after the end: a header there is not a frame's.
    data = tf.io.decode_raw(tf.strings.join([contents, b"\0" * 16]), tf.uint8)
    end = tf.size(data, tf.int64) - 16
    head = encoded.read(contents, 0, 11)
    canvas = encoded.number(head[6:8], True) * encoded.number(head[8:10], True)

    def is_left(position, *_):
        return position < end

    def step(position, in_blocks, largest, total):
        following, stays = _after_blocks(data, position)
        after, pixels = _after_header(data, position)
        pixels = tf.where(in_blocks, np.int64(0), pixels)
        return (
            tf.where(in_blocks, following, after),
            tf.where(in_blocks, stays, True),
            tf.maximum(largest, pixels),
            total + pixels,
        )

    start = 13 + _table_size(head[10])
    state = (start, tf.constant(False), canvas, tf.constant(0, tf.int64))
    position, _, largest, total = tf.while_loop(
        is_left, step, state, maximum_iterations=_GIF_STEPS
    )
    return tf.where(position < end, np.int64(1 << 62), tf.maximum(largest, total // 3))


def _after_header(data: tf.Tensor, position: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Where the blocks of a GIF's frame or extension begin, and the frame's pixels."""
    header = tf.slice(data, [position], [10])
    # GIF89a, 20: separator, left, top, width, height, flags, table, size of codes.
    frame = position + 11 + _table_size(header[9])
    pixels = encoded.number(header[5:7], True) * encoded.number(header[7:9], True)
    is_frame, is_extension = header[0] == 0x2C, header[0] == 0x21
    beyond = tf.size(data, tf.int64)  # The trailer, or what should be one.
    after = tf.where(is_extension, position + 2, beyond)
    return tf.where(is_frame, frame, after), tf.where(is_frame, pixels, 0)


def _after_blocks(data: tf.Tensor, position: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """The end of a GIF's full blocks and the next one, and whether more follow."""
    is_full = data[position::_GIF_BLOCK] == _GIF_BLOCK - 1
    is_last = tf.concat([~is_full, [True]], axis=0)
    num_full = tf.argmax(tf.cast(is_last, tf.uint8), output_type=tf.int64)
    position += _GIF_BLOCK * num_full
    position = tf.minimum(position, tf.size(data, tf.int64) - 1)
    size = tf.cast(data[position], tf.int64)
    return position + 1 + size, size > 0


def _table_size(flags: tf.Tensor) -> tf.Tensor:
    flags = tf.cast(flags, tf.int64)
    num_colors = tf.bitwise.left_shift(np.int64(2), flags % 8)
    return tf.where(flags >= 0x80, 3 * num_colors, 0)
