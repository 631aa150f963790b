"""What can be shown of training on a TPU where there is none."""

import pathlib
import subprocess
import sys

import pytest

CHECKS = pathlib.Path(__file__).with_name("xla_checks.py")


@pytest.mark.parametrize(
    "check", ["lower", pytest.param("run", marks=pytest.mark.slow)]
)
def test_xla_takes_the_step_of_every_stage_for_static_shapes(check):
    command = [sys.executable, str(CHECKS), check]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.stdout.endswith("passed\n"), result.stderr[-3000:]


def test_training_on_a_tpu_that_is_not_there_says_what_is_needed(tmp_path):
    command = [sys.executable, "-m", "keras_effnetv2", "train"]
    command += ["--experiment", "digits-smoke", "--workdir", str(tmp_path / "run")]
    command += ["--strategy", "tpu", "--tpu", "local"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 2
    (line,) = [x for x in result.stderr.splitlines() if x.startswith("error:")]
    assert "TPU" in line
    assert not (tmp_path / "run").exists()
