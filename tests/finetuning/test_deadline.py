"""What turns out slower than planned ends early, whole, and can go on."""

import json
import time

import keras
import numpy as np
import pytest

from keras_effnetv2 import finetune
from keras_effnetv2.finetuning.deadline import Deadline, Timetable, plan_timetable
from keras_effnetv2.finetuning.plan import Amounts, Pace
from keras_effnetv2.training import load_run, override, train
from keras_effnetv2.training.runs.checkpoints import Checkpoints
from tests.finetuning import pictures
from tests.tiny_experiments import tiny_experiment

STEPS = 4


@pytest.fixture(name="experiment", scope="module")
def fixture_experiment():
    return tiny_experiment(
        "data.train_split=train[:128]",
        "data.eval_split=test[:32]",
        "progressive.num_stages=1",
        "progressive.image_size=32",
        "batch_size=32",
        "epochs=4",
    )


class Slow(keras.callbacks.Callback):
    """A machine that has other work too."""

    def __init__(self, seconds):
        super().__init__()
        self.seconds = seconds

    def on_train_batch_end(self, batch, logs=None):
        time.sleep(self.seconds)


def run(experiment, folder, timetable, wait=0.0):
    deadline = Deadline(timetable, time.monotonic())
    records = train(
        experiment, folder, strategy="cpu", callbacks=[Slow(wait), deadline]
    )
    return deadline, [record["epoch"] for record in records]


@pytest.fixture(name="whole", scope="module")
def fixture_whole(experiment, tmp_path_factory):
    """With all the time that it needs."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    timetable = Timetable(1000.0, STEPS, (0.1,) * 4, 0.0)
    deadline, epochs = run(experiment, folder, timetable)
    assert epochs == [1, 2, 3, 4] and deadline.why == ""
    return load_run(folder, "last").get_weights()


@pytest.mark.long
def test_it_ends_after_an_epoch_and_goes_on_to_the_same_end(
    experiment, whole, tmp_path
):
    # By plan 4 epochs would take 1 s; of steps that take 0.3 s there is time for less.
    slow = Timetable(60.0, STEPS, (0.001, 10.0, 10.0, 10.0), 20.0)
    deadline, epochs = run(experiment, tmp_path / "run", slow, wait=0.1)
    assert epochs == [1]
    assert "1 of 4 epochs are trained" in deadline.why and "times as" in deadline.why
    assert load_run(tmp_path / "run").count_params() > 0  # It was evaluated.
    enough = Timetable(1000.0, STEPS, (0.1,) * 4, 0.0)
    deadline, epochs = run(experiment, tmp_path / "run", enough)
    assert epochs == [1, 2, 3, 4] and deadline.why == ""
    for one, other in zip(
        load_run(tmp_path / "run", "last").get_weights(), whole, strict=True
    ):
        np.testing.assert_array_equal(one, other)


@pytest.mark.long
def test_it_ends_within_an_epoch_only_after_an_evaluation(experiment, whole, tmp_path):
    # What follows the training would have had to begin before it: the first epoch is
    # trained nevertheless, as planned steps say that the others take no time.
    late = Timetable(1.0, STEPS, (1e-9,) * 4, 1e6)
    late_deadline = Deadline(late, time.monotonic())
    late_deadline.on_epoch_end = lambda *_: None  # As if it had been in time then.
    train(experiment, tmp_path / "run", strategy="cpu", callbacks=[late_deadline])
    assert "1 of 4 epochs are trained" in late_deadline.why
    position = Checkpoints(tmp_path / "run" / "checkpoints", 2).position()
    assert (position.epoch, position.epoch_step) == (1, 1)
    enough = Timetable(1000.0, STEPS, (0.1,) * 4, 0.0)
    assert run(experiment, tmp_path / "run", enough)[1] == [1, 2, 3, 4]
    for one, other in zip(
        load_run(tmp_path / "run", "last").get_weights(), whole, strict=True
    ):
        np.testing.assert_array_equal(one, other)


def test_the_timetable_is_that_of_the_plan(experiment):
    settings = ["epochs=3", "optimizer.head_epochs=1", "progressive.num_stages=2"]
    settings += ["progressive.image_size=16,32", "model.eval_size=32"]
    found = plan_timetable(
        override(experiment, settings),
        Amounts(128, 32, 32, full_size=32, num_reported=224),
        Pace(1.0, 0.2, 10.0),
        minutes=5,
    )
    assert found.seconds == 300 and found.steps == 4
    # Of the classifier alone at half the side, then of all at both sizes.
    assert found.step_seconds == pytest.approx((0.05, 1.0, 1.0))
    assert found.finish_seconds == pytest.approx(15 + 5 + 7 * 0.2)


@pytest.mark.slow
def test_a_slow_machine_keeps_the_time_that_was_given(tmp_path, capsys):
    top = pictures.write(tmp_path / "photos", {"cat": 40, "dog": 40})
    options = {x: y for x, y in pictures.QUICK.items() if x != "epochs"}
    start = time.monotonic()
    result = finetune(
        top, tmp_path / "run", **options, minutes=1, callbacks=[Slow(0.3)]
    )
    assert time.monotonic() - start < 60 * 1.15
    assert "Time is up" in capsys.readouterr().out
    assert result.paths["model"].is_file()
    choices = json.loads(result.paths["choices"].read_text())
    lines = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    assert 1 <= len(lines) < len(choices["timetable"]["step_seconds"])
