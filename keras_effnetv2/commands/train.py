"""`train`: an experiment, from its start or from its last checkpoint."""

import argparse
import os
import shlex
import sys

from absl import logging

from keras_effnetv2.commands.shared.arguments import add_device_arguments
from keras_effnetv2.errors import InputError
from keras_effnetv2.training.experiments.named import RECIPES, get_experiment
from keras_effnetv2.training.experiments.settings import (
    list_settings,
    override,
    to_text,
)

EXAMPLE = (
    "python -m keras_effnetv2 train --experiment digits-smoke --workdir runs/smoke"
)

# Of a process that lost another worker, and begins anew with it: how often so far.
_RESTARTS = "KERAS_EFFNETV2_RESTARTS"
_MAX_RESTARTS = 20
# What a shell reports of a program that SIGTERM ended.
_EXIT_INTERRUPTED = 143


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which experiment, where to, on what, and what to change."""
    parser.add_argument(
        "--experiment", required=True, metavar="NAME", help=", ".join(RECIPES)
    )
    parser.add_argument(
        "--workdir",
        required=True,
        metavar="DIR",
        help="folder for weights, metrics and checkpoints; that of a run that was "
        "stopped goes on with it",
    )
    add_device_arguments(parser)
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="SETTING=VALUE",
        help="change a setting, as in --set optimizer.learning_rate=0.01; may be "
        "repeated",
    )
    parser.add_argument(
        "--list_settings",
        action="store_true",
        help="print the experiment's settings and what it is expected to reach",
    )


def run(args: argparse.Namespace) -> int:
    """Trains; 0 when the experiment is finished."""
    experiment = override(get_experiment(args.experiment), args.set)
    if args.list_settings:
        recipe = RECIPES[args.experiment]
        for name, value in list_settings(experiment).items():
            print(f"{name}={to_text(value)}")
        print(f"\nsource: {recipe.source}\nhardware: {recipe.hardware}")
        print(f"expected: {recipe.expected}\ncommand: {recipe.command}")
        return 0
    from keras_effnetv2.training.runs.loop import Interrupted
    from keras_effnetv2.training.runs.run import train

    try:
        train(experiment, args.workdir, strategy=args.strategy, tpu=args.tpu)
    except Interrupted as stop:
        print(f"\n{stop} Go on with:\n{_command()}", file=sys.stderr)
        return _EXIT_INTERRUPTED
    except Exception as error:
        if not _is_lost_worker(error):
            raise
        _start_again(error)
    return 0


def _command() -> str:
    return shlex.join(["python", "-m", "keras_effnetv2", *sys.argv[1:]])


def _is_lost_worker(error: Exception) -> bool:
    """Whether another worker of this training has gone away."""
    if "TF_CONFIG" not in os.environ:
        return False
    import tensorflow as tf

    lost = (
        tf.errors.UnavailableError,
        tf.errors.AbortedError,
        tf.errors.CancelledError,
        tf.errors.DeadlineExceededError,
    )
    return isinstance(error, lost)


def _start_again(error: Exception) -> None:
    """Becomes a new process, which waits for the lost worker and goes on with it.

    TensorFlow cannot bring a lost worker back into a running process.
    """
    restarts = int(os.environ.get(_RESTARTS, 0)) + 1
    if restarts > _MAX_RESTARTS:
        raise InputError(
            f"Workers were lost {_MAX_RESTARTS} times; this one gives up."
        ) from error
    reason = type(error).__name__
    logging.warning("A worker was lost (%s). Starting again with it.", reason)
    os.environ[_RESTARTS] = str(restarts)
    sys.stdout.flush()
    sys.stderr.flush()
    command = [sys.executable, "-m", "keras_effnetv2", *sys.argv[1:]]
    os.execv(sys.executable, command)
