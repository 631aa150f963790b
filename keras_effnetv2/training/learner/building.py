"""An experiment's learner, ready to train: networks, loss and optimizer together."""

from collections.abc import Callable, Sequence

import keras

from keras_effnetv2.training.experiments.configuration import Experiment
from keras_effnetv2.training.learner.learner import Learner, create_learner
from keras_effnetv2.training.learner.network import build_network, variable_depths
from keras_effnetv2.training.learner.recipe_optimizers import add_l2, build_optimizer
from keras_effnetv2.training.progressive.stages import Stage


def build_learner(
    experiment: Experiment,
    stages: Sequence[Stage],
    num_images: int,
    *,
    weights: str | None = None,
    class_names: tuple[str, ...] | None = None,
    class_counts: Sequence[int] | None = None,
) -> Learner:
    """The learner of an experiment's network, compiled, with all of its variables.

    Call it in the scope of the devices.

    Args:
        experiment: its settings.
        stages: stages of the training.
        num_images: number of training images.
        weights: initial weights, as for `create_model`.
        class_names: class names of the data.
        class_counts: training images of each class, for losses that depend on them.

    Raises:
        ValueError: as for `build_network`.
    """
    network = build_network(experiment, weights, class_names)
    return compile_learner(
        network,
        # Its weights follow the network's.
        lambda: build_network(experiment, None, class_names),
        experiment,
        stages,
        num_images,
        variable_depths(network),
        class_counts,
    )


def compile_learner(
    network: keras.Model,
    build_averaged: Callable[[], keras.Model],
    experiment: Experiment,
    stages: Sequence[Stage],
    num_images: int,
    depths: Sequence[float],
    class_counts: Sequence[int] | None = None,
) -> Learner:
    """The learner of any network, with the loss and the optimizer of an experiment.

    Args:
        network: a network that returns scores before softmax.
        build_averaged: makes another network of the same shape, for the moving average,
            if the experiment has one.
        experiment: its settings.
        stages: stages of the training.
        num_images: number of training images.
        depths: depth of every trainable variable, as for `build_optimizer`.
        class_counts: as for `create_learner`.
    """
    averaged = build_averaged() if experiment.optimizer.ema_momentum else None
    learner = create_learner(network, averaged, experiment, class_counts)
    learner.head_places = tuple(i for i, depth in enumerate(depths) if depth == 0)
    if experiment.optimizer.head_epochs:
        _forget_head(learner)
    if experiment.optimizer.name != "adamw":
        add_l2(learner.trainable_variables, experiment.regularization.weight_decay)
    optimizer = build_optimizer(experiment, stages, num_images, depths)
    optimizer.build(learner.trainable_variables)
    learner.compile(optimizer)
    return learner


def _forget_head(learner: Learner) -> None:
    """Sets the classifier to zeros, so that it need not unlearn random scores."""
    for place in learner.head_places:
        variable = learner.trainable_variables[place]
        variable.assign(keras.ops.zeros_like(variable))
    if learner.averaged is not None:
        learner.averaged.set_weights(learner.network.get_weights())
