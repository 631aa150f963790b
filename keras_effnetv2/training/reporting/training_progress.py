"""The progress that a run shows while it trains."""

import math
import time
from collections.abc import Callable, Sequence
from typing import Any, TextIO

from keras_effnetv2.progress import Line, format_duration
from keras_effnetv2.training.progressive.stages import Stage
from keras_effnetv2.training.reporting.pace import Pace


class TrainingProgress:
    """A progress line of the training, and a line for each epoch that stays.

    Args:
        stages: the plan.
        steps_per_epoch: steps per epoch in each stage.
        stream: where to write; None: `sys.stderr`. If it is not a terminal, it gets a
            new line every 30 seconds.
        clock: seconds from any moment.
    """

    def __init__(
        self,
        stages: Sequence[Stage],
        steps_per_epoch: Sequence[int],
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._stages = tuple(stages)
        self._pace = Pace(stages, steps_per_epoch)
        self._clock = clock
        self._line = Line(stream, clock)

    def update(self, step: int, logs: dict[str, float]) -> None:
        """Shows the progress, if it is time to; call it every few steps.

        Args:
            step: optimizer steps done, since the start of the training.
            logs: `loss` and `accuracy` of the epoch so far, if known.
        """
        images_per_second = self._pace.advance(self._clock(), step)
        _, epochs = self._pace.place(step)
        self._line.update(
            lambda: self._describe(step, logs, images_per_second),
            share=epochs / self._stages[-1].end_epoch,
        )

    def _describe(
        self, step: int, logs: dict[str, float], images_per_second: float | None
    ) -> str:
        stage, epochs = self._pace.place(step)
        epoch = max(1, math.ceil(epochs))
        return "  ".join(
            [
                *self._describe_place(epoch, stage),
                f"{epochs - (epoch - 1):4.0%}",
                *_describe_measures(logs),
                *_describe_speed(images_per_second),
                *self._describe_left(step),
            ]
        )

    def epoch_end(
        self, record: dict[str, Any], since_best: int = 0, patience: int = 0
    ) -> None:
        """Writes the line of an epoch, which stays.

        Args:
            record: the record of the epoch; see `Records`.
            since_best: evaluations since the best one.
            patience: how many of them end the run; 0: none.
        """
        step, images_per_second = record["step"], record["images_per_second"]
        self._pace.end_epoch(self._clock(), step, images_per_second)
        stage, _ = self._pace.place(step)
        accuracy = record.get("eval_accuracy")
        evaluation = "-" if accuracy is None else f"{accuracy:.1%}"
        line = "  ".join(
            [
                *self._describe_place(record["epoch"], stage),
                *_describe_measures(record),
                f"eval {evaluation:>6}",
                *_describe_speed(images_per_second),
                f"{format_duration(record['seconds']):>7}",
                *self._describe_left(step),
                *([f"patience {since_best}/{patience}"] if patience else []),
            ]
        )
        self._line.keep(line)

    def close(self) -> None:
        """Ends an open line, so that later output starts a new one."""
        self._line.close()

    def _describe_place(self, epoch: int, stage: Stage) -> list[str]:
        num_epochs = self._stages[-1].end_epoch
        sizes = [str(stage.image_size) for stage in self._stages]
        return [
            f"epoch {epoch:{len(str(num_epochs))}}/{num_epochs}",
            f"stage {stage.index + 1}/{len(self._stages)}",
            f"{stage.image_size:{max(map(len, sizes))}} px",
        ]

    def _describe_left(self, step: int) -> list[str]:
        seconds = self._pace.seconds_left(step)
        return [f"left {format_duration(seconds)}"] if seconds else []


def _describe_measures(logs: dict[str, Any]) -> list[str]:
    forms = {"loss": "{:.3f}", "accuracy": "{:6.1%}"}
    return [
        f"{name} {form.format(logs[name])}"
        for name, form in forms.items()
        if logs.get(name) is not None
    ]


def _describe_speed(images_per_second: float | None) -> list[str]:
    return [f"{images_per_second:7,.0f} images/s"] if images_per_second else []
