"""What can be shown of training on a TPU where there is none."""

import pytest

from tests import forked
from tests.training import run_processes


@pytest.mark.long
@pytest.mark.parametrize(
    "check", ["lower", pytest.param("run", marks=pytest.mark.slow)]
)
def test_xla_takes_the_step_of_every_stage_for_static_shapes(check, tmp_path):
    command = ["-m", "tests.training.devices.xla_checks", check]
    assert forked.output(command, tmp_path).endswith("passed\n")


def test_training_on_a_tpu_that_is_not_there_says_what_is_needed(tmp_path):
    options = ("--strategy", "tpu", "--tpu", "local")
    process = run_processes.start(tmp_path / "run", options=options)
    assert process.wait() == 2
    (line,) = run_processes.errors_in(process.log)
    assert "TPU" in line
    assert not (tmp_path / "run").exists()
