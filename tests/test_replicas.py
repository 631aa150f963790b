"""Two replicas with synchronized batch norms train as one does on the whole batch."""

import pathlib
import subprocess
import sys

CHECKS = pathlib.Path(__file__).with_name("replica_checks.py")


def test_two_replicas_train_as_one():
    command = [sys.executable, str(CHECKS)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.stdout.strip() == "passed", result.stderr
