"""Costs of a series: counted, timed in turns, and as a table."""

import dataclasses
import io

import pytest

from keras_effnetv2.networks.variants import get_variant
from keras_effnetv2.search.costs import series
from keras_effnetv2.search.costs.step_time import StepTime
from keras_effnetv2.search.costs.workload import device_name
from keras_effnetv2.search.scaling import scale_series
from tests.tiny_networks import tiny

SMALL, MEDIUM, LARGE, _ = scale_series(get_variant("efficientnetv2-s"))


def test_the_table_has_a_row_a_member():
    counted = series.format_costs(series.count_costs([SMALL, MEDIUM])).splitlines()
    assert len(counted) == 3
    assert " ".join(counted[1].split()) == (
        "efficientnetv2-s-s 2 4 4 6 9 15 384 21.46 8.37"
    )


def test_steps_are_timed_beside_the_first_and_stated(monkeypatch):
    """The machine is half as fast when the third is timed."""

    def compare(others, first, **workload):
        assert first is SMALL and workload == {
            "group_size": 1,
            "batch_size": 8,
            "image_size": None,
            "precision": "mixed_bfloat16",
            "classes": 1000,
            "repeats": 3,
        }
        for slowness, (other, ratio) in enumerate(zip(others, (2.5, 4.0), strict=True)):
            seconds = 0.5 * 2**slowness
            yield (
                StepTime(other.name, (ratio * seconds,) * 3, "d"),
                StepTime(first.name, (seconds,) * 3, "d"),
            )

    monkeypatch.setattr(series, "compare_step_times", compare)
    costs = series.measure_costs(
        [SMALL, MEDIUM, LARGE],
        batch_size=8,
        precision="mixed_bfloat16",
        repeats=3,
        stream=io.StringIO(),
    )
    assert [cost.step.seconds for cost in costs] == pytest.approx([0.75, 1.875, 3.0])
    lines = series.format_costs(costs).splitlines()
    assert lines[0].split()[-4:] == ["train", "pixels", "step", "(s)"]
    assert lines[3].split()[-3:] == ["376", "3", "4.00x"]
    assert lines[4] == (
        f"A step trains on 8 images in mixed_bfloat16, on {device_name()}."
    )


def test_members_that_were_not_timed_have_dashes():
    step = series.Step(0.5, 300, 8, "float32", "a CPU")
    timed, counted = series.count_costs([SMALL, MEDIUM])
    timed = dataclasses.replace(timed, step=step)
    lines = series.format_costs([timed, counted]).splitlines()
    assert lines[1].split()[-3:] == ["300", "0.5", "1.00x"]
    assert lines[2].split()[-2:] == ["-", "-"]
    assert lines[3] == "A step trains on 8 images in float32, on a CPU."


def test_one_network_is_timed_alone():
    tiny_one = dataclasses.replace(tiny("tiny-b0"), blocks=tiny("tiny-b0").blocks[:1])
    (cost,) = series.measure_costs(
        [tiny_one], batch_size=2, image_size=8, classes=3, repeats=1
    )
    assert 0 < cost.step.seconds < 10
    assert (cost.step.image_size, cost.step.batch_size) == (8, 2)
    with pytest.raises(ValueError, match="no variant to measure"):
        series.measure_costs([], batch_size=2)
