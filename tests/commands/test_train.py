"""`train`: which experiment it takes, of the flags or of the work folder."""

import pytest

from keras_effnetv2 import __main__ as command_line
from keras_effnetv2.commands.shared.chosen_experiments import find_experiment
from keras_effnetv2.training import get_experiment, override
from keras_effnetv2.training.runs.trained import fitted_temperature
from keras_effnetv2.training.runs.workdir import open_workdir, train_command
from tests.tiny_networks import NANO_SETTINGS

SETTINGS = ["seed=7", "epochs=5"]


def parse(*flags):
    return command_line.parse(["", "train", *map(str, flags)])


def run(*flags):
    return command_line.main(parse(*flags))


@pytest.fixture
def workdir(tmp_path):
    """Of a run that has begun."""
    experiment = override(get_experiment("digits-smoke"), SETTINGS)
    workdir = open_workdir(tmp_path / "my run", experiment)
    workdir.checkpoints.mkdir()
    return workdir


def test_a_work_folder_has_its_experiment(workdir):
    own = override(get_experiment("digits-smoke"), SETTINGS)
    assert find_experiment(parse("--workdir", workdir.path)) == own
    flags = ("--experiment", "digits-smoke", "--workdir", workdir.path)
    assert find_experiment(parse(*flags)) == own
    changed = parse("--workdir", workdir.path, "--set", "epochs=9")
    assert find_experiment(changed) == override(own, ["epochs=9"])


def test_another_experiment_is_left_to_be_refused(workdir, capsys):
    flags = ("--experiment", "digits", "--workdir", workdir.path)
    assert run(*flags, "--strategy", "cpu") == 2
    assert "of the experiment 'digits-smoke'" in capsys.readouterr().err


def test_what_was_refused_before_it_began_can_be_another_experiment(tmp_path):
    open_workdir(tmp_path / "run", get_experiment("digits-smoke"))
    flags = ("--experiment", "digits", "--workdir", tmp_path / "run")
    assert find_experiment(parse(*flags)) == get_experiment("digits")


def test_a_new_run_can_have_the_settings_of_another(workdir, tmp_path):
    flags = ("--experiment", workdir.path, "--workdir", tmp_path / "new")
    found = find_experiment(parse(*flags))
    assert found == override(get_experiment("digits-smoke"), SETTINGS)


@pytest.mark.parametrize(
    ("flags", "wanted"),
    [
        (["--experiment", "digits"], "epochs=18"),
        (["--experiment", "digits", "--set", "epochs=4"], "epochs=4"),
        (["--workdir", "WORKDIR"], "seed=7"),
    ],
)
def test_settings_are_listed_without_a_work_folder_or_of_one(
    workdir, flags, wanted, capsys
):
    flags = [workdir.path if x == "WORKDIR" else x for x in flags]
    assert run(*flags, "--list_settings") == 0
    out = capsys.readouterr().out
    assert wanted in out.splitlines() and "expected: " in out


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ([], "Say what to train: --experiment NAME, one of imagenet-b0"),
        (["--list_settings"], "Say what to train: --experiment NAME"),
        (["--experiment", "digits"], "Say where to train: --workdir DIR"),
        (["--workdir", "absent"], "absent has no run yet. Say what to train"),
        (["--experiment", "dogs", "--workdir", "x"], "Unknown experiment 'dogs'"),
    ],
)
def test_what_is_missing_is_said_in_one_line(flags, message, capsys):
    assert run(*flags) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1


@pytest.mark.slow
def test_a_run_ends_with_its_report(tmp_path, capsys):
    settings = [
        *NANO_SETTINGS,
        "data.train_split=train[:64]",
        "data.eval_split=test[:30]",
        "epochs=1",
        "progressive.num_stages=1",
        "progressive.image_size=16,16",
    ]
    flags = [word for x in settings for word in ("--set", x)]
    flags += ["--experiment", "digits-smoke", "--strategy", "cpu"]
    assert run(*flags, "--workdir", tmp_path, "--report") == 0
    assert f"Report: {tmp_path / 'report.html'}" in capsys.readouterr().out
    assert fitted_temperature(tmp_path) > 0


def test_the_command_that_goes_on_can_be_pasted(workdir):
    command = train_command(workdir.path, "--strategy", "cpu")
    assert f"--workdir '{workdir.path}' --strategy cpu" in command
