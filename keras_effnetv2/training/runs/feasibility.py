"""Detects, before training begins, that it would fail."""

from collections.abc import Sequence

from keras_effnetv2.backends import require_backend
from keras_effnetv2.errors import InputError
from keras_effnetv2.training.devices.strategies import Devices
from keras_effnetv2.training.experiments.configuration import Experiment
from keras_effnetv2.training.progressive.stages import Stage

# Side in pixels; anything less is a typing error.
_SMALLEST_IMAGE = 8
# Strategies whose collectives fail within Keras's loop over steps.
_STEP_BY_STEP = ("mirrored", "multiworker")


def check(experiment: Experiment, stages: Sequence[Stage], devices: Devices) -> None:
    """Refuses experiments that would fail later.

    Raises:
        ValueError: a warm-up longer than the training, batch sizes that do not divide,
            too small images, or several steps at once where that fails.
    """
    if experiment.loop.steps_per_execution > 1 and devices.name in _STEP_BY_STEP:
        raise InputError(
            "Several steps at once run on one device, on TPUs and on JAX. Received: "
            f"loop.steps_per_execution={experiment.loop.steps_per_execution} with the "
            f"strategy {devices.name}. Leave it at 1."
        )
    if experiment.optimizer.head_epochs:
        require_backend("Epochs of the classifier alone need", "tensorflow")
    warmup, epochs = experiment.schedule.warmup_epochs, stages[-1].end_epoch
    if warmup > epochs:
        raise InputError(
            f"The learning rate warms up for {warmup:g} epochs, but training has only "
            f"{epochs}. Set schedule.warmup_epochs to less, or epochs to more."
        )
    pieces = experiment.optimizer.accumulation_steps
    for stage in stages:
        if stage.batch_size % (devices.num_replicas * pieces):
            raise InputError(
                f"A batch of {stage.batch_size} images cannot be divided into "
                f"{devices.num_replicas} devices times {pieces} pieces "
                "(optimizer.accumulation_steps). Choose a multiple of "
                f"{devices.num_replicas * pieces} as batch_size."
            )
    smallest = min(experiment.eval_size, *(stage.image_size for stage in stages))
    if smallest < _SMALLEST_IMAGE:
        raise InputError(
            f"Images need at least {_SMALLEST_IMAGE} pixels per side. Received: "
            f"{smallest}, in progressive.image_size or model.eval_size."
        )
    group = experiment.model.bn_group_size
    if 1 < group < devices.num_replicas and devices.num_replicas % group:
        raise InputError(
            f"{devices.num_replicas} devices cannot be divided into groups of {group} "
            "that share batch statistics. Choose another model.bn_group_size."
        )


def check_class_counts(
    experiment: Experiment, class_counts: Sequence[int] | None
) -> None:
    """Refuses class weights if the classes of images are unknown before reading them.

    Args:
        experiment: its settings.
        class_counts: training images of each class; None if unknown.

    Raises:
        ValueError: they are needed and unknown.
    """
    if experiment.regularization.class_weights == "balanced" and class_counts is None:
        raise InputError(
            "Class weights need a source that knows the classes of all its images: "
            "folder, csv, idx or digits. Received: regularization.class_weights="
            f"balanced with data.source={experiment.data.source}. Set it to none."
        )
