"""A look at the images that a stage trains on."""

import io
import os
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from keras_effnetv2.errors import InputError
from keras_effnetv2.files import replace_file

_MAX_IMAGES = 8
_MIN_SIDE = 128  # Pixels; smaller images are enlarged to at least that.
_GAP = 8  # Pixels.
_FONT_SIZE = 13  # Pixels.
_BACKGROUND, _INK = (255, 255, 255), (40, 40, 40)


def draw_samples(
    images: np.ndarray,
    path: str | os.PathLike,
    captions: Sequence[str] | None = None,
) -> None:
    """Writes the first images, at most 8, side by side as a PNG.

    Small images are enlarged by a whole factor, so that every pixel is a square.

    Args:
        images: uint8 `(n, height, width, 3)`, as the network sees them.
        path: of the PNG; an older one is replaced at once.
        captions: a line below each image, cut to fit. The font has ASCII only.

    Raises:
        ValueError: not such images, or captions that are too few.
    """
    if images.dtype != np.uint8 or images.shape[3:] != (3,) or not images.size:
        raise InputError(
            "Samples are images of uint8 (n, height, width, 3). "
            f"Received: {images.dtype} {images.shape}."
        )
    images = images[:_MAX_IMAGES]
    if captions is not None and len(captions) < len(images):
        raise InputError(
            "Every image needs a caption. "
            f"Received: {len(captions)} captions for {len(images)} images."
        )
    factor = -(-_MIN_SIDE // min(images.shape[1:3]))
    images = images.repeat(factor, axis=1).repeat(factor, axis=2)
    file = io.BytesIO()
    _lay_out(images, captions).save(file, "PNG")
    replace_file(path, file.getvalue())


def _lay_out(images: np.ndarray, captions: Sequence[str] | None) -> Image.Image:
    num_images, height, width, _ = images.shape
    text_height = 0 if captions is None else _FONT_SIZE + _GAP
    size = (num_images * (width + _GAP) + _GAP, height + 2 * _GAP + text_height)
    sheet = Image.new("RGB", size, _BACKGROUND)
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(_FONT_SIZE)
    for index, image in enumerate(images):
        left = _GAP + index * (width + _GAP)
        sheet.paste(Image.fromarray(image), (left, _GAP))
        if captions is not None:
            text = _cut(captions[index], font, width)
            draw.text((left, height + 1.5 * _GAP), text, _INK, font)
    return sheet


def _cut(text: str, font: ImageFont.FreeTypeFont, width: int) -> str:
    """The beginning of `text` that is at most `width` pixels wide."""
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(text + "...") > width:
        text = text[:-1]
    return text.rstrip() + "..."
