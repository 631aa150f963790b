"""Workers hear of the chief's choice, and of each other's failures."""

import json
import os
import pathlib
import subprocess
import sys

import pytest

from tests.conftest import ROOT
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


@pytest.mark.parametrize(
    "backend", ["tensorflow", pytest.param("jax", marks=pytest.mark.slow)]
)
def test_workers_agree(backend):
    if backend == "jax":
        pytest.importorskip("jax", minversion="0.5", reason="JAX 0.4.30 joins no CPUs")
    ours = {**os.environ, "KERAS_BACKEND": backend, "PYTHONPATH": str(ROOT)}
    processes = [
        subprocess.Popen(
            [sys.executable, str(CHECKS)],
            env=ours | theirs,
            stdout=subprocess.PIPE,
            text=True,
        )
        for theirs in environments(backend, free_addresses(2))
    ]
    chief, other = (x.communicate()[0].splitlines()[-1] for x in processes)
    assert chief.startswith("FileError Worker 1 of 2 has failed")
    assert other == "KeyError 'mine'"
