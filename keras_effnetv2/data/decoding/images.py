"""Decodes image files and bytes, in the same way for training and prediction.

TensorFlow's decoder comes first: the released networks were trained and measured with
its JPEG decoder, which differs from Pillow's by up to 18 levels. Pillow decodes what
TensorFlow cannot. Nothing larger than `headers.max_pixels()` is decoded.
"""

import contextlib
import io
import os
import pathlib
from typing import Any

import numpy as np
import tensorflow as tf
from PIL import Image, ImageOps

from keras_effnetv2.data.decoding import headers, orientation, retrying
from keras_effnetv2.data.printable import printable
from keras_effnetv2.errors import InputError
from keras_effnetv2.paths import as_path, is_remote

# Formats that Pillow may open; some of its other readers start other programs.
_FORMATS = ("JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF")
SUFFIXES = {
    ".jpg", ".jpeg", ".png", ".gif", ".bmp", ".webp", ".tif", ".tiff"
}  # fmt: skip
# Bytes by which Pillow recognises formats.
_PREFIX = 16


def decode(contents: Any) -> tf.Tensor:
    """Pixels of an encoded image, uint8 `(height, width, 3)`, in TensorFlow ops.

    Takes JPEG (grayscale, CMYK), PNG (palette, alpha, 16 bits), GIF (the first frame)
    and BMP (24 and 32 bits); if TensorFlow can, WebP without animation or alpha. 16-bit
    samples keep their upper half, alpha is dropped, EXIF orientation is ignored.

    Args:
        contents: bytes, or a scalar string tensor.

    Raises:
        tf.errors.InvalidArgumentError: TensorFlow cannot decode the image, or it is
            larger than `headers.max_pixels()`, or a BMP with a palette or packed
            pixels, which TensorFlow would misread.
    """
    contents = tf.convert_to_tensor(contents)
    checks = [
        headers.check_size(headers.num_pixels(contents)),
        tf.debugging.Assert(
            ~headers.is_indexed_bmp(contents),
            ["BMP images need 24 or 32 bits per pixel here, without masks."],
        ),
    ]
    with tf.control_dependencies([x for x in checks if x is not None]):
        image = tf.io.decode_image(contents, channels=3, expand_animations=False)
    return tf.ensure_shape(image, (None, None, 3))


def to_rgb(image: Any, turn_upright: bool = True) -> tf.Tensor:
    """uint8 `(height, width, 3)` of an image from a source, in TensorFlow ops.

    Args:
        image: encoded, as for `decode`; or uint8 `(height, width, 1 or 3)`.
        turn_upright: whether to rotate an encoded image as its EXIF orientation says.
    """
    image = tf.convert_to_tensor(image)
    if image.dtype == tf.string:
        pixels = decode(image)
        if not turn_upright:
            return pixels
        turned = orientation.upright(pixels, orientation.exif_orientation(image))
        return tf.ensure_shape(turned, (None, None, 3))
    return image if image.shape[-1] == 3 else tf.image.grayscale_to_rgb(image)


def read(path: str | os.PathLike) -> np.ndarray:
    """Pixels of an image file, uint8 `(height, width, 3)`, upright.

    JPEG, PNG, GIF, BMP, WebP and TIFF, recognised by content; the first frame if there
    are several; rotated as the EXIF orientation says; alpha is dropped.

    Raises:
        ValueError: not a file, not an image, damaged, or larger than
            `headers.max_pixels()`.
        OSError: the file cannot be read, after several tries.
    """
    encoded = contents(path)
    try:
        return decode_any(encoded)
    except InputError as error:
        raise unreadable(printable(path), error) from error


def contents(path: str | os.PathLike) -> bytes:
    """The bytes of an image file, local or in a bucket, not decoded.

    Raises:
        ValueError: not a file.
        OSError: the file cannot be read, after several tries where they may help.
    """
    name = printable(path)
    if is_remote(path):
        return retrying.retried(as_path(path).read_bytes, name)
    return retrying.retried(lambda: _contents(pathlib.Path(path), name), name)


def _contents(path: pathlib.Path, name: str) -> bytes:
    # Reading it would be an error of the file system, which is retried.
    if not path.is_file():
        raise unreadable(name, "there is no such file")
    return path.read_bytes()


def unreadable(name: str, reason: object) -> InputError:
    """The error for an image that cannot be read."""
    return InputError(f"{name} cannot be read as an image: {reason}.")


def from_pillow(image: Image.Image) -> np.ndarray:
    """Pixels of a Pillow image, uint8 `(height, width, 3)`, upright.

    Raises:
        ValueError: the image is damaged, or its samples have no known range.
    """
    try:
        return _rgb(ImageOps.exif_transpose(image))
    except InputError:
        raise
    except Exception as error:  # Decoders raise anything on malformed data.
        raise InputError(f"The image cannot be read by Pillow: {error}.") from error


def decode_any(contents: bytes, turn_upright: bool = True) -> np.ndarray:
    """Pixels of an encoded image, uint8 `(height, width, 3)`.

    Args:
        contents: bytes in any format that `read` takes.
        turn_upright: whether to rotate as the EXIF orientation says. TIFF always is.

    Raises:
        ValueError: what is wrong with the image, as the end of a sentence.
    """
    if not contents:
        raise InputError("the file is empty")
    try:
        pixels, turn = decode(contents).numpy(), None
    except tf.errors.OpError:
        pixels, turn = _decode_with_pillow(contents)
    if turn is None:
        turn = int(orientation.exif_orientation(contents)) if turn_upright else 1
    transpose, row_step, column_step = orientation.TURNS.get(turn, orientation.TURNS[1])
    if transpose:
        pixels = pixels.swapaxes(0, 1)
    return np.ascontiguousarray(pixels[::row_step, ::column_step])


def _decode_with_pillow(contents: bytes) -> tuple[np.ndarray, int | None]:
    """Pixels, and the orientation still to apply; None if only EXIF can say."""
    try:
        with _open(contents) as image:
            headers.refuse_large(image.width * image.height)
            pixels = _rgb(image)
            # Pillow rotates TIFFs while decoding them.
            return pixels, 1 if image.format == "TIFF" else None
    except (InputError, MemoryError):
        raise
    except Exception as error:  # Decoders raise anything on malformed data.
        reason = " ".join(str(error).split()).rstrip(".") or type(error).__name__
        raise InputError(reason) from error


def kind_of(contents: bytes) -> str:
    """The format that encoded bytes start like, such as "JPEG"; else empty."""
    return next((name for name in _FORMATS if _begins_as(contents, name)), "")


def _begins_as(contents: bytes, name: str) -> bool:
    Image.init()
    _, accepts = Image.OPEN[name]
    return accepts is not None and accepts(contents[:_PREFIX]) is True


def _open(contents: bytes) -> Image.Image:
    """As Pillow's `open`, which has its own limit and opens every format."""
    for name in _FORMATS:
        if _begins_as(contents, name):
            with contextlib.suppress(SyntaxError):  # Raised by Pillow for the image.
                factory, _ = Image.OPEN[name]
                return factory(io.BytesIO(contents), "")
    raise InputError(f"it is none of {', '.join(_FORMATS)}")


def _rgb(image: Image.Image) -> np.ndarray:
    if image.mode.startswith("I;16"):
        levels = (np.asarray(image) >> 8).astype(np.uint8)
        return np.stack([levels] * 3, axis=-1)
    if image.mode in ("I", "F"):
        raise InputError(
            f"samples of 32 bits (Pillow's mode {image.mode!r}) have no known range; "
            "convert the image to 8 or 16 bits"
        )
    return np.asarray(image.convert("RGB"))
