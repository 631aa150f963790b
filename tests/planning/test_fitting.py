"""The largest batch, of a compiler whose programs grow as the test says."""

import pytest

from keras_effnetv2.planning.fitting import find_largest
from keras_effnetv2.planning.plans import StepCost


def find(used_bytes, first, multiple, usable=1000):
    """What is found, and the batches that were compiled."""
    tried = []

    def compile_batch(batch_size):
        tried.append(batch_size)
        used = used_bytes(batch_size)
        return StepCost(0, 32, batch_size, False, used <= usable, used_bytes=used)

    found = find_largest(compile_batch, compile_batch(first), multiple, usable)
    return found.batch_size, found.too_large, tried


@pytest.mark.parametrize(
    ("first", "largest"),
    [(64, 896), (16, 896), (896, 896), (1000 * 16, 896)],
)
def test_a_line_is_followed_to_the_limit(first, largest):
    # 100 bytes and one for each image: 900 images fit, of whole multiples 896.
    batch_size, too_large, tried = find(lambda batch: 100 + batch, first, 16)
    assert batch_size == largest
    assert len(tried) <= 3 or first > 900
    assert too_large is None or too_large > 900


def test_a_line_that_bends_is_left_step_by_step():
    batch_size, too_large, tried = find(lambda x: 100 + x + x**2 // 4000, 64, 8)
    assert 600 < batch_size < too_large <= 900
    assert all(batch % 8 == 0 for batch in tried)
    assert len(tried) < 7


def test_where_one_image_a_device_does_not_fit_none_does():
    assert find(lambda batch: 2000 + batch, 64, 16) == (0, 16, [64, 32, 16])


def test_where_only_the_least_fits_that_is_the_largest():
    assert find(lambda batch: 40 * batch, 16, 16) == (16, 32, [16, 32])
    assert find(lambda batch: 40 * batch, 32, 16) == (16, 32, [32, 16])
    assert find(lambda batch: 40 * batch, 48, 16) == (16, 32, [48, 16, 32])
