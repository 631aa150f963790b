"""Inputs of a classifier: paths, folders, bytes, pictures, arrays, and several."""

import dataclasses
import os
import pathlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
from PIL import Image

from keras_effnetv2.data import folders
from keras_effnetv2.data.decoding import images
from keras_effnetv2.data.printable import printable
from keras_effnetv2.errors import InputError
from keras_effnetv2.paths import as_path, is_remote

_Path = str | os.PathLike
_Bytes = bytes | bytearray | memoryview
# Axes of an image as an array, gray or with channels.
_RANKS = (2, 3)


@dataclasses.dataclass(frozen=True)
class Item:
    """One image to be read.

    Attributes:
        name: name for messages.
        source: its file, if it is from a local one.
        read: returns the encoded image, or pixels 0..255 `(height, width, 3)`.
    """

    name: str
    source: pathlib.Path | None
    read: Callable[[], bytes | np.ndarray]


def is_single(inputs: Any) -> bool:
    """Whether it is one image, not a folder, batch, list or iterator."""
    if isinstance(inputs, _Path):
        return not _is_folder(inputs)
    if isinstance(inputs, _Bytes | Image.Image):
        return True
    if _is_array(inputs):
        return len(inputs.shape) in _RANKS
    return not isinstance(inputs, Iterable) or isinstance(inputs, dict)


def items(inputs: Any) -> Iterator[Item]:
    """Every image, in order, requested as late as possible.

    Folders stand for the images in them and in their subfolders. An input that cannot
    be an image is an item too: reading it raises the error.
    """
    if isinstance(inputs, _Path):
        # "~" is the user's folder here, but not in the names of files in a folder.
        yield from _items_at(os.path.expanduser(inputs))
    elif is_single(inputs):
        yield from _items_of(inputs, "the image")
    else:
        for number, value in enumerate(inputs):
            is_path = isinstance(value, _Path)
            if is_single(value) and not is_path:
                yield from _items_of(value, f"image {number} of the input")
            else:
                yield from items(value)


def _is_folder(path: _Path) -> bool:
    return as_path(path).is_dir()


def _items_at(path: str) -> Iterator[Item]:
    if not _is_folder(path):
        yield _file(path)
        return
    find = folders.find_remote if is_remote(path) else folders.find
    try:
        paths = find(path)
    except InputError as error:
        yield _refused(path, error)
        return
    for found in paths:
        yield _file(found)


def _file(path: _Path) -> Item:
    source = None if is_remote(path) else pathlib.Path(path)
    place = source or os.fspath(path)
    return Item(printable(place), source, lambda: images.contents(place))


def _items_of(value: Any, name: str) -> Iterator[Item]:
    if isinstance(value, Item):
        yield value
    elif isinstance(value, _Bytes):
        yield Item(name, None, lambda: bytes(value))
    elif isinstance(value, Image.Image):
        yield Item(name, None, lambda: images.from_pillow(value))
    else:
        yield Item(name, None, lambda: _pixels(value, name))


def _refused(path: str, error: InputError) -> Item:
    def read() -> bytes:
        raise error

    return Item(printable(path), pathlib.Path(path), read)


def _is_array(value: Any) -> bool:
    return hasattr(value, "__array__") and hasattr(value, "shape")


def _pixels(value: Any, name: str) -> np.ndarray:
    """Pixels 0..255 `(height, width, 3)` of an array or tensor."""
    if not _is_array(value):
        raise InputError(
            f"{name} must be the path of a file or folder, the bytes of an encoded "
            "image, a Pillow image or an array (height, width, 3) of pixels 0..255. "
            f"Received: {type(value).__name__}."
        )
    pixels = np.asarray(value)
    if pixels.ndim == 2:
        pixels = pixels[..., None]
    is_image = pixels.ndim == 3 and pixels.shape[-1] in (1, 3, 4) and pixels.size
    if not is_image or pixels.dtype.kind not in "uif":
        raise InputError(
            f"{name} must be an array (height, width, 3) of pixels 0..255. Received: "
            f"{pixels.dtype} {pixels.shape}."
        )
    _check_range(pixels, name)
    # Alpha is dropped, as for files.
    return np.repeat(pixels, 3, -1) if pixels.shape[-1] == 1 else pixels[..., :3]


def _check_range(pixels: np.ndarray, name: str) -> None:
    low, high = pixels.min(), pixels.max()
    if not 0 <= low <= high <= 255:
        raise InputError(
            f"{name} must have pixels 0..255, before any normalisation. "
            f"Received: {low:.4g}..{high:.4g}."
        )
    if pixels.dtype.kind == "f" and 0 < high <= 1:
        raise InputError(
            f"{name} must have pixels 0..255. Received: {low:.4g}..{high:.4g}. "
            "Multiply by 255."
        )
