"""Ends a fine-tuning run early if it is slower than planned, to keep its deadline."""

import dataclasses
import time
from typing import Any

import keras

from keras_effnetv2.finetuning.plan import Amounts, Pace
from keras_effnetv2.training.experiments.configuration import Experiment

# Maximum of the total time, relative to the time given.
_MOST = 1.15
# Maximum of the predicted total time when another epoch begins.
_FORESEEN = 1.1
# The largest slowdown that is extrapolated to the end.
_MOST_SLOWNESS = 2.0
# Time for the report and the files, besides the images that they read.
FINISH_SECONDS = 15.0


@dataclasses.dataclass(frozen=True)
class Timetable:
    """The planned times, if nothing slows the machine down.

    Attributes:
        seconds: time given for a whole call.
        steps: steps per epoch.
        step_seconds: time of a step in each epoch.
        finish_seconds: time of everything after training.
    """

    seconds: float
    steps: int
    step_seconds: tuple[float, ...]
    finish_seconds: float


def plan_timetable(
    experiment: Experiment, amounts: Amounts, pace: Pace, minutes: float
) -> Timetable:
    """The timetable of an experiment.

    Args:
        experiment: the experiment that is trained.
        amounts: numbers of images.
        pace: measured speeds.
        minutes: the time given.
    """
    head_epochs, full = experiment.optimizer.head_epochs, amounts.full_size
    epochs = [
        (pace.head_step if epoch < head_epochs else pace.step, stage.image_size)
        for stage in experiment.stages(amounts.num_train)
        for epoch in range(stage.first_epoch, stage.end_epoch)
    ]
    batches = -(-amounts.num_reported // amounts.batch_size)
    reported = batches * pace.head_step * (experiment.eval_size / full) ** 2
    return Timetable(
        60 * minutes,
        amounts.steps,
        tuple(step * (size / full) ** 2 for step, size in epochs),
        FINISH_SECONDS + pace.tracing / 2 + reported,
    )


class Deadline(keras.callbacks.Callback):
    """Stops training that would not end in time.

    It stops after an epoch if the next would end too late, judged by how much slower
    than planned the steps of this one were; and within an epoch if time runs out,
    provided that an evaluation has weights to fall back on.

    Args:
        timetable: timetable of the training.
        start: start of the call, by `time.monotonic()`.

    Attributes:
        why: the reason, a sentence, if it has stopped the training.
    """

    def __init__(self, timetable: Timetable, start: float) -> None:
        super().__init__()
        self.why = ""
        self._timetable, self._start = timetable, start
        self._slowness = 1.0  # Actual over planned time.
        self._epoch = 0
        self._first: tuple[int, float] | None = None  # Step and when it ended.
        self._last = (0, start)

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Resets the count of steps."""
        self._epoch, self._first = epoch, None

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Stops within an epoch if no time is left."""
        self._last = batch, time.monotonic()
        # The time before includes tracing.
        self._first = self._first or self._last
        is_within = batch + 1 < self._timetable.steps
        if self._epoch and is_within and self._left(_MOST) < 0:
            self._stop(self._epoch)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Stops if the next epoch would end too late."""
        planned = self._timetable.step_seconds
        if self.why or epoch + 1 >= len(planned):
            return
        (first, start), (last, end) = self._first or self._last, self._last
        if last > first:
            self._slowness = (end - start) / (last - first) / planned[epoch]
        evaluation = time.monotonic() - end
        steps = self._timetable.steps * planned[epoch + 1] * self._slowness
        if self._left(_FORESEEN) < steps + evaluation:
            self._stop(epoch + 1)

    def _left(self, share: float) -> float:
        """Seconds until the work after training must begin, with that share of time."""
        gone = time.monotonic() - self._start
        slowness = min(max(1.0, self._slowness), _MOST_SLOWNESS)
        finish = self._timetable.finish_seconds * slowness
        return share * self._timetable.seconds - finish - gone

    def _stop(self, num_done: int) -> None:
        self.why = (
            f"Time is up: {num_done} of {len(self._timetable.step_seconds)} epochs "
            f"are trained, as steps took {self._slowness:.1f} times as long as "
            "measured before. The same call again trains the rest."
        )
        self.model.stop_training = True
