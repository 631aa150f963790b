"""Folders of real image files, written on the spot."""

import os
import pathlib
import unicodedata

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


# Of Latin-1, as old archives have it: no UTF-8.
NOT_UTF8 = os.fsdecode(b"caf\xe9")
COMPOSED = unicodedata.normalize("NFC", "K\u00e4se")
DECOMPOSED = unicodedata.normalize("NFD", COMPOSED)
# Of folders and of files, and what messages call each.
AWKWARD = {
    NOT_UTF8: "caf\\xe9",
    DECOMPOSED: DECOMPOSED,
    "two\nlines": "two\\nlines",
    "a, b": "a, b",
    "$x$ {y} %s": "$x$ {y} %s",
}


def leave_behind(folder):
    """What systems and people leave in folders, none of it an image to read."""
    folder = pathlib.Path(folder)
    for name in ("__MACOSX", ".hidden", "@eaDir"):
        write(folder, {name: 1})
        write(folder / name, {"bus": 1})
    for name in ("._x.jpg", ".DS_Store", "Thumbs.db", "desktop.ini", ".photo.jpg"):
        (folder / name).write_bytes(b"no image")
    (folder / "broken.jpg").symlink_to("nowhere.jpg")
    (folder / "itself.jpg").symlink_to("itself.jpg")
