"""What happens around the steps of `fit`: looking, saving, evaluating, stopping."""

import contextlib
import dataclasses
import math
import signal
import time
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np

from keras_effnetv2.errors import DivergedError
from keras_effnetv2.training.devices.agreement import together
from keras_effnetv2.training.devices.strategies import Devices
from keras_effnetv2.training.experiments.configuration import Experiment
from keras_effnetv2.training.progressive.learning import Segment
from keras_effnetv2.training.runs.checkpoints import Checkpoints, Position, read_state

# Steps between looks at the loss: each look waits for the device.
_LOOK_STEPS = 10


class Interrupted(Exception):
    """A training that was asked to stop; the same command goes on with it."""


class LoopCallback(keras.callbacks.Callback):
    """Saves, evaluates and reports a run, whose segments `fit` trains one by one.

    Args:
        experiment: its settings.
        devices: what it runs on; only the chief writes.
        checkpoints: where to save.
        position: where the training is.
        evaluate: measures the averaged network: names to numbers.
        report_step: called now and then with the position and `{"loss": ...}`.
        report_epoch: called with a record of each epoch.
    """

    def __init__(
        self,
        experiment: Experiment,
        devices: Devices,
        checkpoints: Checkpoints,
        position: Position,
        evaluate: Callable[[], dict[str, float]],
        report_step: Callable[[Position, dict[str, float]], None],
        report_epoch: Callable[[dict[str, Any]], None],
    ) -> None:
        super().__init__()
        self.experiment = experiment
        self.devices = devices
        self.checkpoints = checkpoints
        self.position = position
        self.evaluate = evaluate
        self.report_step = report_step
        self.report_epoch = report_epoch
        self.segment: Segment  # Set before each `fit`.
        self.num_epochs = 0
        self.stop_signal: int | None = None
        self._losses: list[tuple[int, Any]] = []
        self._metrics: list[np.ndarray] = []
        self._epoch_start = 0.0

    def keep_metrics(self) -> None:
        """Keeps the restored metrics of a begun epoch, which `fit` resets."""
        if self.position.epoch_step:
            self._metrics = [
                keras.ops.convert_to_numpy(v) for v in self.model.metrics_variables
            ]

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Puts back the metrics of an epoch that is begun already."""
        self._epoch_start = time.monotonic()
        if self._metrics:
            pairs = zip(self.model.metrics_variables, self._metrics, strict=True)
            for variable, value in pairs:
                variable.assign(value)
        self._metrics = []

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """After a step: is the loss finite, is a checkpoint due, should it stop?"""
        epoch_step = self.segment.first_step + batch + 1
        num_steps = epoch_step - self.position.epoch_step
        before = self.position.step
        self.position = dataclasses.replace(
            self.position, step=before + num_steps, epoch_step=epoch_step
        )
        self._losses.append((self.position.step, logs["loss"]))
        if len(self._losses) >= _LOOK_STEPS:
            self._look()
        if batch + 1 == self.segment.num_steps:
            return  # The end of the epoch saves: it has more to keep.
        interval = self.experiment.loop.checkpoint_steps
        if self.position.step // interval > before // interval or self._must_stop:
            self._save()
        self._stop_if_asked()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Evaluates where it is due, reports the epoch, and saves."""
        self._look()
        before = self.position
        seconds = time.monotonic() - self._epoch_start
        measured = self.model.measured()
        self.position = dataclasses.replace(before, epoch=epoch + 1, epoch_step=0)
        record = self._record(measured, seconds)
        is_last = self.position.epoch == self.num_epochs
        since = before.step - before.evaluated_step
        is_best = False
        if is_last or since >= self.experiment.loop.evaluate_steps:
            evaluated = self.evaluate()
            record |= {f"eval_{name}": value for name, value in evaluated.items()}
            is_best = evaluated["accuracy"] > before.best_accuracy
            self.position = dataclasses.replace(
                self.position,
                evaluated_step=before.step,
                best_accuracy=max(evaluated["accuracy"], before.best_accuracy),
            )
        with together(self.devices):
            self.report_epoch(record)
        interval = self.experiment.loop.checkpoint_steps
        passed = before.step // interval > (before.step - 1) // interval
        if is_last or is_best or passed or self._must_stop:
            self._save(is_best)
        self._stop_if_asked()

    def _record(self, measured: dict[str, float], seconds: float) -> dict[str, Any]:
        """The numbers of the epoch that has ended."""
        stage, position = self.segment.stage, self.position
        rates = dataclasses.asdict(stage)
        for name in ("index", "first_epoch", "num_epochs"):
            del rates[name]
        num_images = self.segment.num_steps * stage.batch_size
        return {
            "epoch": position.epoch,
            "step": position.step,
            "stage": stage.index + 1,
            **rates,
            "learning_rate": float(self.model.optimizer.learning_rate),
            "loss": measured["loss"],
            "accuracy": measured["accuracy"],
            "seconds": seconds,
            "images_per_second": num_images / seconds,
        }

    def _look(self) -> None:
        """Are the losses of the last steps numbers?"""
        value = None
        for step, loss in self._losses:
            value = float(np.mean(keras.ops.convert_to_numpy(loss)))
            if not math.isfinite(value):
                raise DivergedError(
                    f"The loss is {value} at step {step} (epoch "
                    f"{self.position.epoch + 1}). {self._last_good()} Lower "
                    "optimizer.learning_rate or set optimizer.global_clipnorm."
                )
        if value is not None:
            self.report_step(self.position, {"loss": value})
        self._losses = []

    def _save(self, is_best: bool = False) -> None:
        self._look()
        arrays = read_state(self.model)
        if not all(
            np.isfinite(x).all() for x in arrays.values() if x.dtype.kind == "f"
        ):
            raise DivergedError(
                f"The weights are not finite after step {self.position.step}. "
                f"{self._last_good()} Lower optimizer.learning_rate or set "
                "optimizer.global_clipnorm."
            )
        with together(self.devices):
            if self.devices.is_chief:
                best = self.model.result if is_best else None
                self.checkpoints.save(arrays, self.position, best)

    def _last_good(self) -> str:
        if not self.checkpoints.folder.exists():
            return "No checkpoint had been saved."
        return f"The last good checkpoint is in {self.checkpoints.folder}."

    @property
    def _must_stop(self) -> bool:
        # Workers are told at different moments, and saving takes all of them.
        return self.stop_signal is not None and self.devices.num_workers == 1

    def _stop_if_asked(self) -> None:
        if self.stop_signal is not None:
            name = signal.Signals(self.stop_signal).name
            raise Interrupted(f"Stopped by {name} after step {self.position.step}.")


@contextlib.contextmanager
def stopped_by_signals(callback: LoopCallback) -> Iterator[None]:
    """The first SIGINT or SIGTERM stops after the step, the second at once."""

    def on_signal(number: int, frame: Any) -> None:
        if callback.stop_signal is not None:
            raise KeyboardInterrupt
        callback.stop_signal = number

    numbers = (signal.SIGINT, signal.SIGTERM)
    try:
        before = [signal.signal(number, on_signal) for number in numbers]
    except ValueError:  # Not in the main thread, where signals do not come.
        yield
        return
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)
