"""Progressive learning for any compiled Keras model: stage after stage in `fit`.

stages = plan_stages(epochs=30, num_stages=3, image_size=Ramp(64, 128), batch_size=32,
                     dropout_rate=Ramp(0.1, 0.3))
ProgressiveLearning(stages).fit(model, lambda stage: dataset_of(stage.image_size))

Reference: Tan and Le 2021, https://arxiv.org/abs/2104.00298, Algorithm 1.
"""

import contextlib
import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import keras

from keras_effnetv2.errors import InputError
from keras_effnetv2.layers import StochasticDepth
from keras_effnetv2.layers.nesting import inner_layers
from keras_effnetv2.networks.functional import walk_layers
from keras_effnetv2.training.progressive.shared_callbacks import SharedCallbacks
from keras_effnetv2.training.progressive.stages import Stage


@dataclasses.dataclass(frozen=True)
class Segment:
    """A part of a stage that one `fit` trains: the whole stage, except after a restart.

    Attributes:
        stage: the stage.
        first_epoch: epochs trained before, counted from the start of the training.
        end_epoch: epochs trained after it.
        first_step: steps of its first epoch that were trained before.
        num_steps: steps of each of its epochs.
    """

    stage: Stage
    first_epoch: int
    end_epoch: int
    first_step: int
    num_steps: int


def plan_segments(
    stages: Sequence[Stage],
    steps_per_epoch: Callable[[Stage], int],
    first_epoch: int = 0,
    first_step: int = 0,
) -> Iterator[Segment]:
    """The segments left to train from a step of an epoch on.

    The rest of a begun epoch is a segment of its own, since all epochs of a `fit` have
    the same length.
    """
    for stage in stages:
        steps = steps_per_epoch(stage)
        epoch = max(stage.first_epoch, first_epoch)
        if first_step and epoch == first_epoch and epoch < stage.end_epoch:
            yield Segment(stage, epoch, epoch + 1, first_step, steps - first_step)
            epoch += 1
        if epoch < stage.end_epoch:
            yield Segment(stage, epoch, stage.end_epoch, 0, steps)


def split_segments(segments: Iterator[Segment], epoch: int) -> Iterator[Segment]:
    """The same segments, split at the start of an epoch."""
    for segment in segments:
        if segment.first_epoch < epoch < segment.end_epoch:
            yield dataclasses.replace(segment, end_epoch=epoch)
            segment = dataclasses.replace(segment, first_epoch=epoch)
        yield segment


class ProgressiveLearning:
    """Trains a model through stages of growing images and regularization.

    Weights, optimizer and schedule carry over from stage to stage. Each stage sets its
    rates on the model: `dropout_rate` on every `keras.layers.Dropout`, `drop_path_rate`
    on every `StochasticDepth`, growing with depth. Its other values (image size,
    RandAugment, MixUp, CutMix, batch size) are for the data.

    Args:
        stages: from `plan_stages`.

    Raises:
        ValueError: no stages, or stages that are not consecutive.
    """

    def __init__(self, stages: Sequence[Stage]) -> None:
        self.stages = tuple(stages)
        ends = [0, *(stage.end_epoch for stage in self.stages)]
        starts = [stage.first_epoch for stage in self.stages]
        if not starts or starts != ends[:-1]:
            raise InputError(
                "Stages must be consecutive from epoch 0 on, as plan_stages makes "
                f"them. Received: first epochs {starts}, end epochs {ends[1:]}."
            )

    def fit(
        self,
        model: keras.Model,
        make_data: Callable[[Stage], Any],
        *,
        steps_per_epoch: int | None = None,
        validation_data: Any = None,
        callbacks: keras.callbacks.Callback
        | Sequence[keras.callbacks.Callback]
        | None = None,
        verbose: str | int = "auto",
    ) -> dict[str, list[float]]:
        """Trains `model` through all stages.

        Callbacks see one `fit` over the epochs of all stages: they begin and end once,
        may stop the training, and `keras.callbacks.BackupAndRestore` resumes it in any
        stage. Their `params["steps"]` is that of the stage.

        Args:
            model: a compiled model, whose input has free height and width.
            make_data: makes the training data of a stage, for `model.fit`: images of
                `stage.image_size` with the stage's regularization. If training resumes,
                it is also called for earlier stages.
            steps_per_epoch: needed if the data is infinite.
            validation_data: as for `model.fit`; the same in all stages.
            callbacks: as for `model.fit`.
            verbose: as for `model.fit`.

        Returns:
            The metrics of every epoch by name, as in `History.history`.

        Raises:
            ValueError: a dropout rate for a model that has no dropout.
        """
        shared = SharedCallbacks(model, callbacks, verbose, self.stages)
        for stage in self.stages:
            data = make_data(stage)
            shared.enter(stage, data, steps_per_epoch)
            fit_segment(
                model,
                model,
                Segment(stage, stage.first_epoch, stage.end_epoch, 0, 0),
                data,
                is_last=stage is self.stages[-1],
                steps_per_epoch=steps_per_epoch,
                validation_data=validation_data,
                callbacks=shared,
            )
            if model.stop_training:
                break
        return model.history.history


def fit_segment(
    model: keras.Model,
    network: keras.Model,
    segment: Segment,
    data: Any,
    *,
    is_last: bool,
    **arguments: Any,
) -> keras.callbacks.History:
    """One call of `model.fit`, with the stage's rates on `network` within the model."""
    if set_rates(network, segment.stage):
        # A traced function keeps the rates that it was traced with.
        model.train_function = None
    with _average_kept(model, is_last):
        return model.fit(
            data,
            initial_epoch=segment.first_epoch,
            epochs=segment.end_epoch,
            shuffle=not _is_dataset(data),  # Keras would warn that it cannot.
            **arguments,
        )


def _is_dataset(data: Any) -> bool:
    """Whether `data` is a TensorFlow dataset, distributed or not."""
    return hasattr(data, "element_spec")


def set_rates(model: keras.Model, stage: Stage) -> bool:
    """Sets the dropout and stochastic-depth rates of `stage` on `model`.

    Returns:
        Whether any rate has changed.

    Raises:
        ValueError: the model has no such layer, or one whose rate cannot be raised from
            0.
    """
    rates: list[tuple[Any, float]] = []
    if stage.dropout_rate is not None:
        layers = [x for x in walk_layers(model) if isinstance(x, keras.layers.Dropout)]
        for layer in _some(layers, model, "dropout_rate", "keras.layers.Dropout"):
            if stage.dropout_rate and not hasattr(layer, "seed_generator"):
                raise InputError(
                    f"The dropout rate of layer {layer.name!r} cannot be raised from "
                    "0: Keras gives it a random generator only if its rate is above "
                    "0. Build the model with the largest rate that it will have."
                )
            rates.append((layer, stage.dropout_rate))
    if stage.drop_path_rate is not None:
        layers = [x for x in inner_layers(model) if isinstance(x, StochasticDepth)]
        layers = _some(layers, model, "drop_path_rate", "StochasticDepth")
        for index, layer in enumerate(layers):
            rates.append((layer, stage.drop_path_rate * index / len(layers)))
    changed = [(layer, rate) for layer, rate in rates if layer.rate != rate]
    for layer, rate in changed:
        layer.rate = rate
    return bool(changed)


def _some(layers: list, model: keras.Model, field: str, kind: str) -> list:
    if not layers:
        raise InputError(
            f"The stages set {field}, but the model {model.name!r} has no {kind} "
            f"layer. Plan the stages without {field}."
        )
    return layers


@contextlib.contextmanager
def _average_kept(model: keras.Model, is_last: bool) -> Iterator[None]:
    """Keeps `fit` from replacing the weights with Keras's moving average too early.

    Keras does so at the end of every `fit`; the next stage would continue from the
    average.
    """
    if is_last:
        yield
        return
    optimizer = model.optimizer
    finalize = optimizer.finalize_variable_values

    def finalize_if_stopped(variables: Any) -> None:
        if model.stop_training:
            finalize(variables)

    optimizer.finalize_variable_values = finalize_if_stopped
    try:
        yield
    finally:
        del optimizer.finalize_variable_values
