"""The reward by hand, and the front."""

import math

import pytest

from keras_effnetv2.search.reward import Measurement, pareto_front, reward

BACKBONE = Measurement(0.8, 2.0, 1_000_000)


def test_the_backbone_is_worth_its_accuracy():
    assert reward(BACKBONE, BACKBONE) == 0.8


@pytest.mark.parametrize(
    ("accuracy", "step_seconds", "parameters", "expected"),
    [  # A * (S / S0)**-0.07 * (P / P0)**-0.05.
        (0.8, 4.0, 1_000_000, 0.8 * 0.952638),  # Twice the time: 2**-0.07.
        (0.8, 2.0, 2_000_000, 0.8 * 0.965936),  # Twice the parameters: 2**-0.05.
        (0.8, 1.0, 500_000, 0.8 * 1.049717 * 1.035265),
        (0.5, 20.0, 100_000, 0.5 * 0.851138 * 1.122018),  # 10**-0.07, 0.1**-0.05.
        (0.0, 1.0, 1, 0.0),
    ],
)
def test_rewards_worked_by_hand(accuracy, step_seconds, parameters, expected):
    measured = Measurement(accuracy, step_seconds, parameters)
    assert reward(measured, BACKBONE) == pytest.approx(expected, rel=1e-5)


def test_accuracy_alone_counts_without_exponents():
    measured = Measurement(0.7, 9.0, 9)
    assert reward(measured, BACKBONE, 0, 0) == pytest.approx(0.7)


def test_another_normalisation_changes_no_order():
    candidates = [Measurement(0.8, 1.0, 4_000), Measurement(0.79, 0.5, 9_000)]
    other = Measurement(0.1, 0.003, 17)
    ratios = [reward(x, BACKBONE) / reward(x, other) for x in candidates]
    assert ratios[0] == pytest.approx(ratios[1])


@pytest.mark.parametrize("exponent", [0.07, math.nan, -math.inf])
def test_exponents_that_prefer_slow_networks_are_refused(exponent):
    with pytest.raises(ValueError, match="step_exponent must be 0 or less"):
        reward(BACKBONE, BACKBONE, step_exponent=exponent)
    with pytest.raises(ValueError, match="parameter_exponent must be 0 or less"):
        reward(BACKBONE, BACKBONE, parameter_exponent=exponent)


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ((1.1, 1.0, 1), "accuracy=1.1"),
        ((math.nan, 1.0, 1), "accuracy=nan"),
        ((0.5, 0.0, 1), "step_seconds=0.0"),
        ((0.5, math.inf, 1), "step_seconds=inf"),
        ((0.5, 1.0, 0), "parameters=0"),
    ],
)
def test_impossible_measurements_are_refused(values, field):
    with pytest.raises(ValueError, match=f"Received: {field}"):
        Measurement(*values)


def test_the_front_is_what_none_beats():
    measurements = [
        Measurement(0.90, 2.0, 10),  # Most accurate.
        Measurement(0.80, 1.0, 10),  # Fastest.
        Measurement(0.80, 1.5, 10),  # As accurate as the fastest, and slower.
        Measurement(0.70, 3.0, 5),  # Smallest.
        Measurement(0.70, 3.0, 20),  # Beaten in all.
        Measurement(0.85, 1.5, 9),  # Between.
    ]
    assert pareto_front(measurements) == [0, 1, 3, 5]


def test_equal_measurements_are_in_the_front_together_or_not_at_all():
    best, worse = Measurement(0.9, 1.0, 10), Measurement(0.9, 1.0, 11)
    assert pareto_front([worse, best, worse, best]) == [1, 3]
    assert pareto_front([]) == []
    assert pareto_front([worse]) == [0]
