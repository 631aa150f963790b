"""Workers hear of the chief's choice, and of each other's failures."""

import json
import os
import pathlib
import subprocess
import sys

import pytest

from tests import forked
from tests.training.devices.test_workers import free_addresses

CHECKS = pathlib.Path(__file__).with_name("agreement_checks.py")


def environments(backend, addresses):
    """Of both workers."""
    for index in range(2):
        if backend == "jax":
            yield {
                "JAX_PLATFORMS": "cpu",
                "KERAS_DISTRIBUTION_JOB_ADDRESSES": addresses[0],
                "KERAS_DISTRIBUTION_NUM_PROCESSES": "2",
                "KERAS_DISTRIBUTION_PROCESS_ID": str(index),
            }
        else:
            task = {"type": "worker", "index": index}
            config = {"cluster": {"worker": addresses}, "task": task}
            yield {"TF_CONFIG": json.dumps(config)}


def start_anew(arguments, log, environment):
    environment = {**os.environ, "KERAS_BACKEND": "jax", **environment}
    with log.open("wb") as file:
        return subprocess.Popen(
            [sys.executable, *arguments], env=environment, stdout=file
        )


@pytest.mark.parametrize(
    "backend", ["tensorflow", pytest.param("jax", marks=pytest.mark.slow)]
)
def test_workers_agree(backend, tmp_path):
    if backend == "jax":
        pytest.importorskip("jax", minversion="0.5", reason="JAX 0.4.30 joins no CPUs")
    start = start_anew if backend == "jax" else forked.Process
    settings = environments(backend, free_addresses(2))
    logs = [tmp_path / name for name in ("chief", "other")]
    processes = [start([CHECKS], *x) for x in zip(logs, settings, strict=True)]
    assert [process.wait() for process in processes] == [0, 0]
    chief, other = (log.read_text().splitlines()[-1] for log in logs)
    assert chief.startswith("FileError Worker 1 of 2 has failed")
    assert other == "KeyError 'mine'"
