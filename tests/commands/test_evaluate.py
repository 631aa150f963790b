"""`evaluate`: a finished run on all images of a split, or what is missing."""

import re

import pytest

from keras_effnetv2 import create_model
from tests.commands import finished_run
from tests.commands.running import run_command
from tests.tiny_networks import NANO, NANO_SETTINGS

SETTINGS = ["--set", "data.eval_split=test[:60]", "--set", "batch_size=32"]


def run(*flags):
    return run_command("evaluate", *flags)


def test_a_run_and_its_weights_have_the_same_accuracy(capsys, tmp_path):
    workdir = finished_run.write(tmp_path / "run")
    assert run("--workdir", workdir, "--strategy", "cpu", *SETTINGS) == 0
    line = capsys.readouterr().out
    pattern = r"accuracy \d+\.\d\d%  top-5 \d+\.\d\d%  loss \d\.\d{4}\n"
    assert re.fullmatch(pattern, line)
    flags = ["--experiment", "digits-smoke", "--strategy", "cpu", *SETTINGS]
    flags += [word for x in NANO_SETTINGS for word in ("--set", x)]
    assert run(*flags, "--weights", workdir / "final.weights.h5") == 0
    assert capsys.readouterr().out == line


def test_weights_of_other_classes_are_refused(capsys, tmp_path):
    path = tmp_path / "three.weights.h5"
    create_model(NANO, weights=None, classes=3).save_weights(path)
    flags = ["--experiment", "digits-smoke", "--strategy", "cpu", *SETTINGS]
    flags += [word for x in NANO_SETTINGS for word in ("--set", x)]
    assert run(*flags, "--weights", path) == 2
    assert "have 3 classes, but the images 10" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ([], "Say what to evaluate"),
        (["--experiment", "digits"], "Say what to evaluate"),
        (["--workdir", "run", "--weights", "imagenet"], "--workdir run determines"),
        (["--workdir", "run", "--experiment", "digits"], "--workdir run determines"),
        (["--workdir", "absent"], "is not the work folder of a run"),
        (["--workdir", "absent", "--report", "x"], "is not the work folder of a run"),
        (["--workdir", "run", "--tta"], "Say where: --report FILE.html"),
        (["--experiment", "digits", "--report", "x"], "Name it: --workdir"),
        (
            ["--workdir", "run", "--report", "x", "--strategy", "mirrored"],
            "on one device. Received: --strategy mirrored",
        ),
    ],
)
def test_wrong_flags_end_in_one_line(capsys, flags, message):
    assert run(*flags) == 2
    errors = capsys.readouterr().err
    assert message in errors
    assert errors.startswith("error: ") and errors.count("\n") == 1
