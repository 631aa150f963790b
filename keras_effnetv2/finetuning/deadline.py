"""A fine-tuning that turns out slower than planned ends early, to keep its time."""

import dataclasses
import time
from typing import Any

import keras

from keras_effnetv2.finetuning.plan import Amounts, Pace
from keras_effnetv2.training.experiments.configuration import Experiment

# Of the time that was given, what all may take together.
_MOST = 1.15
# What it may take as far as can be foreseen when another epoch begins.
_FORESEEN = 1.1
# That is thought to last until the end.
_MOST_SLOWNESS = 2.0
# Of the report and the files, besides the images that they look at.
FINISH_SECONDS = 15.0


@dataclasses.dataclass(frozen=True)
class Timetable:
    """How long what is planned takes, if nothing slows the machine down.

    Attributes:
        seconds: that were given, for all of a call.
        steps: of an epoch.
        step_seconds: of a step in each epoch.
        finish_seconds: of what follows the training.
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
        experiment: that is trained.
        amounts: of images.
        pace: measured.
        minutes: that were given.
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
    """Stops a training where it would not be over in time.

    It stops after an epoch where the next would end too late, going by how much slower
    than planned the steps of this one were; and within an epoch where the time comes to
    that, if there is an evaluation whose weights can be taken.

    Args:
        timetable: of the training.
        start: of the call, as `time.monotonic()` has it.

    Attributes:
        why: a sentence, of a training that it has stopped.
    """

    def __init__(self, timetable: Timetable, start: float) -> None:
        super().__init__()
        self.why = ""
        self._timetable, self._start = timetable, start
        self._slowness = 1.0  # Seconds for each that was planned.
        self._epoch = 0
        self._first: tuple[int, float] | None = None  # Step and when it ended.
        self._last = (0, start)

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Steps are counted anew."""
        self._epoch, self._first = epoch, None

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Stops within an epoch where no time is left."""
        self._last = batch, time.monotonic()
        # The time before is that of tracing, too.
        self._first = self._first or self._last
        is_within = batch + 1 < self._timetable.steps
        if self._epoch and is_within and self._left(_MOST) < 0:
            self._stop(self._epoch)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Stops where the next epoch would end too late."""
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
        """Seconds until what follows has to begin, if all is to take that share."""
        gone = time.monotonic() - self._start
        slowness = min(max(1.0, self._slowness), _MOST_SLOWNESS)
        finish = self._timetable.finish_seconds * slowness
        return share * self._timetable.seconds - finish - gone

    def _stop(self, num_done: int) -> None:
        self.why = (
            f"Time is up: {num_done} of {len(self._timetable.step_seconds)} epochs are "
            f"trained, whose steps took {self._slowness:.1f} times as long as measured "
            "before. The same call again trains the others."
        )
        self.model.stop_training = True
