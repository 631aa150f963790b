"""Batch norms over replicas: together they are one, in groups each group is one."""

import pathlib
import subprocess
import sys

CHECKS = pathlib.Path(__file__).with_name("replica_checks.py")


def test_replicas_that_share_statistics_are_as_one():
    command = [sys.executable, str(CHECKS)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.stdout.strip() == "passed", result.stderr
