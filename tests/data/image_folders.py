"""Folders of real image files, written on the spot."""

import numpy as np
from PIL import Image


def picture(number, height=24, width=32):
    """A smooth image that no other number has."""
    rows, columns = np.mgrid[:height, :width]
    pixels = np.stack([rows * 3 + number, columns * 3, 200 - rows + number], -1)
    return Image.fromarray((pixels % 256).astype("u1"))


def write(folder, counts, first=0):
    """Writes `counts[name]` images for each class: JPEGs, every third a PNG."""
    number = first
    for name, count in counts.items():
        (folder / name).mkdir(parents=True, exist_ok=True)
        for _ in range(count):
            suffix = "png" if number % 3 == 2 else "jpg"
            picture(number).save(folder / name / f"{number:03}.{suffix}")
            number += 1
    return folder


def damage(path):
    """Cuts a file off after a third."""
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 3])
