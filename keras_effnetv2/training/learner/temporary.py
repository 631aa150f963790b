"""A learner that is thrown away, to time or to sweep a few steps of an experiment."""

import math

from keras_effnetv2.training.devices.strategies import Devices
from keras_effnetv2.training.experiments.configuration import Experiment
from keras_effnetv2.training.learner.building import build_learner
from keras_effnetv2.training.learner.learner import Learner
from keras_effnetv2.training.progressive.feeding import Feed
from keras_effnetv2.training.progressive.learning import Segment
from keras_effnetv2.training.progressive.stages import steps_per_epoch


def temporary_learner(
    experiment: Experiment,
    feed: Feed,
    devices: Devices,
    *,
    stage: int,
    num_steps: int,
    weights: str | None,
) -> tuple[Learner, Segment]:
    """A learner, and as many epochs of a stage as some steps take.

    Args:
        experiment: the experiment, whose run this does not touch.
        feed: the training images.
        devices: devices to train on.
        stage: index of the stage; negative from the end.
        num_steps: minimum number of steps.
        weights: initial weights, as for `build_learner`.
    """
    source = feed.source
    stages = experiment.stages(source.num_examples)
    with devices.scope():
        learner = build_learner(
            experiment,
            stages,
            source.num_examples,
            weights=weights,
            class_names=source.class_names,
            class_counts=source.class_counts,
        )
    per_epoch = steps_per_epoch(source.num_examples, stages[stage].batch_size)
    num_epochs = math.ceil(num_steps / per_epoch)
    return learner, Segment(stages[stage], 0, num_epochs, 0, per_epoch)
