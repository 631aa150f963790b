"""Finds images that are the same or look the same, by hashes, without TensorFlow.

A difference hash (Krawetz 2013, "Kind of Like That") records at 8 x 8 positions whether
an image gets brighter to the right. It hardly changes when an image is scaled or saved
again. Images with similar hashes are then compared by thumbnails, so that smooth
pictures, whose hashes are all alike, do not count as the same.
"""

import collections
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from PIL import Image

_SIDE = 8  # Of the grid of a hash.
_THUMBNAIL = 16  # Side of the thumbnails, pixels.
# Bits of 64 that may differ: one less than the number of bands, so that one band is
# equal.
_MAX_BITS = 7
_BANDS = [0xFF << (8 * band) for band in range(_MAX_BITS + 1)]
# Limits for two thumbnails: correlation of their pixels around the means, and
# difference of brightness, in levels of 255. Crops of one photograph, moved by a tenth,
# stay below.
_LEAST_CORRELATION, _MOST_LEVELS = 0.985, 12.0
_FLAT = 2.0  # Standard deviation of pixels below which there is nothing to compare.


def small_copy(pixels: np.ndarray) -> np.ndarray:
    """A thumbnail of an image, to compare; uint8 `(16, 16, 3)`.

    Args:
        pixels: uint8 `(height, width, 3)`.
    """
    image = Image.fromarray(pixels).resize(
        (_THUMBNAIL, _THUMBNAIL), Image.Resampling.BOX
    )
    return np.asarray(image)


def difference_hash(pixels: np.ndarray) -> int:
    """The difference hash of an image, 64 bits.

    Args:
        pixels: uint8 `(height, width, 3)`.
    """
    size = (_SIDE + 1, _SIDE)
    small = Image.fromarray(pixels).resize(size, Image.Resampling.BOX)
    levels = np.asarray(small, "float32") @ np.array([0.299, 0.587, 0.114], "float32")
    bits = (levels[:, 1:] > levels[:, :-1]).ravel()
    return int.from_bytes(np.packbits(bits).tobytes(), "big")


def near_pairs(hashes: Sequence[int], copies: np.ndarray) -> Iterator[tuple[int, int]]:
    """Pairs of indices of images that look the same, the lower one first.

    Only images that share a byte of their hashes are compared: if at most 7 of 64 bits
    differ, one of the 8 bytes is equal.

    Args:
        hashes: from `difference_hash`.
        copies: from `small_copy`, `(images, 16, 16, 3)`.
    """
    codes = np.array(hashes, "uint64")
    flat = copies.reshape(len(codes), -1).astype("float32")
    means = flat.mean(axis=1)
    centred = flat - means[:, None]
    deviations = np.sqrt((centred**2).mean(axis=1))
    shown = np.flatnonzero(deviations > _FLAT)
    found = set()
    for band in _BANDS:
        buckets = collections.defaultdict(list)
        for place, key in zip(shown, codes[shown] & np.uint64(band), strict=True):
            buckets[key].append(place)
        for bucket in buckets.values():
            members = np.array(bucket)
            for number, place in enumerate(members[:-1]):
                later = members[number + 1 :]
                later = later[_num_bits(codes[later] ^ codes[place]) <= _MAX_BITS]
                later = later[np.abs(means[later] - means[place]) <= _MOST_LEVELS]
                products = centred[later] @ centred[place] / flat.shape[1]
                products /= deviations[later] * deviations[place]
                alike = later[products >= _LEAST_CORRELATION]
                found.update((int(place), int(other)) for other in alike)
    yield from sorted(found)


def _num_bits(codes: np.ndarray) -> np.ndarray:
    """The number of 1 bits in each."""
    return np.unpackbits(codes[:, None].view("uint8"), axis=1).sum(axis=1)


def groups(num: int, pairs: Iterable[tuple[int, int]]) -> list[list[int]]:
    """Indices 0 to `num`, in groups connected by pairs, in order."""
    parents = list(range(num))

    def first(place: int) -> int:
        while parents[place] != place:
            parents[place] = parents[parents[place]]
            place = parents[place]
        return place

    for one, other in pairs:
        low, high = sorted((first(one), first(other)))
        parents[high] = low
    found = collections.defaultdict(list)
    for place in range(num):
        found[first(place)].append(place)
    return [*found.values()]
