"""Writes checkpoints while training continues."""

import contextlib
import threading
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from absl import logging

from keras_effnetv2.errors import DivergedError
from keras_effnetv2.training.runs.checkpoints import Checkpoints, Position


class CheckpointWriter(contextlib.AbstractContextManager):
    """Writes checkpoints in a thread, one at a time.

    As a context manager it ends when nothing is being written any more. Errors in the
    thread are raised by the next call. If the process is killed while writing, the
    previous checkpoint remains.

    Args:
        checkpoints: where to write.
    """

    def __init__(self, checkpoints: Checkpoints) -> None:
        self._checkpoints = checkpoints
        self._thread: threading.Thread | None = None
        self._error: Exception | None = None

    def save(
        self,
        arrays: dict[str, np.ndarray],
        position: Position,
        best: keras.Model | None = None,
    ) -> None:
        """Starts writing a checkpoint, after the previous one.

        Args:
            arrays: from `read_state`; they must not change any more.
            position: their position in the training.
            best: the network, if it was just measured as the best so far. Its weights
                are read before this returns.

        Raises:
            FloatingPointError: not all numbers of the previous checkpoint were finite.
            OSError: the previous checkpoint could not be written.
        """
        self.wait()
        publish_best = self._checkpoints.stage(best)
        # A process that ends does not wait for a daemon; `wait` does.
        arguments = (arrays, position, publish_best)
        self._thread = threading.Thread(
            target=self._write, args=arguments, name="checkpoint", daemon=True
        )
        self._thread.start()

    def check(self) -> None:
        """Raises errors so far, without waiting."""
        if self._thread is not None and not self._thread.is_alive():
            self.wait()

    def wait(self) -> None:
        """Waits until nothing is being written; raises errors."""
        if self._thread is None:
            return
        self._thread.join()
        self._thread = None
        error, self._error = self._error, None
        if error is not None:
            raise error

    def __exit__(self, kind: type[BaseException] | None, *_: Any) -> None:
        if kind is None:
            self.wait()
        elif kind is not KeyboardInterrupt:  # A second Ctrl-C does not wait.
            self._wait_after_an_error()

    def last_good(self) -> str:
        """A sentence about the last checkpoint, for later errors."""
        self._wait_after_an_error()
        return self._checkpoints.last_good()

    def _wait_after_an_error(self) -> None:
        try:
            self.wait()
        except Exception as error:
            logging.warning("The previous checkpoint could not be written: %s", error)

    def _write(
        self,
        arrays: dict[str, np.ndarray],
        position: Position,
        publish_best: Callable[[], None] | None,
    ) -> None:
        try:
            floats = (x for x in arrays.values() if x.dtype.kind == "f")
            if not all(np.isfinite(x).all() for x in floats):
                raise DivergedError(
                    f"The weights are not finite after step {position.step}. "
                    f"{self._checkpoints.last_good()} Lower optimizer.learning_rate "
                    "or set optimizer.global_clipnorm."
                )
            self._checkpoints.write(arrays, position, publish_best)
        except Exception as error:
            self._error = error
