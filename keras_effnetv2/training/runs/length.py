"""Runs whose length changes after they have begun."""

import dataclasses
import shlex

from keras_effnetv2.errors import InputError
from keras_effnetv2.paths import AnyPath
from keras_effnetv2.training.experiments.configuration import Experiment
from keras_effnetv2.training.progressive.stages import Stage, steps_per_epoch
from keras_effnetv2.training.runs.checkpoints import BEST, Position

# The settings of an experiment's length.
LENGTH = ("epochs", "min_steps")


def check_length(
    wanted: Experiment,
    found: Experiment,
    position: Position,
    num_images: int,
    path: AnyPath,
) -> None:
    """Refuses a new length that would not continue what is already trained.

    A run may change its length if the epochs already trained are also the first ones of
    a run of the new length: with the schedules `"constant"` and `"exponential"`, and
    with one stage, or stages that begin alike in the new plan. Then it ends with the
    same weights as a run that had the new length from the start. A cosine falls to 0 at
    the end of the planned epochs, and several stages divide the planned epochs.

    Args:
        wanted: the experiment with the new length.
        found: the experiment with the length so far.
        position: the position of the run.
        num_images: number of training images.
        path: its work folder, for messages.

    Raises:
        ValueError: the run cannot have that length.
    """
    stages, before = wanted.stages(num_images), found.stages(num_images)
    epochs, epochs_before = stages[-1].end_epoch, before[-1].end_epoch
    if epochs == epochs_before or not position.step:
        return
    begun = position.epoch + bool(position.epoch_step)
    if begun > epochs:
        raise InputError(
            f"The run in {path} is already in epoch {begun}, or past it. Received: "
            f"epochs={epochs}. Set epochs to {begun} or more."
        )
    if wanted.schedule.name == "cosine":
        raise InputError(
            f"The run in {path} cannot be extended to epoch {epochs}: its learning "
            f"rate's cosine was planned for {epochs_before} epochs. "
            f"{_instead(path, epochs)}"
        )
    if _first_epochs(stages, begun) != _first_epochs(before, begun):
        raise InputError(
            f"The run in {path} cannot be extended to epoch {epochs}: its "
            f"{len(stages)} stages divide {epochs_before} epochs, and with {epochs} "
            f"the trained epochs would have been different. {_instead(path, epochs)}"
        )


def check_images(
    experiment: Experiment, position: Position, num_images: int, path: AnyPath
) -> None:
    """Refuses to continue on another number of images, with which all would differ.

    Args:
        experiment: the experiment that has begun.
        position: the position of the run.
        num_images: number of training images now.
        path: its work folder, for messages.

    Raises:
        ValueError: with so many images, its epochs would have had other steps.
    """
    stages = experiment.stages(num_images)
    steps = position.epoch_step
    for stage in _first_epochs(stages, position.epoch):
        steps += steps_per_epoch(num_images, stage.batch_size)
    if steps != position.step and position.epoch < stages[-1].end_epoch:
        raise InputError(
            f"The run in {path} has trained {position.step:,} steps; with the "
            f"{num_images:,} training images that are there now it would have been "
            f"{steps:,}. Put back the images it began with, or start a new run in "
            "another --workdir."
        )


def _first_epochs(stages: tuple[Stage, ...], num: int) -> list[Stage]:
    """The settings of each of the first epochs."""
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
        weights = path / "final.weights.h5"  # For a run without evaluations.
    words += ["--set", f"model.weights={weights}"]
    command = shlex.join(map(str, ["python", "-m", "keras_effnetv2", "train", *words]))
    return f"Start a new run with its weights: {command}"
