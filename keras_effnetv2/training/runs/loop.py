"""The work around the steps of `fit`: checking, saving, evaluating, stopping."""

import contextlib
import dataclasses
import math
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import keras
import numpy as np

from keras_effnetv2.errors import DivergedError, Interrupted
from keras_effnetv2.training.devices.agreement import from_chief, together
from keras_effnetv2.training.devices.strategies import Devices
from keras_effnetv2.training.experiments.configuration import Experiment
from keras_effnetv2.training.progressive.learning import Segment
from keras_effnetv2.training.runs.checkpoint_writer import CheckpointWriter
from keras_effnetv2.training.runs.checkpoints import Checkpoints, Position, read_state

# Steps between checks of the loss: each check waits for the device.
_LOOK_STEPS = 10


class LoopCallback(keras.callbacks.Callback):
    """Saves, evaluates and reports a run, whose segments `fit` trains one by one.

    Args:
        experiment: its settings.
        devices: the devices; only the chief writes.
        checkpoints: where to save.
        position: the position in the training.
        evaluate: measures the averaged network: names to numbers.
        report_step: called regularly with the position, `loss` and `learning_rate`.
        report_epoch: called with the record of each epoch.
        callbacks: the user's callbacks, which see one `fit` over all epochs of the run.
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
        callbacks: Sequence[keras.callbacks.Callback] = (),
    ) -> None:
        super().__init__()
        self.experiment = experiment
        self.devices = devices
        self.writer = CheckpointWriter(checkpoints)
        self.position = position
        self.evaluate = evaluate
        self.report_step = report_step
        self.report_epoch = report_epoch
        self.callbacks = callbacks
        self.segment: Segment  # Set by `enter`.
        self.num_epochs = 0
        self.stop_signal: int | None = None
        self._told: keras.callbacks.CallbackList | None = None
        self._stops_after_epoch = False
        self._is_due = False  # A checkpoint, by the last steps.
        self._losses: list[tuple[int, Any]] = []
        self._metrics: list[np.ndarray] = []
        self._epoch_start = 0.0

    @property
    def is_out_of_patience(self) -> bool:
        """Whether the run ends after too many evaluations without improvement."""
        since = self.position.evaluations_since_best
        return 0 < self.experiment.loop.patience <= since

    @contextlib.contextmanager
    def training(self) -> Iterator[None]:
        """Context for all segments of a process; at its end everything is saved."""
        with self.writer:
            yield
            with together(self.devices):
                self.writer.wait()
        if self._told:
            self._told.on_train_end()

    def enter(self, segment: Segment, steps_per_epoch: int) -> None:
        """Must be called before the `fit` of each segment."""
        self.segment = segment
        if not self.callbacks:
            return
        params = {"epochs": self.num_epochs, "steps": steps_per_epoch, "verbose": 0}
        if self._told is not None:
            self._told.set_params(params)
            return
        for callback in self.callbacks:
            _set_mode(callback)
        told = keras.callbacks.CallbackList(
            list(self.callbacks), model=self.model, **params
        )
        told.on_train_begin()
        self._told = told

    def keep_metrics(self) -> None:
        """Keeps the restored metrics of a begun epoch, which `fit` would reset."""
        if self.position.epoch_step:
            self._metrics = [
                keras.ops.convert_to_numpy(v) for v in self.model.metrics_variables
            ]

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Restores the metrics of an epoch that has already begun."""
        self._epoch_start = time.monotonic()
        if self._metrics:
            pairs = zip(self.model.metrics_variables, self._metrics, strict=True)
            for variable, value in pairs:
                variable.assign(value)
        self._metrics = []
        if self._told:
            self._told.on_epoch_begin(epoch)

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Before a step; only for the user's callbacks."""
        if self._told:
            self._told.on_train_batch_begin(self.segment.first_step + batch)

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
        if self._told:
            self._told.on_train_batch_end(epoch_step - 1, logs)
        interval = self.experiment.loop.checkpoint_steps
        self._is_due = self.position.step // interval > before // interval
        if batch + 1 == self.segment.num_steps:
            return  # The end of the epoch saves, and has more to save.
        if self._stops_here() or self._is_due or self._must_stop:
            self._save()
        self._stop_if_asked()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Evaluates where it is due, reports the epoch, and saves."""
        self._look()
        before = self.position
        if before.epoch_step < self.segment.first_step + self.segment.num_steps:
            self._tell_epoch(epoch, self.model.measured())
            return  # A callback stopped within the epoch, and everything is saved.
        seconds = time.monotonic() - self._epoch_start
        measured = self.model.measured()
        self.position = dataclasses.replace(before, epoch=epoch + 1, epoch_step=0)
        record = self._record(measured, seconds)
        is_last = self.position.epoch == self.num_epochs
        since = before.step - before.evaluated_step
        is_due = is_last or since >= self.experiment.loop.evaluate_steps
        is_best = is_due and self._evaluate(record)
        ends = self._tell_epoch(epoch, record) or self.is_out_of_patience
        if ends and not is_due:
            is_best = self._evaluate(record)
        with together(self.devices):
            self.report_epoch(record)
        if is_last or is_best or self._is_due or ends or self._must_stop:
            self._save(is_best)
        self.model.stop_training = ends
        self._stop_if_asked()

    def _evaluate(self, record: dict[str, Any]) -> bool:
        """Adds an evaluation to the epoch's record; returns whether it is the best."""
        before, evaluated = self.position, self.evaluate()
        record |= {f"eval_{name}": value for name, value in evaluated.items()}
        accuracy, loss = evaluated["accuracy"], evaluated["loss"]
        # With few images, many evaluations have the same accuracy.
        is_best = (accuracy, -loss) > (before.best_accuracy, -before.best_loss)
        self.position = dataclasses.replace(
            before,
            evaluated_step=before.step,
            best_accuracy=accuracy if is_best else before.best_accuracy,
            best_loss=loss if is_best else before.best_loss,
            evaluations_since_best=0 if is_best else before.evaluations_since_best + 1,
        )
        return is_best

    def _tell_epoch(self, epoch: int, record: dict[str, Any]) -> bool:
        """Calls the user's callbacks for an epoch; returns whether one stops it."""
        stops = False
        if self._told is not None:
            self._told.on_epoch_end(epoch, _logs(record))
            stops = self.model.stop_training or self._stops_after_epoch
        # Also without callbacks: the chief may have some.
        return bool(from_chief(self.devices, int(stops)))

    def _stops_here(self) -> bool:
        """Whether a callback stops within the epoch; several workers do at its end."""
        if self.model.stop_training and self.devices.num_workers > 1:
            self._stops_after_epoch = True
            self.model.stop_training = False
        return self.model.stop_training

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
        """Checks that the last losses are finite and checkpoints were written."""
        value = None
        for step, loss in self._losses:
            value = float(np.mean(keras.ops.convert_to_numpy(loss)))
            if not math.isfinite(value):
                raise DivergedError(
                    f"The loss is {value} at step {step} (epoch "
                    f"{self.position.epoch + 1}). {self.writer.last_good()} Lower "
                    "optimizer.learning_rate or set optimizer.global_clipnorm."
                )
        if value is not None:
            rate = float(self.model.optimizer.learning_rate)
            self.report_step(self.position, {"loss": value, "learning_rate": rate})
        self._losses = []
        if self.devices.num_workers == 1:  # Several are told when they next save.
            self.writer.check()

    def _save(self, is_best: bool = False) -> None:
        self._look()
        with together(self.devices):
            self.writer.wait()  # First, so that only one copy of the arrays exists.
        arrays = read_state(self.model)
        with together(self.devices):
            if self.devices.is_chief:
                best = self.model.result if is_best else None
                self.writer.save(arrays, self.position, best)

    @property
    def _must_stop(self) -> bool:
        # Workers get the signal at different moments, and saving needs all of them.
        return self.stop_signal is not None and self.devices.num_workers == 1

    def _stop_if_asked(self) -> None:
        if self.stop_signal is not None:
            name = signal.Signals(self.stop_signal).name
            raise Interrupted(f"Stopped by {name} after step {self.position.step}.")


def _logs(record: dict[str, Any]) -> dict[str, Any]:
    """The numbers of an epoch under the names that Keras gives them."""
    names = {f"eval_{x}": f"val_{x}" for x in ("loss", "accuracy", "top5_accuracy")}
    names |= {x: x for x in ("loss", "accuracy", "learning_rate")}
    return {names[x]: value for x, value in record.items() if x in names}


def _set_mode(callback: Any) -> None:
    """Tells a callback such as `EarlyStopping` that accuracies are better if higher.

    It would infer that from metrics of `compile`, where a learner's are missing.
    """
    monitored = str(getattr(callback, "monitor", ""))
    if getattr(callback, "mode", None) == "auto" and monitored.endswith("accuracy"):
        callback.mode = "max"


@contextlib.contextmanager
def stopped_by_signals(callback: LoopCallback) -> Iterator[None]:
    """Makes the first SIGINT or SIGTERM stop after the step, the second at once."""

    def on_signal(number: int, frame: Any) -> None:
        if callback.stop_signal is not None:
            raise KeyboardInterrupt
        callback.stop_signal = number

    numbers = (signal.SIGINT, signal.SIGTERM)
    try:
        before = [signal.signal(number, on_signal) for number in numbers]
    except ValueError:  # Not in the main thread, which alone gets signals.
        yield
        return
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)
