"""Images that need no download: scikit-image's, scikit-learn's and foolbox's."""

import importlib.util
import pathlib

import numpy as np

from keras_effnetv2.data.decoding import images

# Functions of skimage.data whose images come with the package.
_NAMES = ("astronaut", "coffee", "chelsea", "rocket")
# Sides of a piece relative to those of the photograph.
_SMALLEST_SHARE = 0.5


def pieces(num: int) -> list[np.ndarray]:
    """Fixed windows of six photographs in turn, uint8 `(height, width, 3)`."""
    import skimage.data
    from sklearn.datasets import load_sample_images

    photos = [getattr(skimage.data, name)() for name in _NAMES]
    photos += load_sample_images().images
    random = np.random.default_rng(0)
    return [_window(photos[number % len(photos)], random) for number in range(num)]


def labelled() -> tuple[list[np.ndarray], np.ndarray]:
    """Foolbox's 20 photographs, uint8 `(512, 512, 3)`, and their ImageNet labels."""
    spec = importlib.util.find_spec("foolbox")
    if spec is None or not spec.submodule_search_locations:
        raise ImportError("Labelled photographs come with foolbox: pip install foolbox")
    folder = pathlib.Path(spec.submodule_search_locations[0], "data")
    paths = sorted(folder.glob("imagenet_*.jpg"))
    classes = [int(path.stem.rpartition("_")[2]) for path in paths]
    return [images.read(path) for path in paths], np.array(classes)


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
