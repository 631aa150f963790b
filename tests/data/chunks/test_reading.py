"""Chunks are read ahead in threads, in order."""

import concurrent.futures

import pytest

from keras_effnetv2.data.chunks.reading import in_threads


@pytest.mark.parametrize("at_first", [None, 2])
def test_reads_grow_to_the_number_ahead_and_results_stay_in_order(at_first):
    begun = []

    def numbers():
        for number in range(20):
            begun.append(number)
            yield number

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        results = in_threads(pool, lambda x: x**2, numbers(), 8, at_first)
        ahead, found = [len(begun)], []
        for result in results:
            found.append(result)
            ahead.append(len(begun) - len(found))
    assert found == [x**2 for x in range(20)]
    wanted = [8] * 13 if at_first is None else [2, 3, 4, 5, 6, 7, 8, *[8] * 6]
    assert ahead[: len(wanted)] == wanted
