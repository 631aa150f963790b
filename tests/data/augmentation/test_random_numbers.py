"""Draws have their distribution, also where float32 ends."""

import numpy as np
import pytest
import tensorflow as tf

from keras_effnetv2.data.augmentation import random_numbers

SEED = (3, 4)


@pytest.mark.parametrize("alpha", [1e-3, 0.02, 0.1, 0.5, 1.0, 4.0])
def test_beta_has_its_mean_and_variance(alpha):
    draws = random_numbers.beta(tf.constant(SEED), alpha, 100_000).numpy().astype("f8")
    assert ((draws >= 0) & (draws <= 1)).all()
    # Five standard errors of 100,000 draws, at most, of numbers in [0, 1].
    assert draws.mean() == pytest.approx(0.5, abs=5 * 0.5 / 316)
    assert draws.var() == pytest.approx(1 / (4 * (2 * alpha + 1)), abs=5 * 0.25 / 316)


def test_integers_are_uniform_and_below_the_limit():
    draws = random_numbers.uniform(tf.constant(SEED), (160_000,))
    counts = np.bincount(random_numbers.below(16, draws), minlength=16)
    assert len(counts) == 16
    assert np.abs(counts - 10_000).max() < 5 * 100
    largest = np.nextafter(np.float32(1), np.float32(0))
    for limit in (1, 3, 1000, 4096):
        assert random_numbers.below(limit, tf.constant(largest)) == limit - 1


def test_seeds_differ_from_each_other_and_from_their_source():
    seeds = [SEED, *(tuple(x.numpy()) for x in random_numbers.split(SEED, 5))]
    assert len(set(seeds)) == 6


@pytest.mark.parametrize("seed", [3, (1, 2, 3), (0.5, 1.0), [[1, 2]]])
def test_a_seed_is_two_integers(seed):
    with pytest.raises(ValueError, match=r"two integers, shape \(2,\)"):
        random_numbers.split(seed, 2)
