"""Copies are found however they were saved, and nothing else is taken for one."""

import io

import numpy as np
import pytest
from PIL import Image

from keras_effnetv2.finetuning.photographs import duplicates
from tests.image_files import encode

RANDOM = np.random.default_rng(0)


def picture():
    """Shapes of all sizes, as photographs have."""
    layers = [
        np.asarray(
            Image.fromarray(
                RANDOM.uniform(0, 255, (side, side, 3)).astype("uint8")
            ).resize((160, 120), Image.Resampling.BICUBIC),
            "float32",
        )
        for side in (3, 7, 20)
    ]
    return Image.fromarray(np.clip(sum(layers) / 3, 0, 255).astype("uint8"))


PICTURES = [picture() for _ in range(40)]


def pairs_of(images):
    arrays = [np.asarray(image) for image in images]
    codes = [duplicates.difference_hash(x) for x in arrays]
    copies = np.stack([duplicates.small_copy(x) for x in arrays])
    return [*duplicates.near_pairs(codes, copies)]


def test_other_pictures_are_no_copies():
    assert pairs_of(PICTURES) == []


@pytest.mark.parametrize(
    "change",
    [
        lambda x: x,
        lambda x: x.resize((112, 84)),
        lambda x: x.point(lambda level: 0.95 * level),
        lambda x: Image.open(io.BytesIO(encode(x, "JPEG", quality=50))),
    ],
)
def test_copies_are_found(change):
    images = [*PICTURES, *(change(x) for x in PICTURES[:10])]
    assert pairs_of(images) == [(i, 40 + i) for i in range(10)]


def test_images_that_show_nothing_are_not_compared():
    """All smooth images have much the same hash."""
    flat = [Image.new("RGB", (40, 40), (level,) * 3) for level in (100, 101, 102)]
    assert pairs_of([*PICTURES[:3], *flat]) == []


def test_groups_are_what_pairs_connect():
    groups = duplicates.groups(6, [(4, 2), (2, 0), (3, 5)])
    assert sorted(groups) == [[0, 2, 4], [1], [3, 5]]


def look_alikes(num):
    """Codes with three bits changed, and thumbnails with noise, of one view."""
    codes = [sum(1 << int(x) for x in RANDOM.choice(64, 3, False)) for _ in range(num)]
    view = RANDOM.uniform(0, 255, (16, 16, 3))
    noisy = view + RANDOM.normal(0, 4, (num, 16, 16, 3))
    return codes, np.clip(noisy, 0, 255).astype("uint8")


def test_pairs_connect_look_alikes_and_are_no_more_than_that():
    (one, views), (other, more) = look_alikes(50), look_alikes(30)
    codes = [*one, *(code ^ (2**64 - 1) for code in other)]
    pairs = [*duplicates.near_pairs(codes, np.concatenate([views, more]))]
    assert duplicates.groups(80, pairs) == [[*range(50)], [*range(50, 80)]]
    assert len(pairs) == 80 - 2 and all(one < other for one, other in pairs)


def test_thousands_of_look_alikes_are_not_all_compared(monkeypatch):
    compared = count_comparisons(monkeypatch)
    pairs = [*duplicates.near_pairs(*look_alikes(2000))]
    assert len(pairs) == 1999 and sum(compared) < 2000 * 100


def count_comparisons(monkeypatch):
    compared = []
    count = duplicates._num_bits

    def watched(codes):
        compared.append(len(codes))
        return count(codes)

    monkeypatch.setattr(duplicates, "_num_bits", watched)
    return compared


def test_many_images_are_not_all_compared(monkeypatch):
    compared = count_comparisons(monkeypatch)
    codes = [int(x) for x in RANDOM.integers(0, 2**63, 3000)]
    noise = RANDOM.integers(0, 256, (3000, 16, 16, 3)).astype("uint8")
    assert [*duplicates.near_pairs(codes, noise)] == []
    assert sum(compared) < 3000**2 / 2 / 10
