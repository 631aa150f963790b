"""Runs that are made longer, or shorter, after they have begun."""

import dataclasses
import shlex

from keras_effnetv2.errors import InputError
from keras_effnetv2.paths import AnyPath
from keras_effnetv2.training.experiments.configuration import Experiment
from keras_effnetv2.training.progressive.stages import Stage
from keras_effnetv2.training.runs.checkpoints import BEST, Position

# What says how long an experiment trains.
LENGTH = ("epochs", "min_steps")


def check_length(
    wanted: Experiment,
    found: Experiment,
    position: Position,
    num_images: int,
    path: AnyPath,
) -> None:
    """Refuses another length where it would not go on from what is trained.

    A run may get another length if the epochs that it has trained are also the first
    ones of a run of that length: with the schedules `"constant"` and `"exponential"`,
    and one stage, or stages that the new plan begins alike. Then it ends with the same
    weights as a run that had that length from its start. Cosines fall to 0 at the end
    of the epochs that were planned, and other stages divide other epochs.

    Args:
        wanted: the experiment of the new length.
        found: the same of the length so far.
        position: where the run is.
        num_images: to train on.
        path: of its work folder, for messages.

    Raises:
        ValueError: it cannot be so long.
    """
    stages, before = wanted.stages(num_images), found.stages(num_images)
    epochs, epochs_before = stages[-1].end_epoch, before[-1].end_epoch
    if epochs == epochs_before or not position.step:
        return
    begun = position.epoch + bool(position.epoch_step)
    if begun > epochs:
        raise InputError(
            f"The run in {path} is in epoch {begun}, or past it. Received: "
            f"epochs={epochs}. Set epochs to {begun} or more."
        )
    if wanted.schedule.name == "cosine":
        raise InputError(
            f"The run in {path} cannot be extended to epoch {epochs}: its learning "
            f"rate's cosine is made for {epochs_before} epochs. "
            f"{_instead(path, epochs)}"
        )
    if _first_epochs(stages, begun) != _first_epochs(before, begun):
        raise InputError(
            f"The run in {path} cannot be extended to epoch {epochs}: its "
            f"{len(stages)} stages divide {epochs_before} epochs, and of {epochs} "
            f"those that are trained would have been others. {_instead(path, epochs)}"
        )


def _first_epochs(stages: tuple[Stage, ...], num: int) -> list[Stage]:
    """What each of the first epochs is trained with."""
    alike = (
        [dataclasses.replace(stage, first_epoch=0, num_epochs=1)] * stage.num_epochs
        for stage in stages
    )
    return sum(alike, [])[:num]


def _instead(path: AnyPath, epochs: int) -> str:
    words = ["--experiment", path, "--workdir", f"{path}-longer"]
    words += ["--set", f"epochs={epochs}"]
    weights = path / "checkpoints" / BEST
    if not weights.is_file():
        weights = path / "final.weights.h5"  # Of a run without evaluations before.
    words += ["--set", f"model.weights={weights}"]
    command = shlex.join(map(str, ["python", "-m", "keras_effnetv2", "train", *words]))
    return f"Begin a new run with its weights: {command}"
