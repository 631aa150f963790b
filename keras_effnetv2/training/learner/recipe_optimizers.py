"""Optimizers of the recipes.

Source: google/automl, efficientnetv2: `utils.py`; paper: Tan and Le 2021, Section 5.
"""

from collections.abc import Sequence
from typing import Any

import keras
from keras.optimizers.schedules import LearningRateSchedule

from keras_effnetv2.optimizers import (
    LAYER_WISE,
    Adam,
    AdamW,
    RMSpropTF,
)
from keras_effnetv2.training.devices.replicas import sum_before_clipping
from keras_effnetv2.training.experiments.configuration import Experiment
from keras_effnetv2.training.learner.schedules import (
    PerStage,
    build_schedule,
    scale_learning_rate,
)
from keras_effnetv2.training.progressive.stages import Stage, steps_per_epoch

# The released code decays everything except biases and batch norms' scales and offsets.
_NOT_DECAYED = ("beta", "bias", "gamma")


def build_optimizer(
    experiment: Experiment,
    stages: Sequence[Stage],
    num_images: int,
    depths: Sequence[float],
    learning_rate: LearningRateSchedule | None = None,
) -> keras.optimizers.Optimizer:
    """The optimizer of an experiment, with its schedule or another one.

    Args:
        experiment: its settings.
        stages: its plan.
        num_images: number of training images.
        depths: number of blocks between each trainable variable and the classifier, for
            layer-wise decay.
        learning_rate: replaces the experiment's. None: the experiment's.
    """
    settings = experiment.optimizer
    if learning_rate is None:
        learning_rate = _learning_rate(experiment, stages, num_images)
    kind, options = _kind_and_options(experiment)
    if settings.layer_decay != 1:
        kind = LAYER_WISE[kind]
        options["update_scales"] = [settings.layer_decay**depth for depth in depths]
    optimizer = kind(learning_rate, global_clipnorm=settings.global_clipnorm, **options)
    if settings.name == "adamw":
        optimizer.exclude_from_weight_decay(var_names=_NOT_DECAYED)
    if experiment.model.precision == "mixed_float16":
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
    sum_before_clipping(optimizer)
    return optimizer


def peak_learning_rate(experiment: Experiment) -> float:
    """The largest learning rate of an experiment's schedule, for its batch size."""
    settings = experiment.optimizer
    if settings.learning_rate_batch_size is None:
        return settings.learning_rate
    return scale_learning_rate(
        settings.learning_rate,
        experiment.batch_size,
        settings.learning_rate_batch_size,
    )


def _learning_rate(
    experiment: Experiment, stages: Sequence[Stage], num_images: int
) -> Any:
    settings, schedule = experiment.optimizer, experiment.schedule
    num_steps = steps_per_epoch(num_images, experiment.batch_size)
    learning_rate = build_schedule(
        schedule.name,
        peak_learning_rate(experiment),
        steps_per_epoch=num_steps,
        epochs=stages[-1].end_epoch,
        warmup_epochs=schedule.warmup_epochs,
        decay_epochs=schedule.decay_epochs,
        decay_rate=schedule.decay_rate,
    )
    if all(stage.batch_size == experiment.batch_size for stage in stages):
        return learning_rate
    scales = settings.learning_rate_batch_size is not None
    return PerStage(
        learning_rate,
        ends=[
            sum(s.num_steps(num_images) for s in stages[: i + 1])
            for i in range(len(stages))
        ],
        reference_ends=[num_steps * stage.end_epoch for stage in stages],
        factors=[
            stage.batch_size / experiment.batch_size if scales else 1.0
            for stage in stages
        ],
    )


def is_decayed(variable: Any) -> bool:
    """Whether weight decay applies: to kernels only, in the released code."""
    return not any(name in variable.name for name in _NOT_DECAYED)


def add_l2(variables: Sequence[Any], weight_decay: float) -> None:
    """Adds `weight_decay` times half the sum of squares of kernels to the loss.

    Keras adds the regularizers of trainable variables to the loss of the model that
    owns them.
    """
    for variable in variables:
        if is_decayed(variable):
            variable.regularizer = keras.regularizers.L2(weight_decay / 2)


def _kind_and_options(experiment: Experiment) -> tuple[type, dict[str, Any]]:
    settings = experiment.optimizer
    if settings.name == "rmsprop":
        names = ("rho", "momentum", "epsilon")
        return RMSpropTF, {name: getattr(settings, name) for name in names}
    if settings.name == "sgd":
        return keras.optimizers.SGD, {"momentum": settings.momentum}
    options = {"beta_2": settings.beta_2, "epsilon": settings.epsilon}
    if settings.name == "adam":
        return Adam, options
    options["weight_decay"] = experiment.regularization.weight_decay
    return AdamW, options
