"""Test-time augmentation: several views of images, whose mean may be better."""

from collections.abc import Iterator

import numpy as np
import tensorflow as tf

# Networks shrink images 32 times; below this size, feature maps are too small.
_STEP, _SMALLEST = 32, 64


def other_sizes(image_size: int) -> tuple[int, ...]:
    """About an eighth less and more, pixels; none if images are small."""
    smaller = image_size * 7 // 8 // _STEP * _STEP
    larger = -(-image_size * 9 // 8 // _STEP) * _STEP
    return (smaller, larger) if smaller >= _SMALLEST else ()


def describe(image_size: int) -> str:
    """A description of `views`."""
    sizes = " and ".join(map(str, other_sizes(image_size)))
    resized = f", and the image at {sizes} pixels" if sizes else ""
    return f"the image, its mirror image{resized}"


def views(images: np.ndarray) -> Iterator[np.ndarray]:
    """The images, mirrored, and in other sizes.

    Args:
        images: float32 `(batch, size, size, channels)`, pixels 0..255.
    """
    yield images
    yield images[:, :, ::-1]
    for side in other_sizes(images.shape[1]):
        yield tf.image.resize(images, (side, side), antialias=True).numpy()
