"""Callbacks of a training that calls `fit` several times."""

from collections.abc import Sequence
from typing import Any

import keras

from keras_effnetv2.private_apis import (
    first_epoch_of_backup,
    forget_first_epoch_of_backup,
)
from keras_effnetv2.training.progressive.stages import Stage


class SharedCallbacks(keras.callbacks.CallbackList):
    """Callbacks that take the `fit` of every stage for a single one.

    Each `fit` begins and ends its callbacks, which then forget what they have counted,
    open their file anew or delete their backup. Here the first `fit` begins them, and
    the one that ends the training ends them. It is a list of Keras's because `fit` uses
    that as it is; for a callback that passes everything on, Keras would wait for the
    device after each step.

    Args:
        model: to train.
        callbacks: as `fit` takes them.
        verbose: as `fit` takes it.
        stages: of the training.
    """

    def __init__(
        self, model: keras.Model, callbacks: Any, verbose: Any, stages: Sequence[Stage]
    ) -> None:
        is_list = isinstance(callbacks, keras.callbacks.CallbackList)
        super().__init__(
            [callbacks] if is_list else callbacks,
            add_history=True,
            add_progbar=verbose != 0 and not is_list,  # It has its own.
        )
        self._trained = model
        self._verbose = verbose
        self._stages = stages

    def enter(self, stage: Stage, data: Any, steps_per_epoch: int | None) -> None:
        """Says which stage comes next, with the data and the steps that `fit` gets."""
        self._stage = stage
        self._stage_params = {
            "verbose": self._verbose,
            "epochs": self._stages[-1].end_epoch,
            "steps": steps_per_epoch or _num_batches(data),
        }

    def on_train_begin(self, logs: Any = None) -> None:
        """Begins before the first stage, when `fit` has built the model."""
        is_first = self._stage is self._stages[0]
        if is_first:
            self.set_model(self._trained)
        # The progress bar counts steps that are not known, in each stage anew.
        if self.params != self._stage_params or self._stage_params["steps"] is None:
            self.set_params(self._stage_params)
        if is_first:
            super().on_train_begin(logs)
        elif (first_epoch_of_backup(self._trained) or 0) < self._stage.first_epoch:
            # `fit` prefers it to the one that it is given.
            forget_first_epoch_of_backup(self._trained)

    def on_train_end(self, logs: Any = None) -> None:
        """Ends after the last stage, or the one in which a callback stopped."""
        if self._stage is self._stages[-1] or self._trained.stop_training:
            super().on_train_end(logs)


def _num_batches(data: Any) -> int | None:
    """Batches of an epoch, where `data` knows them before its end."""
    if isinstance(data, dict | list | tuple) or hasattr(data, "shape"):
        return None  # Arrays, whose length is in images.
    try:
        return len(data)
    except TypeError:  # TensorFlow's too, where a dataset does not know.
        return getattr(data, "num_batches", None)
