"""Numbers of calibration against closed forms and other implementations."""

import numpy as np
import pytest
from scipy import optimize, special

from keras_effnetv2.reports import fit_temperature
from keras_effnetv2.reports.calibration import (
    held_out_temperatures,
    measure_reliability,
    probabilities,
)


def drawn(num, num_classes, activation="softmax", seed=0):
    """Logits, and labels that come true as often as these say."""
    random = np.random.default_rng(seed)
    logits = random.normal(0, 2, (num, num_classes))
    if activation == "sigmoid":
        labels = random.uniform(size=logits.shape) < special.expit(logits)
        return logits, labels.astype("uint8")
    noise = random.gumbel(size=logits.shape)
    return logits, (logits + noise).argmax(axis=1)


@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
@pytest.mark.parametrize("factor", [0.5, 1.0, 3.0])
def test_logits_that_are_too_large_are_divided_by_as_much(activation, factor):
    logits, labels = drawn(20_000, 5, activation)
    found = fit_temperature(factor * logits, labels, activation)
    assert found == pytest.approx(factor, rel=0.03)


def test_the_likelihood_is_the_largest():
    logits, labels = drawn(2000, 4, seed=1)

    def loss(temperature):
        scores = special.log_softmax(logits / temperature, axis=1)
        return -scores[np.arange(len(labels)), labels].mean()

    wanted = optimize.brute(loss, [(0.5, 2)], Ns=400)[0]
    assert fit_temperature(logits, labels) == pytest.approx(wanted, rel=0.01)


def test_several_labels_share_a_mass():
    logits, labels = drawn(5000, 4)
    one_hot = np.eye(4, dtype="uint8")[labels]
    assert fit_temperature(logits, one_hot) == pytest.approx(
        fit_temperature(logits, labels), rel=1e-3
    )
    single = fit_temperature(logits, labels, "sigmoid")
    assert fit_temperature(logits, one_hot, "sigmoid") == pytest.approx(single, 1e-3)


@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
def test_few_images_without_an_error_make_nobody_sure(activation):
    labels = np.arange(20) % 2
    logits = 4.0 * np.eye(2)[labels] - 2
    temperature = fit_temperature(logits, labels, activation)
    scores = probabilities(logits, activation, temperature).max(axis=1)
    # As Platt has it: (n + 1) / (n + 2), of which half is the other class's.
    assert 0.9 < scores.max() < 0.99


def test_held_out_temperatures_are_of_the_other_half():
    logits, labels = drawn(400, 3)
    logits[::2] *= 4  # Only these are too sure.
    found = held_out_temperatures(logits, labels)
    assert found[0] == pytest.approx(fit_temperature(logits[1::2], labels[1::2]))
    assert found[1] == pytest.approx(fit_temperature(logits[::2], labels[::2]))
    assert found[1] > 2 * found[0]
    assert held_out_temperatures(logits[:1], labels[:1]).tolist() == [1.0]


def test_calibration_error_by_hand():
    # Bins of a fifth: two scores of 0.5 of which one is true, three of 0.9, all true.
    scores = np.array([0.5, 0.5, 0.9, 0.9, 0.9])
    found = measure_reliability(scores, np.array([1, 0, 1, 1, 1]), num_bins=5)
    assert found.counts.tolist() == [0, 0, 2, 0, 3]
    np.testing.assert_allclose(found.scores[[2, 4]], [0.5, 0.9])
    np.testing.assert_allclose(found.shares[[2, 4]], [0.5, 1.0])
    assert found.error == pytest.approx(3 / 5 * 0.1)


def test_borders_are_of_the_lower_bin():
    found = measure_reliability(np.array([0.0, 0.2, 0.4, 1.0]), np.ones(4), 5)
    assert found.counts.tolist() == [2, 1, 0, 0, 1]


def test_what_comes_true_as_often_as_it_says_has_a_small_error():
    logits, labels = drawn(50_000, 10)
    scores = probabilities(3 * logits, "softmax")
    is_true = scores.argmax(axis=1) == labels
    assert measure_reliability(scores.max(axis=1), is_true).error > 0.1
    scores = probabilities(3 * logits, "softmax", 3.0)
    assert measure_reliability(scores.max(axis=1), is_true).error < 0.01
