"""What follows a training: its lines, its estimates, and the table at the end."""

import io

import pytest

from keras_effnetv2.training.progressive.stages import cost
from keras_effnetv2.training.reporting.pace import Pace
from keras_effnetv2.training.reporting.summary import summarize
from keras_effnetv2.training.reporting.training_progress import TrainingProgress
from tests.training.reporting.run_records import STAGES, STEPS_PER_EPOCH, make_record


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def follow(clock, stream):
    return TrainingProgress(STAGES, STEPS_PER_EPOCH, stream=stream, clock=clock)


def train(progress, clock, steps, seconds_per_step):
    for step in steps:
        clock.now += seconds_per_step
        progress.update(step, {"loss": 0.5})


@pytest.mark.parametrize(
    ("step", "stage", "epochs"),
    [(0, 0, 0), (1, 0, 0.2), (10, 0, 2), (11, 1, 2.2), (30, 2, 6), (31, 2, 6)],
)
def test_a_step_has_its_place_in_the_plan(step, stage, epochs):
    found = Pace(STAGES, STEPS_PER_EPOCH).place(step)
    assert found == (STAGES[stage], pytest.approx(epochs))


def test_speed_is_that_of_the_last_seconds():
    pace = Pace(STAGES, STEPS_PER_EPOCH)
    assert pace.advance(time=50, step=1) is None  # The first step compiles.
    assert pace.advance(time=51, step=2) == 10  # Batches have 10 images.
    assert pace.advance(time=63, step=3) == pytest.approx(10 / 12)


def test_later_stages_take_longer_in_proportion_to_their_area():
    pace = Pace(STAGES, STEPS_PER_EPOCH)
    assert pace.seconds_left(0) is None
    pace.advance(time=0, step=0)
    pace.advance(time=1, step=1)  # 5 steps an epoch: 5 s at 16 pixels.
    expected = 9 + 2 * 5 * (24 / 16) ** 2 + 2 * 5 * (32 / 16) ** 2
    assert pace.seconds_left(1) == pytest.approx(expected)
    assert pace.seconds_left(30) == 0


def test_time_left_counts_evaluations_like_those_before():
    pace = Pace(STAGES, STEPS_PER_EPOCH)
    pace.advance(time=0, step=5)
    pace.end_epoch(time=3, step=5, images_per_second=10)
    training = cost(STAGES, 1) / 16**2 * 5
    assert pace.seconds_left(5) == pytest.approx(training + 5 * 3)


def test_an_epoch_leaves_one_line(clock):
    stream = io.StringIO()
    progress = follow(clock, stream)
    progress.epoch_end(make_record(4, loss=0.412, seconds=12, images_per_second=1234))
    (line,) = stream.getvalue().splitlines()
    for part in ("4/6", "2/3", "24 px", "0.412", "40.0%", "70.0%", "1,234 ", "12 s"):
        assert part in line


def test_an_epoch_without_evaluation_says_so(clock):
    stream = io.StringIO()
    follow(clock, stream).epoch_end(make_record(1, accuracy=None, loss=None))
    assert "eval      -" in stream.getvalue()


def test_the_last_epoch_has_no_time_left(clock):
    stream = io.StringIO()
    follow(clock, stream).epoch_end(make_record(6))
    assert "left" not in stream.getvalue()


def test_between_epochs_it_says_where_the_training_is(clock):
    stream = io.StringIO()
    progress = follow(clock, stream)
    train(progress, clock, [1, 2, 3, 4], seconds_per_step=16)
    first, second = stream.getvalue().splitlines()
    assert "epoch 1/6" in first and " 40%" in first and " 80%" in second
    assert "images/s" in second and "left" in second


def test_the_summary_is_a_table_of_stages():
    records = [make_record(epoch) for epoch in range(1, 7)]
    lines = summarize(records, STAGES, num_damaged=1234).splitlines()
    rows = [" ".join(line.split()) for line in lines]
    assert rows[1] == "1 1-2 16 5 20 s 0.500 60.0%"
    assert rows[3] == "3 5-6 32 2 1:00 0.167 80.0%"
    assert rows[4] == "total 6 2:00"
    assert rows[6].startswith(
        "Progressive stages took 2:00; at 32 pixels throughout it would have taken "
        "about 3:00"
    )
    assert rows[7] == "Damaged images that were skipped: 1,234."


def test_what_one_size_would_take_has_the_first_epochs_tracing():
    records = [make_record(epoch) for epoch in range(1, 7)]
    records[0]["seconds"] += 40
    assert "it would have taken about 3:40" in summarize(records, STAGES)


def test_stages_that_took_longer_than_one_size_would_have_are_no_gain():
    records = [make_record(epoch, seconds=12 - epoch) for epoch in range(1, 7)]
    assert "throughout" not in summarize(records, STAGES)


def test_the_summary_says_why_a_training_ended_early():
    records = [make_record(epoch) for epoch in range(1, 5)]
    assert "Stopped" not in summarize(records, STAGES)
    *_, line = summarize(records, STAGES, num_worse=2).splitlines()
    assert line == (
        "Stopped after epoch 4 of 6: the last 2 evaluations were no better than the "
        "best before."
    )


def test_patience_is_shown_where_there_is_one(clock):
    stream = io.StringIO()
    progress = follow(clock, stream)
    progress.epoch_end(make_record(4))
    progress.epoch_end(make_record(5), since_best=2, patience=3)
    first, second = stream.getvalue().splitlines()
    assert "patience" not in first and second.endswith("patience 2/3")


def test_what_one_size_would_take_needs_its_measured_speed():
    stopped = summarize([make_record(1), make_record(2, loss=None)], STAGES)
    assert "throughout" not in stopped
    assert stopped.splitlines()[1].split()[-2:] == ["-", "60.0%"]
    assert stopped.splitlines()[-1].split() == ["total", "2", "20", "s"]
    fixed = [make_record(epoch, stage=1) for epoch in (1, 2)]
    assert "throughout" not in summarize(fixed, STAGES[:1])
