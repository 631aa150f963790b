"""A run that is killed anywhere ends as if it had not been."""

import json
import random
import shlex
import signal
import time

import pytest

from keras_effnetv2 import training
from tests import forked
from tests.training import run_processes
from tests.training.run_processes import QUICK, SETTINGS


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("uninterrupted") / "run"
    log = run_processes.finish(workdir, *QUICK)
    # What TensorFlow prints where it must take back what is parallel in datasets.
    assert "use_unbounded_threadpool" not in log
    return workdir


def train_with_kills(workdir, settings, num_kills, longest, **arguments):
    generator = random.Random(0)
    for _ in range(num_kills):
        process = run_processes.start(workdir, *settings, **arguments)
        run_processes.kill_at_random(process, workdir, generator, longest)
    log = run_processes.finish(workdir, *settings, **arguments)
    assert "Resuming after step" in log


def epochs_of(workdir):
    lines = (workdir / "metrics.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def without_times(records):
    times = {"seconds", "images_per_second"}
    return [{k: v for k, v in r.items() if k not in times} for r in records]


def assert_alike(workdir, other):
    run_processes.assert_same_bits(workdir, other)
    assert without_times(epochs_of(workdir)) == without_times(epochs_of(other))


@pytest.mark.long
def test_killed_at_a_random_moment_the_weights_have_the_same_bits(
    tmp_path, uninterrupted
):
    workdir = tmp_path / "run"
    train_with_kills(workdir, QUICK, num_kills=1, longest=1)
    assert_alike(workdir, uninterrupted)


@pytest.mark.slow
def test_killed_five_times_the_weights_have_the_same_bits(tmp_path):
    run_processes.finish(tmp_path / "whole", *SETTINGS)
    train_with_kills(tmp_path / "killed", SETTINGS, num_kills=5, longest=3)
    assert_alike(tmp_path / "killed", tmp_path / "whole")


@pytest.mark.slow
def test_killed_on_two_logical_devices_the_weights_have_the_same_bits(tmp_path):
    program = run_processes.MIRRORED
    log = run_processes.finish(tmp_path / "whole", *SETTINGS, program=program)
    # Keras's of an evaluation on several devices, which took every image.
    assert "ran out of data" not in log
    train_with_kills(tmp_path / "killed", SETTINGS, 5, 3, program=program)
    run_processes.assert_same_bits(tmp_path / "killed", tmp_path / "whole")


@pytest.mark.slow
def test_sigterm_saves_and_says_how_to_go_on(tmp_path):
    run_processes.finish(tmp_path / "whole")
    workdir = tmp_path / "run"
    process = run_processes.start(workdir, "loop.checkpoint_steps=30")
    while run_processes.steps_saved(workdir) < 30 and process.poll() is None:
        time.sleep(0.05)
    time.sleep(0.5)
    process.send_signal(signal.SIGTERM)
    assert process.wait() == 143
    stopped_at = run_processes.steps_saved(workdir)
    assert stopped_at >= 30
    log = (tmp_path / "run.log").read_text()
    assert f"Stopped by SIGTERM after step {stopped_at}. Resume with:" in log
    *_, command = log.strip().splitlines()
    python, *words = shlex.split(command)
    assert (python, words[:3]) == ("python", ["-m", "keras_effnetv2", "train"])
    assert forked.Process(words, f"{workdir}.log").wait() == 0
    run_processes.assert_same_bits(workdir, tmp_path / "whole")


@pytest.mark.long
def test_the_best_checkpoint_is_the_network_that_was_measured(uninterrupted):
    best = max(record["eval_accuracy"] for record in epochs_of(uninterrupted))
    found = training.evaluate_run(uninterrupted, strategy="cpu")  # By default.
    assert found["accuracy"] == best


@pytest.mark.long
def test_a_finished_run_leaves_everything_and_is_not_trained_again(uninterrupted):
    names = {path.name for path in uninterrupted.iterdir()}
    assert names == {
        "checkpoints",
        "config.json",
        "curves.png",
        "final.weights.h5",
        "metrics.jsonl",
        "stage1.png",
        "stage2.png",
        "tensorboard",
        "variant.json",
    }
    before = run_processes.final_weights(uninterrupted)
    run_processes.finish(uninterrupted, *QUICK)
    assert run_processes.final_weights(uninterrupted).keys() == before.keys()
    assert [x["epoch"] for x in epochs_of(uninterrupted)] == [1, 2]
