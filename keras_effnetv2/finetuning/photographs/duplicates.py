"""Finds images that are the same or look the same, by hashes, without TensorFlow.

A difference hash (Krawetz 2013, "Kind of Like That") records at 8 x 8 positions whether
an image gets brighter to the right. It hardly changes when an image is scaled or saved
again. Images with similar hashes are then compared by thumbnails, so that smooth
pictures, whose hashes are all alike, do not count as the same.
"""

import collections
import dataclasses
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from PIL import Image

_SIDE = 8  # Of the grid of a hash.
_THUMBNAIL = 16  # Side of the thumbnails, pixels.
# Bits of 64 that may differ: one less than the number of bands, so that one band is
# equal.
_MAX_BITS = 7
_BANDS = np.array([0xFF << (8 * band) for band in range(_MAX_BITS + 1)], "uint64")
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
    differ, one of the 8 bytes is equal. Images that other pairs connect make no pair:
    thousands of views from a fixed camera would make millions.

    Args:
        hashes: from `difference_hash`.
        copies: from `small_copy`, `(images, 16, 16, 3)`.
    """
    codes = np.array(hashes, "uint64")
    thumbnails = _Thumbnails.of(copies)
    shown = np.flatnonzero(thumbnails.deviations > _FLAT)
    numbers = np.arange(len(codes))  # Equal for connected images.
    found = []
    for earlier, members in _sharing_a_byte(codes, shown):
        for number, place in enumerate(members):
            later = members[number + 1 :]
            later = later[numbers[later] != numbers[place]]
            if not len(later):  # All that remain are connected.
                break
            later = later[_are_close(codes[later] ^ codes[place], earlier)]
            alike = thumbnails.alike(place, later)
            if len(alike):
                joined, firsts = np.unique(numbers[alike], return_index=True)
                found += [(int(place), int(other)) for other in alike[firsts]]
                numbers[np.isin(numbers, joined)] = numbers[place]
    yield from sorted(found)


def _sharing_a_byte(
    codes: np.ndarray, places: np.ndarray
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The earlier bands, and the places of images that have the same byte in a band."""
    for number, band in enumerate(_BANDS):
        buckets = collections.defaultdict(list)
        for place, key in zip(places, codes[places] & band, strict=True):
            buckets[key].append(place)
        for members in buckets.values():
            yield _BANDS[:number], np.array(members)


def _are_close(differences: np.ndarray, earlier: np.ndarray) -> np.ndarray:
    """Whether few bits differ, boolean.

    Args:
        differences: bits in which hashes differ.
        earlier: bands in which, if they are the same, the images were compared before.
    """
    is_new = ((differences[:, None] & earlier) != 0).all(axis=1)
    return is_new & (_num_bits(differences) <= _MAX_BITS)


@dataclasses.dataclass(frozen=True)
class _Thumbnails:
    """Thumbnails of images, to compare.

    Attributes:
        means: mean of the pixels of each.
        centred: pixels around the mean, float32 `(images, values)`.
        deviations: their standard deviations.
    """

    means: np.ndarray
    centred: np.ndarray
    deviations: np.ndarray

    @classmethod
    def of(cls, copies: np.ndarray) -> "_Thumbnails":
        """From `small_copy`, `(images, 16, 16, 3)`."""
        flat = copies.reshape(len(copies), -1).astype("float32")
        means = flat.mean(axis=1)
        centred = flat - means[:, None]
        return cls(means, centred, np.sqrt((centred**2).mean(axis=1)))

    def alike(self, place: int, others: np.ndarray) -> np.ndarray:
        """Those of the other places whose images look like the one at a place."""
        near = np.abs(self.means[others] - self.means[place]) <= _MOST_LEVELS
        others = others[near]
        products = self.centred[others] @ self.centred[place] / self.centred.shape[1]
        products /= self.deviations[others] * self.deviations[place]
        return others[products >= _LEAST_CORRELATION]


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
