"""Screening by predicted step times, and their errors."""

import math

import numpy as np
import pytest

from keras_effnetv2.search.costs import screening
from keras_effnetv2.search.costs.cost_cache import Costs
from keras_effnetv2.search.costs.screening import (
    Validation,
    iterate_validation,
    screen,
)
from keras_effnetv2.search.costs.step_time import StepTime
from keras_effnetv2.search.costs.table import CostTable, features
from keras_effnetv2.search.costs.workload import Workload
from keras_effnetv2.search.sampling.space import Space
from tests.search.costs.test_table import BACKBONE, SPACE, space_shapes

WORKLOAD = Workload(32, 4)


@pytest.fixture
def table():
    rng = np.random.default_rng(0)
    costs = {x.name: rng.uniform(0.05, 0.2) for x in space_shapes(SPACE, 32)}
    other = SPACE.variant(SPACE.random(rng))
    # A step is its blocks, and nothing else.
    totals = [features(variant, 32, costs)[0] for variant in (other, BACKBONE)]
    measured = Costs([0.5], costs, [(other, totals[0] / totals[1])])
    return CostTable.from_costs(BACKBONE, WORKLOAD, measured)


def test_points_are_fast_enough_and_differ(table):
    rng = np.random.default_rng(1)
    points = screen(SPACE, table, 20, rng, 1.2)
    ratios = [table.relative(SPACE.variant(point)) for point in points]
    assert min(ratios) < max(ratios) <= 1.2
    assert len({tuple(point.values()) for point in points}) == 20
    again = screen(SPACE, table, 20, np.random.default_rng(1), 1.2)
    assert again == points


def test_a_limit_that_no_network_keeps_is_refused(table, monkeypatch):
    monkeypatch.setattr(screening, "_PATIENCE", 100)
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match=r"Only 0 of 3 .* in 100 draws.*Allow more"):
        screen(SPACE, table, 3, rng, 0.001)
    one = Space.of(
        BACKBONE, operators="mbconv", kernels=3, expansions=4, layers={1: 1, 2: 2, 3: 2}
    )
    with pytest.raises(ValueError, match="Only 1 of 2 points"):
        screen(one, table, 2, rng, 100)
    for num, most in ((1, 0), (1, -1), (1, math.nan), (0, 1)):
        with pytest.raises(ValueError, match="max_relative_step_time above 0"):
            screen(SPACE, table, num, rng, most)


def test_errors_and_ranks_by_hand():
    result = Validation((), (1.0, 2.2, 3.0), (1.0, 2.0, 4.0), (0.5,) * 3)
    assert result.median_relative_error == pytest.approx(0.1)  # Of 0, 10%, 25%.
    assert result.rank_correlation == pytest.approx(1)
    swapped = Validation((), (1.0, 3.0, 2.0), (1.0, 2.0, 3.0), (0.5,) * 3)
    assert swapped.rank_correlation == pytest.approx(0.5)  # 1 - 6 * 2 / (3 * 8).
    ties = Validation((), (1.0, 1.0, 2.0), (1.0, 2.0, 3.0), (0.5,) * 3)
    assert ties.rank_correlation == pytest.approx(math.sqrt(3) / 2)
    alike = Validation((), (1.0, 1.0), (1.0, 2.0), (1,) * 2)
    with pytest.warns(RuntimeWarning, match="constant"):
        assert math.isnan(alike.rank_correlation)


def validate(table, num):
    rows = iterate_validation(table, SPACE, num, seed=3, repeats=3, group_size=4)
    return Validation(*zip(*rows, strict=True))


def test_validation_measures_networks_that_the_table_has_not_seen(table, monkeypatch):
    def compare(candidates, backbone, *, group_size, repeats, **workload):
        assert backbone == BACKBONE
        assert workload["optimizer"] == WORKLOAD.optimizer
        assert (group_size, repeats, workload["image_size"]) == (4, 3, 32)
        for candidate in candidates:
            seconds = 1.1 * table.relative(candidate) * 2.0
            yield StepTime(candidate.name, (seconds,), "d"), StepTime("b", (2.0,), "d")

    monkeypatch.setattr(screening, "compare_step_times", compare)
    first = validate(table, 10)
    assert first.median_relative_error == pytest.approx(1 - 1 / 1.1)
    assert first.rank_correlation == pytest.approx(1)
    assert [x.name for x in first.variants][::9] == ["candidate-1", "candidate-10"]
    seen = Costs([0.5], dict(table.costs), [(first.variants[0], 1.0)])
    later = CostTable.from_costs(BACKBONE, WORKLOAD, seen)
    second = validate(later, 10)
    blocks = [x.blocks for x in second.variants]
    assert first.variants[0].blocks not in blocks
    assert blocks[:9] == [x.blocks for x in first.variants[1:]]


@pytest.mark.parametrize("num", [1, 10**9])
def test_too_few_or_too_many_networks_are_refused(table, num):
    with pytest.raises(ValueError, match=f"num={num} for a space of"):
        validate(table, num)
