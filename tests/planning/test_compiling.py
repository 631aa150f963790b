"""Steps compiled for TPUs by libtpu, which has an environment of its own."""

import importlib.util
import os
import subprocess

import pytest

from keras_effnetv2.planning import plan
from tests.commands.running import run_command
from tests.conftest import ROOT
from tests.tiny_experiments import tiny_experiment

# Made by the Makefile: libtpu, and the packages of .venv.
PYTHON = ROOT / ".venv-plan/bin/python"
needs_libtpu = pytest.mark.skipif(
    not PYTHON.exists(), reason="needs .venv-plan: make .venv-plan/installed"
)
SMOKE = ("plan", "--experiment", "digits-smoke", "--quick")


def run(*arguments):
    return subprocess.run(
        [PYTHON, "-m", *arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )


def check(what):
    result = run("tests.planning.compile_checks", what)
    assert result.stdout.strip().endswith("passed"), result.stdout + result.stderr


@pytest.mark.long
@needs_libtpu
def test_a_step_is_compiled_for_tpus_that_are_not_here():
    check("quick")


@needs_libtpu
@pytest.mark.slow
def test_the_largest_batch_is_one_that_was_compiled():
    check("whole")


@pytest.mark.long
@needs_libtpu
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("--device", "v5e:4x4", "--set", "batch_size=40"),
            "A batch of 40 images cannot be divided into 16 devices",
        ),
        pytest.param(
            ("--device", "v5e:1x3", "--set", "batch_size=3"),
            "libtpu knows no slice v5e:1x3: ",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_what_cannot_be_trained_is_refused_before_it_is_compiled(arguments, message):
    result = run("keras_effnetv2", *SMOKE, *arguments)
    assert result.returncode == 2 and not result.stdout
    (line,) = result.stderr.splitlines()
    assert line.startswith(f"error: {message}")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--device", "v9:2x2"], "the chips are v4, v5e, v5p, v6e"),
        (["--device", "v5e:2"], "has 2 numbers of chips"),
        (
            ["--device", "v5e:2x2", "--set", "data.source=folder"],
            "Set it: --set data.num_classes=NUMBER",
        ),
    ],
)
def test_what_no_compiler_is_needed_to_refuse_is_refused_at_once(
    capsys, arguments, message
):
    assert run_command(*SMOKE, *arguments) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ") and message in line


@pytest.mark.skipif(
    importlib.util.find_spec("libtpu") is not None, reason="libtpu is there"
)
def test_without_libtpu_the_extra_is_named():
    with pytest.raises(ImportError, match=r"needs libtpu: .*keras_effnetv2\[plan\]"):
        plan(tiny_experiment(), "v5e:2x2")
