"""Runs of the command line in processes of their own, which can be killed."""

import os
import pathlib
import random
import subprocess
import sys
import time

import h5py
import numpy as np

from tests.conftest import ROOT

# Checkpoints come often, so that what is killed has got somewhere.
SETTINGS = ("loop.checkpoint_steps=3",)


TRAIN = ("-m", "keras_effnetv2", "train")
# The same on two logical devices.
MIRRORED = (str(ROOT / "examples" / "train_mirrored.py"), "--cpu_devices", "2")


def command(workdir, *settings, program=TRAIN, experiment="digits-smoke", options=()):
    parts = [sys.executable, *program, *options]
    parts += ["--experiment", experiment, "--workdir", str(workdir)]
    for setting in settings:
        parts += ["--set", setting]
    return parts


def start(workdir, *settings, environment=None, wrap=lambda parts: parts, **arguments):
    """A training process; its output goes to `log` beside the work folder."""
    log = open(f"{workdir}.log", "ab")  # noqa: SIM115
    return subprocess.Popen(
        wrap(command(workdir, *settings, **arguments)),
        stdout=log,
        stderr=log,
        env=os.environ | (environment or {}),
    )


def finish(workdir, *settings, **arguments):
    """Trains to the end; the last lines of the log where that fails."""
    code = start(workdir, *settings, **arguments).wait()
    text = pathlib.Path(f"{workdir}.log").read_text(errors="replace")
    assert code == 0, text[-3000:]
    return text


def steps_saved(workdir):
    """Step of the newest checkpoint, 0 before the first."""
    names = pathlib.Path(workdir, "checkpoints").glob("step_*.safetensors")
    return max((int(path.stem.partition("_")[2]) for path in names), default=0)


def kill_at_random(process, workdir, generator=random):
    """SIGKILLs a training some time after it has got further."""
    before = steps_saved(workdir)
    while process.poll() is None and steps_saved(workdir) <= before:
        time.sleep(0.02)
    time.sleep(generator.uniform(0, 3))
    process.kill()
    process.wait()


def final_weights(workdir):
    """Every array of the weights that a finished run has left, by name."""
    arrays = {}

    def take(name, item):
        if isinstance(item, h5py.Dataset):
            arrays[name] = np.array(item)

    with h5py.File(pathlib.Path(workdir, "final.weights.h5")) as file:
        file.visititems(take)
    assert arrays
    return arrays


def assert_same_bits(workdir, other):
    found, wanted = final_weights(workdir), final_weights(other)
    assert found.keys() == wanted.keys()
    differing = [
        name for name in wanted if found[name].tobytes() != wanted[name].tobytes()
    ]
    assert not differing, f"{len(differing)} of {len(wanted)} differ: {differing[:3]}"
