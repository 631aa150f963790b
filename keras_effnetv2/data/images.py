"""Image files and bytes as pixels.

TensorFlow's decoder comes first: the released networks were trained and measured with
its JPEG decoder, which differs from Pillow's by up to 18 levels.
"""

import io
import os
import pathlib
from typing import Any

import numpy as np
import tensorflow as tf
from PIL import Image, UnidentifiedImageError

from keras_effnetv2.data.orientation import ORIENTATION_TAG, TURNS
from keras_effnetv2.errors import InputError

# What Pillow may take a file for; some of its other readers start other programs.
_FORMATS = ("JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF")
SUFFIXES = {
    ".jpg", ".jpeg", ".png", ".gif", ".bmp", ".webp", ".tif", ".tiff"
}  # fmt: skip


def decode(contents: Any) -> tf.Tensor:
    """Pixels of an encoded image, uint8 `(height, width, 3)`, in TensorFlow ops.

    Takes JPEG (grayscale, CMYK), PNG (palette, alpha, 16 bits), GIF (the first frame)
    and BMP (24 and 32 bits); WebP where TensorFlow does. 16-bit samples keep their
    upper half, alpha is dropped, EXIF orientation is not looked at.

    Args:
        contents: bytes, or a scalar string tensor.

    Raises:
        tf.errors.InvalidArgumentError: TensorFlow cannot decode the image, or it is a
            BMP with a palette, whose indices TensorFlow takes for gray levels.
    """
    header = tf.strings.join([tf.strings.substr(contents, 0, 30), b"\0" * 30])
    is_bmp = tf.strings.substr(header, 0, 2) == b"BM"
    bits = tf.strings.substr(header, 28, 2)
    check = tf.debugging.Assert(
        ~is_bmp | (bits == b"\x18\0") | (bits == b"\x20\0"),
        ["BMP images need 24 or 32 bits a pixel here."],
    )
    with tf.control_dependencies([check]):
        image = tf.io.decode_image(contents, channels=3, expand_animations=False)
    return tf.ensure_shape(image, (None, None, 3))


def to_rgb(image: tf.Tensor) -> tf.Tensor:
    """uint8 `(height, width, 3)` of an image as sources have it, in TensorFlow ops.

    Args:
        image: encoded, as `decode` takes it; or uint8 `(height, width, 1 or 3)`.
    """
    if image.dtype == tf.string:
        return decode(image)
    return image if image.shape[-1] == 3 else tf.image.grayscale_to_rgb(image)


def read(path: str | os.PathLike) -> np.ndarray:
    """Pixels of an image file, uint8 `(height, width, 3)`, upright.

    JPEG, PNG, GIF, BMP, WebP and TIFF, told apart by content; the first frame of
    several; turned as the EXIF orientation says; alpha is dropped. Pillow decodes what
    TensorFlow cannot.

    Raises:
        ValueError: not a file, not an image, damaged, or larger than Pillow's limit
            against decompression bombs.
    """
    path = pathlib.Path(path)
    if not path.is_file():
        raise InputError(f"{path} cannot be read as an image: there is no such file.")
    try:
        return _pixels(path.read_bytes())
    except Exception as error:  # Decoders raise anything on malformed data.
        raise InputError(
            f"{path} cannot be read as an image: {_reason(error)}."
        ) from error


def find(path: str | os.PathLike) -> list[pathlib.Path]:
    """The image files directly in a folder, by name; of a file, itself.

    Raises:
        ValueError: a folder without images.
    """
    path = pathlib.Path(path)
    if not path.is_dir():
        return [path]
    found = sorted(x for x in path.iterdir() if x.suffix.lower() in SUFFIXES)
    if not found:
        raise InputError(
            f"{path} is a folder without images. "
            f"Expected files that end in {', '.join(sorted(SUFFIXES))}."
        )
    return found


def _pixels(contents: bytes) -> np.ndarray:
    if not contents:
        raise InputError("the file is empty")
    with Image.open(io.BytesIO(contents), formats=_FORMATS) as image:
        try:
            pixels = decode(contents).numpy()
        except tf.errors.OpError:
            pixels = _decode_with_pillow(image)
        # Only now: while decoding a TIFF, Pillow turns it and removes the tag.
        return _upright(pixels, _orientation(image))


def _decode_with_pillow(image: Image.Image) -> np.ndarray:
    if image.mode.startswith("I;16"):
        levels = (np.asarray(image) >> 8).astype(np.uint8)
        return np.stack([levels] * 3, axis=-1)
    if image.mode in ("I", "F"):
        raise InputError(
            f"samples of 32 bits (Pillow's mode {image.mode!r}) have no known range; "
            "convert the image to 8 or 16 bits"
        )
    return np.asarray(image.convert("RGB"))


def _orientation(image: Image.Image) -> int | None:
    try:
        return image.getexif().get(ORIENTATION_TAG)
    except Exception:  # Damaged EXIF hides the orientation, not the image.
        return None


def _upright(pixels: np.ndarray, orientation: int | None) -> np.ndarray:
    transpose, row_step, column_step = TURNS.get(orientation, TURNS[1])
    if transpose:
        pixels = pixels.swapaxes(0, 1)
    return np.ascontiguousarray(pixels[::row_step, ::column_step])


def _reason(error: Exception) -> str:
    if isinstance(error, UnidentifiedImageError):
        return f"it is none of {', '.join(_FORMATS)}"
    return " ".join(str(error).split()).rstrip(".") or type(error).__name__
