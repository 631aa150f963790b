"""A run gets another length where it would have begun as it did."""

import pathlib
import shlex

import pytest

from keras_effnetv2 import __main__ as command_line
from keras_effnetv2.training import get_experiment, override, train
from keras_effnetv2.training.runs.checkpoints import Position
from keras_effnetv2.training.runs.length import check_images, check_length
from keras_effnetv2.training.runs.workdir import open_workdir, read_experiment
from tests.training import run_processes
from tests.training.run_processes import QUICK

ONE_STAGE = ("progressive.num_stages=1", "schedule.name=constant")


def check(settings, epochs, position, path=pathlib.Path("run")):
    found = override(get_experiment("digits-smoke"), settings)
    wanted = override(found, [f"epochs={epochs}"])
    check_length(wanted, found, position, num_images=1437, path=path)


@pytest.mark.parametrize(
    ("settings", "epochs", "position"),
    [
        (ONE_STAGE, 20, Position(66, 3)),
        (("progressive.num_stages=1", "schedule.name=exponential"), 20, Position(9)),
        (ONE_STAGE, 2, Position(22, 1, 3)),
        # Three stages of an epoch, then of two.
        (("schedule.name=constant",), 6, Position(22, 1)),
        # Nothing is trained.
        ((), 20, Position()),
        # The same length by another number.
        (("min_steps=66",), 2, Position(66, 3)),
    ],
)
def test_lengths_that_go_on_from_what_is_trained(settings, epochs, position):
    check(settings, epochs, position)


@pytest.mark.parametrize(
    ("settings", "epochs", "position", "message"),
    [
        (ONE_STAGE, 2, Position(66, 3), "in epoch 3, or past it. Received: epochs=2"),
        (ONE_STAGE, 2, Position(50, 2, 6), "Set epochs to 3 or more"),
        ((), 4, Position(1, 0, 1), "cannot be extended to epoch 4: its .* cosine .* 3"),
        (("schedule.name=constant",), 6, Position(44, 2), "its 3 stages divide 3 ep"),
    ],
)
def test_lengths_that_would_have_begun_otherwise(settings, epochs, position, message):
    with pytest.raises(ValueError, match=message):
        check(settings, epochs, position)


# 1,437 images are 22 steps of 64 an epoch, 23 or 22 of stages of 60 and 64.
@pytest.mark.parametrize(
    ("settings", "position"),
    [
        (ONE_STAGE, Position(44, 2)),
        (ONE_STAGE, Position(25, 1, 3)),
        (("progressive.num_stages=2", "progressive.batch_sizes=60,64", "epochs=4"),
         Position(46 + 22 + 1, 3, 1)),
        ((), Position()),
    ],
)  # fmt: skip
def test_a_run_continues_on_the_images_it_began_with(settings, position):
    experiment = override(get_experiment("digits-smoke"), settings)
    check_images(experiment, position, 1437, pathlib.Path("run"))
    if position.step:
        for num_images in (600, 2000):
            with pytest.raises(ValueError, match=rf"{num_images:,} training images"):
                check_images(experiment, position, num_images, pathlib.Path("run"))


def test_a_finished_run_does_not_need_its_images():
    experiment = override(get_experiment("digits-smoke"), ONE_STAGE)
    check_images(experiment, Position(66, 3), 2000, pathlib.Path("run"))


def test_a_refusal_says_a_command_that_begins_a_new_run(tmp_path, capsys):
    workdir = open_workdir(tmp_path / "run", get_experiment("digits-smoke"))
    workdir.checkpoints.mkdir()
    workdir.best_weights.touch()
    with pytest.raises(ValueError, match="Start a new run") as caught:
        check((), 20, Position(66, 3), workdir.path)
    *_, command = str(caught.value).partition("weights: python -m ")
    words = [*shlex.split(command), "--list_settings"]
    assert command_line.main(command_line.parse(words)) == 0
    lines = capsys.readouterr().out.splitlines()
    assert f"model.weights={workdir.best_weights}" in lines
    assert "epochs=20" in lines and "schedule.name=cosine" in lines


@pytest.mark.slow
def test_a_longer_run_is_the_run_that_was_so_long_from_its_start(tmp_path):
    settings = [*QUICK, *ONE_STAGE, "data.train_split=train[:64]", "epochs=1"]
    short = override(get_experiment("digits-smoke"), settings)
    longer = override(short, ["epochs=2"])
    train(short, tmp_path / "run", strategy="cpu")
    records = train(longer, tmp_path / "run", strategy="cpu")
    assert [record["epoch"] for record in records] == [1, 2]
    assert read_experiment(tmp_path / "run").epochs == 2
    train(longer, tmp_path / "whole", strategy="cpu")
    run_processes.assert_same_bits(tmp_path / "run", tmp_path / "whole")
