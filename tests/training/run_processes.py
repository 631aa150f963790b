"""Runs of the command line in processes of their own, which can be killed."""

import os
import pathlib
import random
import subprocess
import sys
import time

import h5py
import numpy as np

from tests import forked
from tests.conftest import ROOT
from tests.tiny_networks import NANO_SETTINGS

# Checkpoints come often, so that what is killed has got somewhere.
SETTINGS = ("loop.checkpoint_steps=3",)
# Two stages of six steps: little beside the start of the process.
QUICK = (
    "loop.checkpoint_steps=1",
    *NANO_SETTINGS,
    "data.train_split=train[:192]",
    "data.num_train_images=192",
    "augmentation.policy=none",
    "batch_size=32",
    "progressive.num_stages=2",
    "epochs=2",
)

TRAIN = ("-m", "keras_effnetv2", "train")
# The same on two logical devices.
MIRRORED = (str(ROOT / "examples" / "train_mirrored.py"), "--cpu_devices", "2")


def of_records(root):
    """Settings to train on what `write_imagenet` has written, each file a chunk."""
    return (
        *(x for x in QUICK if not x.startswith("data.")),
        "data.source=imagenet_tfrecord",
        f"data.directory={root}",
        "data.train_split=train+minival",
        "data.num_classes=5",
        "data.cache=false",
        "data.eval_split=validation",
        "data.order=chunks",
        "data.window_chunks=8",
        "batch_size=40",
    )


def command(workdir, *settings, program=TRAIN, experiment="digits-smoke", options=()):
    """Arguments of Python."""
    parts = [*program, *options]
    parts += ["--experiment", experiment, "--workdir", str(workdir)]
    for setting in settings:
        parts += ["--set", setting]
    return parts


def start(workdir, *settings, environment=None, **arguments):
    """A training process; its output goes to `log` beside the work folder."""
    parts = command(workdir, *settings, **arguments)
    return forked.Process(parts, f"{workdir}.log", environment)


def start_anew(workdir, *settings, environment=None, wrap=lambda x: x, **arguments):
    """The same in a new Python, for other backends and containers."""
    parts = [sys.executable, *command(workdir, *settings, **arguments)]
    with open(f"{workdir}.log", "ab") as log:
        environment = os.environ | (environment or {})
        return subprocess.Popen(wrap(parts), stdout=log, stderr=log, env=environment)


def finish(workdir, *settings, begin=start, **arguments):
    """Trains to the end; the last lines of the log where that fails."""
    code = begin(workdir, *settings, **arguments).wait()
    text = pathlib.Path(f"{workdir}.log").read_text(errors="replace")
    assert code == 0, text[-3000:]
    return text


def errors_in(log):
    """Lines that say what a user has done wrong."""
    lines = pathlib.Path(log).read_text(errors="replace").splitlines()
    return [line for line in lines if line.startswith("error:")]


def steps_saved(workdir):
    """Step of the newest checkpoint, 0 before the first."""
    names = pathlib.Path(workdir, "checkpoints").glob("step_*.safetensors")
    return max((int(path.stem.partition("_")[2]) for path in names), default=0)


def kill_at_random(process, workdir, generator=random, longest=3.0):
    """SIGKILLs a training up to `longest` seconds after it has got further."""
    before = steps_saved(workdir)
    while process.poll() is None and steps_saved(workdir) <= before:
        time.sleep(0.02)
    time.sleep(generator.uniform(0, longest))
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
