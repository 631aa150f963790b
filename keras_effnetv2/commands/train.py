"""`train`: trains an experiment, from the start or from its last checkpoint."""

import argparse
import os
import sys

from absl import logging

from keras_effnetv2.commands.shared.arguments import (
    add_device_arguments,
    add_log_argument,
    add_set_argument,
)
from keras_effnetv2.commands.shared.chosen_experiments import find_experiment
from keras_effnetv2.errors import InputError, Interrupted
from keras_effnetv2.training.experiments.configuration import Experiment
from keras_effnetv2.training.experiments.named import RECIPES
from keras_effnetv2.training.experiments.settings import list_settings, to_text

EXAMPLE = (
    "python -m keras_effnetv2 train --experiment digits-smoke --workdir runs/smoke"
)

# How often this process has restarted after the loss of another worker.
_RESTARTS = "KERAS_EFFNETV2_RESTARTS"
_MAX_RESTARTS = 20


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the experiment, the work folder, the devices and changes of settings."""
    parser.add_argument(
        "--experiment",
        metavar="NAME",
        help=f"of a new run: {', '.join(RECIPES)}; or the work folder of another run, "
        "to start with its settings",
    )
    parser.add_argument(
        "--workdir",
        metavar="DIR",
        help="folder for weights, metrics and checkpoints, also in a bucket (gs://); "
        "the folder of an existing run resumes it, without --experiment",
    )
    add_device_arguments(parser)
    add_set_argument(
        parser,
        "change a setting, as in --set optimizer.learning_rate=0.01; may be "
        "repeated; for a run that has begun, only settings of loop, and epochs, to "
        "train longer",
    )
    add_log_argument(parser)
    parser.add_argument(
        "--data_service",
        action="append",
        default=[],
        metavar="HOST:PORT",
        help="take batches from a process of the command data_service; may be "
        "repeated: each process makes some rows of every batch",
    )
    parser.add_argument(
        "--list_settings",
        action="store_true",
        help="print the settings of the experiment or the run, and what it is expected "
        "to reach",
    )
    parser.add_argument(
        "--report",
        action="store_true",
        help="at the end, write report.html to the work folder, with the network's "
        "mistakes, and keep the temperature that calibrates it",
    )


def run(args: argparse.Namespace) -> int:
    """Trains; returns 0 when the experiment is finished."""
    experiment = find_experiment(args)
    if args.list_settings:
        _print_settings(experiment)
        return 0
    if args.workdir is None:
        raise InputError("Say where to train: --workdir DIR, a new folder.")
    from keras_effnetv2.training.runs.run import train
    from keras_effnetv2.training.runs.workdir import train_command

    if args.report:
        from keras_effnetv2.reports.writing import check_modules

        check_modules()  # Before hours of training.
    devices = {"strategy": args.strategy, "tpu": args.tpu}
    try:
        train(
            experiment,
            args.workdir,
            log=args.log,
            data_service=args.data_service,
            **devices,
        )
    except Interrupted as stop:
        options = [] if args.strategy == "auto" else ["--strategy", args.strategy]
        options += ["--tpu", args.tpu] if args.tpu else []
        for address in args.data_service:
            options += ["--data_service", address]
        command = train_command(args.workdir, *options)
        print(f"\n{stop} Resume with:\n{command}", file=sys.stderr)
        return stop.exit_code
    except Exception as error:
        if not _is_lost_worker(error):
            raise
        _start_again(error)
    if args.report:
        _report(args)
    return 0


def _report(args: argparse.Namespace) -> None:
    """Writes the report, on one worker only."""
    from keras_effnetv2.reports import write_report
    from keras_effnetv2.training.devices.strategies import open_devices

    if open_devices(args.strategy, args.tpu).is_chief:
        print(f"Report: {write_report(args.workdir)}", flush=True)


def _print_settings(experiment: Experiment) -> None:
    for name, value in list_settings(experiment).items():
        print(f"{name}={to_text(value)}")
    recipe = RECIPES.get(experiment.name)
    if recipe is not None:
        print(f"\nsource: {recipe.source}\nhardware: {recipe.hardware}")
        print(f"expected: {recipe.expected}\ncommand: {recipe.command}")


def _is_lost_worker(error: Exception) -> bool:
    """Whether another worker of this training run was lost."""
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
    """Becomes a new process, which waits for the lost worker and resumes.

    TensorFlow cannot bring a lost worker back into a running process.
    """
    restarts = int(os.environ.get(_RESTARTS, 0)) + 1
    if restarts > _MAX_RESTARTS:
        raise InputError(
            f"Workers were lost {_MAX_RESTARTS} times; this one gives up."
        ) from error
    reason = type(error).__name__
    logging.warning("A worker was lost (%s). Restarting to wait for it.", reason)
    os.environ[_RESTARTS] = str(restarts)
    sys.stdout.flush()
    sys.stderr.flush()
    command = [sys.executable, "-m", "keras_effnetv2", *sys.argv[1:]]
    os.execv(sys.executable, command)
