"""Thumbnails inside an HTML file, small enough in total to send by mail."""

import base64
import io

import numpy as np
from PIL import Image

_SIDE = 128  # Side of thumbnails, pixels.
_QUALITY = 80
_MAX_BYTES = 3_000_000  # Of all thumbnails, as text.


def data_uri(pixels: np.ndarray, side: int = _SIDE) -> str:
    """A JPEG as a data URI, no side longer than `side`.

    Args:
        pixels: uint8 `(height, width, 3)`.
        side: pixels.
    """
    picture = Image.fromarray(enlarged(pixels, side))
    picture.thumbnail((side, side), Image.Resampling.LANCZOS)
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=_QUALITY, optimize=True)
    return f"data:image/jpeg;base64,{base64.b64encode(file.getvalue()).decode()}"


def enlarged(pixels: np.ndarray, side: int) -> np.ndarray:
    """Small images with each pixel as a square, up to a longer side of `side`."""
    factor = max(1, side // max(pixels.shape[:2]))
    return pixels.repeat(factor, axis=0).repeat(factor, axis=1)


class Thumbnails:
    """Thumbnails by key, each once, up to a total size.

    Args:
        max_bytes: maximum total size; thumbnails beyond it are left out.
    """

    def __init__(self, max_bytes: int = _MAX_BYTES) -> None:
        self.uris: dict[str, str] = {}
        self._left = max_bytes

    @property
    def is_full(self) -> bool:
        """Whether no more thumbnails fit."""
        return self._left <= 0

    def add(self, key: str, pixels: np.ndarray, side: int = _SIDE) -> bool:
        """Makes a thumbnail; returns whether it fits."""
        uri = data_uri(pixels, side)
        self._left -= len(uri)
        if self._left < 0:
            self._left = 0
            return False
        self.uris[key] = uri
        return True
