"""EXIF orientation in TensorFlow ops: makes images upright, also in graphs.

It is the same for files, datasets and the graphs of servers, which have no Pillow.
"""

import functools
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from keras_effnetv2.data.decoding import encoded
from keras_effnetv2.errors import InputError

ORIENTATION_TAG = 0x0112
# EXIF orientation -> (transpose, then step along rows, step along columns).
TURNS = {
    1: (False, 1, 1),
    2: (False, 1, -1),
    3: (False, -1, -1),
    4: (False, -1, 1),
    5: (True, 1, 1),
    6: (True, 1, -1),
    7: (True, -1, -1),
    8: (True, -1, 1),
}

# EXIF fits into a JPEG segment, which is shorter; in other formats the rest is ignored.
_BLOCK_LIMIT = 1 << 16
# Cameras write 2 to 10 segments before the pixels; a PNG has one per 8 KiB of pixels.
_SEGMENT_LIMIT = 512
_HEADER = b"Exif\0\0"
_SHORT = 3

# Whether it is EXIF; the offset and size of its data; the offset of the next segment,
# at least 1. In bytes from the start of the segment.
_Segment = tuple[tf.Tensor, int, tf.Tensor, tf.Tensor]


def _rarely(*signature: tf.TensorSpec) -> Callable[[Callable], Callable]:
    """Traces once a function that few images need, for use in a branch.

    It stays a single op there: each op of a branch costs time, even if it is not taken.
    """
    return tf.function(
        input_signature=signature,
        autograph=False,
        experimental_attributes={"_noinline": True},
    )


def exif_orientation(contents: tf.Tensor) -> tf.Tensor:
    """The EXIF orientation of an encoded image, scalar int32 1..8.

    For JPEG, PNG and WebP; 1 for anything else, and if EXIF is absent or damaged. No
    bytes cause an error, and the work is bounded.

    The result differs from Pillow's in these cases:

    - An intact orientation counts. Pillow gives up if an earlier entry points outside
      the EXIF, but also takes orientations that are not one SHORT.
    - Pillow also reads XMP, text chunks of PNG, and TIFF.
    - Only the first 512 segments are read, and only the first one of EXIF.

    Args:
        contents: scalar string.

    Raises:
        ValueError: not a single image, but e.g. a batch.
    """
    contents = tf.convert_to_tensor(contents)
    if contents.shape.rank != 0:
        raise InputError(
            "exif_orientation takes one encoded image, a scalar string. "
            f"Received: shape {contents.shape}. Use tf.map_fn for a batch."
        )
    return _orientation(contents)


# As a tf.function, it is traced only once for all datasets.
@tf.function(input_signature=[tf.TensorSpec((), tf.string)], autograph=False)
def _orientation(contents: tf.Tensor) -> tf.Tensor:
    # Most images are JPEGs without EXIF, and searching for its name is cheapest.
    is_plain = tf.io.is_jpeg(contents) & ~_mentions(contents, "Exif")
    return tf.cond(is_plain, lambda: tf.constant(1), lambda: _in_exif(contents))


def _mentions(contents: tf.Tensor, name: str) -> tf.Tensor:
    without = tf.strings.regex_replace(contents, name, "", replace_global=False)
    return encoded.length(without) < encoded.length(contents)


@_rarely(tf.TensorSpec((), tf.string))
def _in_exif(contents: tf.Tensor) -> tf.Tensor:
    block = _exif_block(contents)
    return tf.cond(block == b"", lambda: tf.constant(1), lambda: _in_block(block))


def _in_block(block: tf.Tensor) -> tf.Tensor:
    """The orientation in the data of EXIF, scalar int32."""
    # Some writers put the JPEG header into other formats, or twice into a JPEG.
    doubled = encoded.equals(encoded.read(block, 0, 6), _HEADER)
    block = encoded.part(block, tf.where(doubled, 6, 0), _BLOCK_LIMIT)
    head = encoded.read(block, 0, 8)
    little = encoded.equals(head[:2], b"II")
    # Like Pillow, accept a 42 in the other byte order.
    known = little | encoded.equals(head[:2], b"MM")
    known &= encoded.equals(head[2:4], b"\0*") | encoded.equals(head[2:4], b"*\0")
    entries = _entries(block, encoded.number(head[4:], little), little)
    # If several entries have the same tag, the first counts.
    values = tf.concat([_orientations(entries, little), [1]], axis=0)
    valid = known & (values[0] >= 1) & (values[0] <= 8)
    return tf.where(valid, tf.cast(values[0], tf.int32), 1)


def upright(image: tf.Tensor, orientation: tf.Tensor) -> tf.Tensor:
    """Rotates and mirrors an image as its EXIF orientation says.

    Args:
        image: uint8 `(height, width, 3)`, as stored.
        orientation: scalar int32; numbers other than 2..8 leave the image as it is.

    Returns:
        uint8 `(height, width, 3)`, or `(width, height, 3)` for orientations 5..8.
    """
    is_turned = (orientation >= 2) & (orientation <= 8)
    return tf.cond(is_turned, lambda: _turned(image, orientation), lambda: image)


@_rarely(tf.TensorSpec((None, None, 3), tf.uint8), tf.TensorSpec((), tf.int32))
def _turned(image: tf.Tensor, orientation: tf.Tensor) -> tf.Tensor:
    transpose, row_step, column_step = _turn(orientation)
    image = tf.transpose(image, tf.where(transpose, (1, 0, 2), (0, 1, 2)))
    return image[::row_step, ::column_step]


def upright_shape(shape: tf.Tensor, orientation: tf.Tensor) -> tf.Tensor:
    """The shape, int32 `(3,)`, of the upright image for a stored shape."""
    return tf.where(orientation >= 5, tf.gather(shape, (1, 0, 2)), shape)


def stored_window(
    window: tf.Tensor, shape: tf.Tensor, orientation: tf.Tensor
) -> tf.Tensor:
    """The position in the stored image of a window of the upright image.

    Args:
        window: int32 `(4,)`: top, left, height, width, upright.
        shape: int32 `(3,)`, upright.
        orientation: scalar int32, 1..8.

    Returns:
        int32 `(4,)`: top, left, height, width, stored.
    """
    return tf.cond(
        orientation == 1,
        lambda: window,
        lambda: _stored_window(window, shape, orientation),
    )


@_rarely(
    tf.TensorSpec((4,), tf.int32),
    tf.TensorSpec((3,), tf.int32),
    tf.TensorSpec((), tf.int32),
)
def _stored_window(
    window: tf.Tensor, shape: tf.Tensor, orientation: tf.Tensor
) -> tf.Tensor:
    transpose, row_step, column_step = _turn(orientation)
    first, size = window[:2], window[2:]
    is_mirrored = tf.stack([row_step, column_step]) < 0
    first = tf.where(is_mirrored, shape[:2] - first - size, first)
    stored = tf.concat([first, size], axis=0)
    return tf.where(transpose, tf.gather(stored, (1, 0, 3, 2)), stored)


def _turn(orientation: tf.Tensor) -> tuple[tf.Tensor, ...]:
    """The row of `TURNS` of an orientation 1..8."""
    columns = zip(*(TURNS[key] for key in range(1, 9)), strict=True)
    return tuple(tf.constant(column)[orientation - 1] for column in columns)


def _exif_block(contents: tf.Tensor) -> tf.Tensor:
    """The data after the EXIF header, at most 64 KiB; empty if there is none."""
    head = encoded.read(contents, 0, 12)
    is_webp = encoded.equals(head[:4], b"RIFF") & encoded.equals(head[8:], b"WEBP")
    formats = [
        (encoded.equals(head[:3], b"\xff\xd8\xff"), 2, _jpeg_segment, "Exif"),
        (encoded.equals(head[:8], b"\x89PNG\r\n\x1a\n"), 8, _png_chunk, "eXIf"),
        (is_webp, 12, _webp_chunk, "EXIF"),
    ]
    cases = [
        (matches, functools.partial(_find, contents, *row)) for matches, *row in formats
    ]
    return tf.case(cases, default=lambda: tf.constant(b""))


def _find(
    contents: tf.Tensor,
    start: int,
    segment: Callable[[tf.Tensor], _Segment],
    name: str,
) -> tf.Tensor:
    """Walks from segment to segment until one is EXIF; returns its data.

    Args:
        contents: scalar string.
        start: offset of the first segment.
        segment: interprets a segment's first 10 bytes.
        name: the format's name for EXIF.
    """
    # Few images have EXIF, and searching for its name takes a tenth of the first steps.
    end = tf.where(_mentions(contents, name), encoded.length(contents), 0)

    def is_left(position, block):
        return (position < end) & (block == b"")

    def step(position, _):
        is_exif, skip, size, following = segment(encoded.read(contents, position, 10))
        size = tf.where(is_exif, tf.clip_by_value(size, 0, _BLOCK_LIMIT), 0)
        return position + following, encoded.part(contents, position + skip, size)

    position = tf.constant(start, tf.int64)
    _, block = tf.while_loop(
        is_left,
        step,
        (position, tf.constant(b"")),
        maximum_iterations=_SEGMENT_LIMIT,
    )
    return block


def _jpeg_segment(head: tf.Tensor) -> _Segment:
    # ITU-T T.81, B.1: 0xFF, marker, size that includes its own two bytes, data.
    marker = tf.cast(head[1], tf.int64)
    # Not 0xFF or fill: like Pillow, look for the next marker byte by byte.
    is_segment = (head[0] == 0xFF) & (marker >= 0xC0) & (marker < 0xFF)
    # Restarts, start and end of the image consist of a marker only.
    is_segment &= (marker < 0xD0) | (marker > 0xD9)
    size = tf.maximum(encoded.number(head[2:4], False), 2)
    # After the start of scan come the pixels: nothing more to find.
    following = tf.where(marker == 0xDA, np.int64(1 << 32), 2 + size)
    is_exif = is_segment & (marker == 0xE1) & encoded.equals(head[4:], _HEADER)
    return is_exif, 10, size - 8, tf.where(is_segment, following, 1)


def _png_chunk(head: tf.Tensor) -> _Segment:
    # PNG, 5.3: size, type, data, checksum.
    size = encoded.number(head[:4], False)
    return encoded.equals(head[4:8], b"eXIf"), 8, size, 12 + size


def _webp_chunk(head: tf.Tensor) -> _Segment:
    # RFC 9649, 2.3: type, size, data, padded to even sizes.
    size = encoded.number(head[4:8], True)
    return encoded.equals(head[:4], b"EXIF"), 8, size, 8 + size + size % 2


def _entries(block: tf.Tensor, offset: tf.Tensor, little: tf.Tensor) -> tf.Tensor:
    """The entries of the directory at `offset`, possibly cut off, uint8 `(num, 12)`."""
    num = encoded.number(encoded.read(block, offset, 2), little)
    num_there = tf.maximum(encoded.length(block) - offset - 2, 0) // 12
    entries = encoded.part(block, offset + 2, 12 * tf.minimum(num, num_there))
    return tf.reshape(tf.io.decode_raw(entries, tf.uint8), (-1, 12))


def _orientations(entries: tf.Tensor, little: tf.Tensor) -> tf.Tensor:
    """Values of the orientation entries, int64 `(num,)`."""
    # EXIF 2.3, 4.6.2: tag, type, number of values, then the value, left-justified.
    is_orientation = encoded.number(entries[:, :2], little) == ORIENTATION_TAG
    is_orientation &= encoded.number(entries[:, 2:4], little) == _SHORT
    is_orientation &= encoded.number(entries[:, 4:8], little) == 1
    return tf.boolean_mask(encoded.number(entries[:, 8:10], little), is_orientation)
