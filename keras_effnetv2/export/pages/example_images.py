"""Example pictures of a page: small, and without metadata."""

import os
import pathlib
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image

from keras_effnetv2.data import folders
from keras_effnetv2.data.decoding import images
from keras_effnetv2.errors import InputError

MAX_EXAMPLES = 24
# Longer sides, pixels; up to the second, files are lossless.
_MAX_SIDE, _EXACT_SIDE = 1024, 256
_QUALITY = 90

Examples = str | os.PathLike | Sequence[str | os.PathLike] | None


class Example(NamedTuple):
    """A picture, uint8 `(height, width, 3)`, and the name of its file."""

    name: str
    pixels: np.ndarray


def read_examples(given: Examples) -> list[Example]:
    """The pictures, upright and not too large.

    Args:
        given: a folder, files, or None.

    Raises:
        ValueError: one is missing or cannot be read, or there are too many.
    """
    if given is None:
        return []
    names = [given] if isinstance(given, str | os.PathLike) else given
    paths = [path for name in names for path in folders.find(os.path.expanduser(name))]
    if len(paths) > MAX_EXAMPLES:
        raise InputError(
            f"A page shows up to {MAX_EXAMPLES} examples. Received: {len(paths)}. Pass "
            "some of the files."
        )
    return [Example(path.stem, _shrunk(images.read(path))) for path in paths]


def write_examples(
    examples: Sequence[Example], folder: pathlib.Path
) -> list[dict[str, str]]:
    """Writes the files; returns each one's `file` in the site and `name`."""
    entries = []
    for number, example in enumerate(examples, start=1):
        folder.mkdir(exist_ok=True)
        is_exact = max(example.pixels.shape) <= _EXACT_SIDE
        path = folder / f"{number:02}.{'png' if is_exact else 'jpg'}"
        Image.fromarray(example.pixels).save(path, quality=_QUALITY)
        entries.append({"file": f"{folder.name}/{path.name}", "name": example.name})
    return entries


def _shrunk(pixels: np.ndarray) -> np.ndarray:
    picture = Image.fromarray(pixels)
    picture.thumbnail((_MAX_SIDE, _MAX_SIDE), Image.Resampling.LANCZOS)
    return np.asarray(picture)
