"""Callbacks for training that calls `fit` several times."""

from collections.abc import Sequence
from typing import Any

import keras

from keras_effnetv2.private_apis import (
    first_epoch_of_backup,
    forget_first_epoch_of_backup,
)
from keras_effnetv2.training.progressive.stages import Stage


class SharedCallbacks(keras.callbacks.CallbackList):
    """Callbacks that see the `fit` calls of all stages as a single one.

    Each `fit` begins and ends its callbacks, which then reset their counts, overwrite
    their file or delete their backup. Here the first `fit` begins them, and the one
    that ends the training ends them. This is a Keras `CallbackList` because `fit` uses
    that as it is; for a callback that forwards everything, Keras would wait for the
    device after each step.

    Args:
        model: the model to train.
        callbacks: as for `fit`.
        verbose: as for `fit`.
        stages: stages of the training.
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
        """Sets the next stage, with the data and the steps that `fit` gets."""
        self._stage = stage
        self._stage_params = {
            "verbose": self._verbose,
            "epochs": self._stages[-1].end_epoch,
            "steps": steps_per_epoch or _num_batches(data),
        }

    def on_train_begin(self, logs: Any = None) -> None:
        """Begins the callbacks before the first stage, when the model is built."""
        is_first = self._stage is self._stages[0]
        if is_first:
            self.set_model(self._trained)
        # If the steps are unknown, the progress bar counts them again in each stage.
        if self.params != self._stage_params or self._stage_params["steps"] is None:
            self.set_params(self._stage_params)
        if is_first:
            super().on_train_begin(logs)
        elif (first_epoch_of_backup(self._trained) or 0) < self._stage.first_epoch:
            # `fit` prefers it to the history that it is given.
            forget_first_epoch_of_backup(self._trained)

    def on_train_end(self, logs: Any = None) -> None:
        """Ends the callbacks after the last stage, or when a callback has stopped."""
        if self._stage is self._stages[-1] or self._trained.stop_training:
            super().on_train_end(logs)


def _num_batches(data: Any) -> int | None:
    """Batches per epoch, if `data` knows them before its end."""
    if isinstance(data, dict | list | tuple) or hasattr(data, "shape"):
        return None  # Arrays, whose length is in images.
    try:
        return len(data)
    except TypeError:  # Also raised by TensorFlow if a dataset does not know.
        return getattr(data, "num_batches", None)
