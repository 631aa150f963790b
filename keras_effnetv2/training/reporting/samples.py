"""Pictures of the images that a stage trains on."""

import numpy as np
from PIL import Image

from keras_effnetv2.errors import InputError
from keras_effnetv2.files import replacing
from keras_effnetv2.paths import AnyPathLike

_MAX_IMAGES = 8
_MIN_SIDE = 128  # Pixels; smaller images are enlarged to at least that.
_GAP = 8  # Pixels.
_BACKGROUND = (255, 255, 255)


def draw_samples(images: np.ndarray, path: AnyPathLike) -> None:
    """Writes the first images, at most 8, side by side as a PNG.

    Small images are enlarged by an integer factor, so that every pixel is a square.

    Args:
        images: uint8 `(n, height, width, 3)`, as the network sees them.
        path: the PNG; an older one is replaced atomically.

    Raises:
        ValueError: the images have another shape or type.
    """
    if images.dtype != np.uint8 or images.shape[3:] != (3,) or not images.size:
        raise InputError(
            "Samples are uint8 images (n, height, width, 3). "
            f"Received: {images.dtype} {images.shape}."
        )
    images = images[:_MAX_IMAGES]
    factor = -(-_MIN_SIDE // min(images.shape[1:3]))
    images = images.repeat(factor, axis=1).repeat(factor, axis=2)
    with replacing(path) as temporary:
        _lay_out(images).save(temporary, "PNG")


def _lay_out(images: np.ndarray) -> Image.Image:
    num_images, height, width, _ = images.shape
    size = (num_images * (width + _GAP) + _GAP, height + 2 * _GAP)
    sheet = Image.new("RGB", size, _BACKGROUND)
    for index, image in enumerate(images):
        sheet.paste(Image.fromarray(image), (_GAP + index * (width + _GAP), _GAP))
    return sheet
