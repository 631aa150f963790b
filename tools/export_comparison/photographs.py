"""Images that need no download: scikit-image's and scikit-learn's."""

import numpy as np

# Of skimage.data; those that come with the package.
_NAMES = ("astronaut", "coffee", "chelsea", "rocket")
# Sides of a piece as a share of those of the photograph.
_SMALLEST_SHARE = 0.5


def pieces(num: int) -> list[np.ndarray]:
    """Fixed windows of six photographs in turn, uint8 `(height, width, 3)`."""
    import skimage.data
    from sklearn.datasets import load_sample_images

    photos = [getattr(skimage.data, name)() for name in _NAMES]
    photos += load_sample_images().images
    random = np.random.default_rng(0)
    return [_window(photos[number % len(photos)], random) for number in range(num)]


def digits(num: int) -> list[np.ndarray]:
    """Handwritten digits, uint8 `(8, 8, 3)`, in the order of the dataset."""
    from sklearn.datasets import load_digits

    pixels = (load_digits().images[:num] * 255 / 16).round().astype("uint8")
    return [np.repeat(image[..., None], 3, axis=-1) for image in pixels]


def _window(photo: np.ndarray, random: np.random.Generator) -> np.ndarray:
    sides = np.array(photo.shape[:2])
    shape = (sides * random.uniform(_SMALLEST_SHARE, 1, 2)).astype(int)
    y, x = random.integers(sides - shape + 1)
    return photo[y : y + shape[0], x : x + shape[1]]
