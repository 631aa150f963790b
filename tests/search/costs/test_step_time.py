"""Step times: turns of an injected clock, ratios of rounds, two real networks."""

import dataclasses

import keras
import pytest

from keras_effnetv2.search.costs import step_time
from keras_effnetv2.search.costs.step_time import (
    StepTime,
    compare_step_times,
    measure_step_times,
    relative_step_spread,
    relative_step_time,
    time_in_turns,
)
from keras_effnetv2.search.costs.workload import Workload, device_name, network_step
from keras_effnetv2.training.experiments.configuration import Optimizer
from tests.tiny_networks import tiny

SMALL = dataclasses.replace(tiny("tiny-b0"), blocks=tiny("tiny-b0").blocks[:2])
SIZES = {"image_size": 8, "batch_size": 2}
PLAIN = Optimizer("sgd", ema_momentum=0)


class Machine:
    """A clock, and steps that take time on it; `log` has the order of calls."""

    def __init__(self):
        self.now, self.log = 0.0, []

    def clock(self):
        return self.now

    def step(self, name, seconds):
        def run():
            self.log.append(name)
            self.now += seconds() if callable(seconds) else seconds

        return run


def test_networks_take_turns_after_warming_up():
    machine = Machine()
    steps = [machine.step("A", 1.0), machine.step("B", 2.0)]
    assert time_in_turns(steps, 3, machine.clock) == [(1.0,) * 3, (2.0,) * 3]
    assert "".join(machine.log) == "AAA" + "BBB" + "ABABAB"


def test_short_steps_fill_a_turn_and_a_turn_has_an_end():
    machine = Machine()
    steps = [machine.step("A", 0.011), machine.step("B", 1e-6)]
    ((first, *_), second) = time_in_turns(steps, 2, machine.clock)
    assert first == pytest.approx(0.011)
    assert second == pytest.approx((1e-6, 1e-6))
    assert machine.log.count("A") == 3 + 2 * 3
    assert machine.log.count("B") == 3 + 2 * 20


def test_a_machine_that_slows_down_slows_all_alike():
    machine = Machine()

    def slowing(seconds):
        return lambda: seconds * (1 + 10 * len(machine.log))

    steps = [machine.step("A", slowing(1.0)), machine.step("B", slowing(3.0))]
    own, beside = (
        StepTime("x", seconds, "d")
        for seconds in time_in_turns(steps, 9, machine.clock)
    )
    assert own.seconds[-1] > 2 * own.seconds[0]
    assert relative_step_time(beside, own) == pytest.approx(3, rel=0.15)


def test_a_ratio_is_that_of_rounds_and_not_of_medians():
    candidate = StepTime("a", (1.0, 4.0, 9.0), "d")
    backbone = StepTime("b", (1.0, 1.0, 3.0), "d")
    assert relative_step_time(candidate, backbone) == 3.0  # Of 1, 4 and 3.
    assert relative_step_spread(candidate, backbone) == 1.5  # From 2 to 3.5.


def test_a_ratio_needs_the_same_rounds():
    one, two = StepTime("a", (1.0,), "d"), StepTime("b", (1.0, 2.0), "d")
    with pytest.raises(ValueError, match="1 rounds on d and 2 on d"):
        relative_step_time(one, two)
    with pytest.raises(ValueError, match="measure both networks together"):
        relative_step_time(one, StepTime("b", (1.0,), "e"))


def test_the_median_is_that_of_all_rounds():
    time = StepTime("a", (5.0, 1.0, 2.0, 3.0, 4.0), "d")
    assert (time.median, time.repeats) == (3.0, 5)


def test_a_single_round_has_no_spread():
    one = StepTime("a", (5.0,), "d")
    assert relative_step_spread(one, one) == 0


def test_a_network_of_ten_times_the_work_takes_longer():
    large = dataclasses.replace(SMALL, width_coefficient=2.0, name="large")
    times = measure_step_times(
        [SMALL, large], image_size=32, batch_size=16, repeats=3, optimizer=PLAIN
    )
    assert [time.name for time in times] == [SMALL.name, "large"]
    assert [time.repeats for time in times] == [3, 3]
    assert {time.device for time in times} == {device_name()}
    assert relative_step_time(times[1], times[0]) > 1


@pytest.mark.parametrize("optimizer", [Optimizer(), PLAIN])
def test_a_step_trains(optimizer):
    """Weights, batch statistics and moving averages all move."""
    optimizer = dataclasses.replace(
        optimizer, learning_rate=0.1, learning_rate_batch_size=None
    )
    step = network_step(SMALL, Workload(16, 8, classes=3, optimizer=optimizer))
    learner = step.learner
    before = [keras.ops.convert_to_numpy(x) for x in learner.variables]
    step()
    step()
    moved = {
        x.path
        for x, old in zip(learner.variables, before, strict=True)
        if (keras.ops.convert_to_numpy(x) != old).any()
    }
    networks = [x for x in (learner.network, learner.averaged) if x is not None]
    assert len(networks) == (2 if optimizer.ema_momentum else 1)
    for network in networks:
        assert any(x.path in moved for x in network.trainable_variables) or (
            network is learner.averaged
        )
    statistics = [x.path for x in learner.network.non_trainable_variables]
    assert any("moving_mean" in path and path in moved for path in statistics)


@pytest.fixture
def made(monkeypatch):
    """Names and image sizes of the networks that are made; their steps do nothing."""
    made = []

    def network_step(variant, workload):
        made.append((variant.name, workload.image_size))
        return lambda: None

    monkeypatch.setattr(step_time, "network_step", network_step)
    return made


def test_the_backbone_is_made_once_and_timed_with_every_group(made, monkeypatch):
    groups = []

    def time_in_turns(steps, repeats):
        groups.append(len(steps))
        return [(float(len(groups)),) * repeats for _ in steps]

    monkeypatch.setattr(step_time, "time_in_turns", time_in_turns)
    candidates = [dataclasses.replace(SMALL, name=name) for name in "abcde"]
    backbone = dataclasses.replace(SMALL, name="S0")
    pairs = compare_step_times(
        candidates, backbone, group_size=2, image_size=32, batch_size=2, repeats=3
    )
    own, beside = zip(*pairs, strict=True)
    assert groups == [3, 3, 2]
    assert [name for name, _ in made] == ["S0", *"abcde"]
    assert [x.name for x in own] == list("abcde")
    assert [x.median for x in beside] == [1, 1, 2, 2, 3]
    assert {x.repeats for x in own + beside} == {3}


def test_networks_of_a_series_have_their_own_training_sizes(made):
    large = dataclasses.replace(SMALL, name="large", train_size=40)
    measure_step_times([SMALL, large], image_size=None, batch_size=2, repeats=1)
    measure_step_times([SMALL, large], image_size=24, batch_size=2, repeats=1)
    assert [size for _, size in made] == [SMALL.train_size, 40, 24, 24]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"image_size": 3},
            "The strides of tiny-b0 multiply to 4. Received: image_size=3",
        ),
        ({"image_size": 0}, "image_size must be a whole number, at least 1"),
        ({"batch_size": -1}, "batch_size must be a whole number, at least 1"),
        ({"precision": "float16"}, "precision must be one of 'float32'"),
        ({"repeats": 0}, "repeats must be at least 1. Received: 0"),
        ({"classes": 2.5}, "classes must be a whole number"),
        (
            {"optimizer": Optimizer(accumulation_steps=3)},
            "accumulation_steps=3 pieces. Received: batch_size=2",
        ),
    ],
)
def test_bad_input_is_refused_in_one_line(changes, message):
    arguments = SIZES | {"repeats": 1} | changes
    with pytest.raises(ValueError, match=message) as error:
        measure_step_times([SMALL], **arguments)
    assert "\n" not in str(error.value)


def test_nothing_to_measure_is_refused():
    with pytest.raises(ValueError, match="no variant to measure"):
        measure_step_times([], **SIZES)
    with pytest.raises(ValueError, match="group_size must be at least 1. Received: 0"):
        list(compare_step_times([SMALL], SMALL, group_size=0, **SIZES))
