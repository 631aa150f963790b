"""What is stored of an image: its bytes, or new ones that every reader accepts."""

import functools
import io
from collections.abc import Callable

import numpy as np
import tensorflow as tf
from PIL import Image

from keras_effnetv2.data.decoding import images, orientation

# Quality of re-encoded JPEGs: the loss is invisible, and the size is about that of
# camera files.
_QUALITY = 95
# Components of JPEGs: gray or colour. Readers interpret four components differently.
_JPEG_COMPONENTS = (1, 3)
# Colour types of PNGs without alpha, which readers drop or blend with black: gray, RGB
# and palette (PNG, 11.2.2).
_PNG_TYPES = (0, 2, 3)


def stored(contents: bytes, image_size: int | None = None) -> bytes:
    """Bytes of a JPEG or PNG that all readers decode alike, even without EXIF.

    These are the file's own bytes if possible. Otherwise the image is turned upright,
    shrunk and encoded again: a JPEG as a JPEG, all others as a PNG, without loss.

    Args:
        contents: bytes of an image file.
        image_size: largest length of the shorter side, pixels. None: any.

    Raises:
        ValueError: what is wrong with the image, as the end of a sentence.
    """
    pixels = _plain_pixels(contents)
    is_plain = pixels is not None
    if pixels is None:
        pixels = images.decode_any(contents)
    height, width = pixels.shape[:2]
    size = _shrunk((width, height), image_size)
    if is_plain and size == (width, height):
        return contents
    image = Image.fromarray(pixels)
    if size != image.size:
        image = image.resize(size, Image.Resampling.BICUBIC)
    stream = io.BytesIO()
    if images.kind_of(contents) == "JPEG":
        image.save(stream, "JPEG", quality=_QUALITY)
    else:
        image.save(stream, "PNG")
    return stream.getvalue()


def _plain_pixels(contents: bytes) -> np.ndarray | None:
    """Pixels of an image that every reader decodes in this way; None for others."""
    kind = images.kind_of(contents)
    if kind not in ("JPEG", "PNG"):
        return None
    try:
        is_known = _is_known_jpeg if kind == "JPEG" else _is_known_png
        if not is_known(contents):
            return None
        pixels, turn = _decoder()(tf.constant(contents))
    except tf.errors.OpError:
        return None
    return pixels.numpy() if int(turn) == 1 else None


def _is_known_jpeg(contents: bytes) -> bool:
    shape = tf.io.extract_jpeg_shape(contents)
    return int(shape[2]) in _JPEG_COMPONENTS


def _is_known_png(contents: bytes) -> bool:
    head = contents[24:26]  # In IHDR, which comes first.
    return len(head) == 2 and head[0] <= 8 and head[1] in _PNG_TYPES


@functools.cache
def _decoder() -> Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor]]:
    """A function to pixels and orientation of an encoded image, traced once."""

    def decode(contents):
        return images.decode(contents), orientation.exif_orientation(contents)

    signature = tf.TensorSpec((), tf.string)
    return tf.function(decode, autograph=False).get_concrete_function(signature)


def _shrunk(size: tuple[int, int], image_size: int | None) -> tuple[int, int]:
    """The size with `image_size` as the shorter side, if that is longer now."""
    shorter = min(size)
    if image_size is None or shorter <= image_size:
        return size
    width, height = (max(1, round(side * image_size / shorter)) for side in size)
    return width, height
