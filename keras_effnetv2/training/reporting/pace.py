"""The speed of training, and the time left."""

import collections
import statistics
from collections.abc import Sequence

from keras_effnetv2.training.progressive.stages import Stage, cost

_WINDOW = 10.0  # Seconds over which speed is measured.


class Pace:
    """Follows a training run through its stages.

    The time left assumes the current speed, in proportion to image area, and
    evaluations as long as those before. Compilation, in the first step of a stage,
    counts in neither.

    Args:
        stages: the plan.
        steps_per_epoch: steps per epoch in each stage.
    """

    def __init__(self, stages: Sequence[Stage], steps_per_epoch: Sequence[int]) -> None:
        self._stages = tuple(stages)
        self._steps_per_epoch = tuple(steps_per_epoch)
        # (time, step) of this epoch's last seconds.
        self._window: collections.deque[tuple[float, int]] = collections.deque()
        self._pauses: list[float] = []  # Seconds from last step to end of epoch.
        self._cost_per_second = 0.0

    def place(self, step: int) -> tuple[Stage, float]:
        """The stage that `step` belongs to, and epochs trained after it."""
        for stage, steps in zip(self._stages, self._steps_per_epoch, strict=True):
            if step <= stage.num_epochs * steps:
                return stage, stage.first_epoch + step / steps
            step -= stage.num_epochs * steps
        last = self._stages[-1]
        return last, float(last.end_epoch)

    def advance(self, time: float, step: int) -> float | None:
        """Images per second, after `step` was done at `time`; None if unknown yet."""
        window = self._window
        window.append((time, step))
        while len(window) > 2 and time - window[0][0] > _WINDOW:
            window.popleft()
        first_time, first_step = window[0]
        if time <= first_time or step <= first_step:
            return None
        stage, _ = self.place(step)
        images = (step - first_step) * stage.batch_size
        images_per_second = images / (time - first_time)
        self._calibrate(stage, images_per_second)
        return images_per_second

    def end_epoch(self, time: float, step: int, images_per_second: float) -> None:
        """Must be called after each epoch, evaluated by `time`; returns its speed."""
        if self._window:
            self._pauses.append(time - self._window[-1][0])
            self._window.clear()
        stage, _ = self.place(step)
        self._calibrate(stage, images_per_second)

    def seconds_left(self, step: int) -> float | None:
        """Seconds from `step` to the end of the plan; None if no speed is known yet."""
        if not self._cost_per_second:
            return None
        _, epochs = self.place(step)
        training = cost(self._stages, epochs) / self._cost_per_second
        pause = statistics.fmean(self._pauses) if self._pauses else 0.0
        return training + pause * (self._stages[-1].end_epoch - epochs)

    def _calibrate(self, stage: Stage, images_per_second: float) -> None:
        images = self._steps_per_epoch[stage.index] * stage.batch_size
        self._cost_per_second = images_per_second / images * stage.image_size**2
