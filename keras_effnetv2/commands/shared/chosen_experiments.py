"""The experiment that `train` and `plan` take, by its flags."""

import argparse

from keras_effnetv2.errors import InputError
from keras_effnetv2.paths import as_path, is_remote
from keras_effnetv2.training.experiments.configuration import Experiment
from keras_effnetv2.training.experiments.named import RECIPES, get_experiment
from keras_effnetv2.training.experiments.settings import override


def find_experiment(args: argparse.Namespace) -> Experiment:
    """The run's own experiment, if the work folder has one, else `--experiment`.

    The settings of `--set` are applied.

    Raises:
        ValueError: there is no experiment, or the name is unknown.
    """
    from keras_effnetv2.training.runs.workdir import Workdir, read_experiment

    named = None if args.experiment is None else _named(args.experiment)
    if args.workdir is not None:
        workdir = Workdir(as_path(args.workdir))
        if workdir.config.is_file() and (named is None or workdir.has_begun()):
            own = read_experiment(args.workdir)
            named = own if named is None or named.name == own.name else named
    if named is None:
        where = f"{args.workdir} has no run yet. " if args.workdir else ""
        raise InputError(
            f"{where}Say what to train: --experiment NAME, one of {', '.join(RECIPES)}."
        )
    return override(named, args.set)


def _named(name: str) -> Experiment:
    from keras_effnetv2.training.runs.workdir import read_experiment

    is_workdir = is_remote(name) or as_path(name).is_dir()
    return read_experiment(name) if is_workdir else get_experiment(name)
