"""Everything that a run shows and records, on the chief."""

import contextlib
import math
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
from absl import logging

from keras_effnetv2.data.decode_errors import DecodeErrors
from keras_effnetv2.errors import Interrupted
from keras_effnetv2.training.devices.strategies import Devices
from keras_effnetv2.training.experiments.configuration import Experiment
from keras_effnetv2.training.progressive.stages import (
    Stage,
    format_plan,
    steps_per_epoch,
)
from keras_effnetv2.training.reporting.curves import draw_curves
from keras_effnetv2.training.reporting.records import Records, evaluations_since_best
from keras_effnetv2.training.reporting.samples import draw_samples
from keras_effnetv2.training.reporting.scalars import Scalars, tag
from keras_effnetv2.training.reporting.summary import summarize
from keras_effnetv2.training.reporting.trackers import (
    Tracker,
    failures_noted,
    open_trackers,
)
from keras_effnetv2.training.reporting.training_progress import TrainingProgress
from keras_effnetv2.training.runs.checkpoints import Position
from keras_effnetv2.training.runs.trained import describe_weights
from keras_effnetv2.training.runs.workdir import Workdir

# Seconds between pictures of the curves, which take about a second to draw.
_REDRAW = 60
# Seconds between steps that are sent to trackers.
_TRACK = 1


class Reporter:
    """Reports the plan, the progress and the result of a run.

    Args:
        workdir: where to write.
        experiment: experiment that is trained.
        stages: its plan.
        num_images: number of training images.
        devices: the devices; workers other than the chief are silent.
        position: where training starts, which after a restart is not the beginning.
        log: trackers to write to; see `open_trackers`.
        notes: lines to print after the plan.

    Raises:
        ValueError: a tracker cannot be opened.
    """

    def __init__(
        self,
        workdir: Workdir,
        experiment: Experiment,
        stages: tuple[Stage, ...],
        num_images: int,
        devices: Devices,
        position: Position,
        log: Sequence[str] = (),
        notes: Sequence[str] = (),
    ) -> None:
        self._workdir = workdir
        self._name = experiment.name
        self._patience = experiment.loop.patience
        self._stages = stages
        self._is_chief = devices.is_chief
        self._records = Records(workdir.metrics)
        self._drawn_at = self._tracked_at = time.monotonic()
        if not self._is_chief:
            return
        self._trackers = open_trackers(log, workdir.tracking, experiment)
        self._records.drop_after(position.step)
        self._progress = TrainingProgress(
            stages, [steps_per_epoch(num_images, x.batch_size) for x in stages]
        )
        print(f"{self._name} on {devices.describe()}, in {workdir.path}\n")
        print("\n".join([format_plan(stages, num_images), *notes]), flush=True)
        if position.step:
            print(
                f"\nResuming after step {position.step:,}, in epoch "
                f"{position.epoch + 1} of {stages[-1].end_epoch}.",
                flush=True,
            )
        print(flush=True)
        self._scalars = Scalars(workdir.scalars, position.step)

    def show_stage(self, stage: Stage, images: np.ndarray, step: int) -> None:
        """Draws a few training images of a stage that starts after `step`."""
        if self._is_chief:
            draw_samples(images, self._workdir.samples(stage.index + 1))
            self._scalars.write_images(f"stage{stage.index + 1}", images, step)

    def report_step(self, position: Position, logs: dict[str, float]) -> None:
        """Shows the state of the training."""
        if not self._is_chief:
            return
        self._progress.update(position.step, logs)
        if self._trackers and time.monotonic() - self._tracked_at > _TRACK:
            self._tracked_at = time.monotonic()
            self._track(
                {f"step/{x}": value for x, value in logs.items()}, position.step
            )

    def report_epoch(self, record: dict[str, Any]) -> None:
        """Records an epoch."""
        if not self._is_chief:
            return
        self._records.append(record)
        self._scalars.write(record)
        tagged = {tag(x): value for x, value in record.items() if x != "step"}
        self._track(tagged, record["step"])
        since = evaluations_since_best(self._records.read()) if self._patience else 0
        self._progress.epoch_end(record, since, self._patience)
        if time.monotonic() - self._drawn_at > _REDRAW:
            self._draw()

    def __enter__(self) -> "Reporter":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: Any) -> None:
        """Closes the progress line, the files and the trackers."""
        if not self._is_chief:
            return
        status = "FAILED" if kind else "FINISHED"
        if kind in (Interrupted, KeyboardInterrupt):
            status = "KILLED"
        with contextlib.ExitStack() as stack:
            for tracker in self._trackers:
                stack.callback(_close, tracker, status)
            stack.callback(self._scalars.close)
            stack.callback(self._progress.close)

    def finish(self, decode_errors: DecodeErrors) -> list[dict[str, Any]]:
        """Draws the curves and prints the summary; returns all records."""
        records = self._records.read()
        if self._is_chief and records:
            self._draw()
            is_early = records[-1]["epoch"] < self._stages[-1].end_epoch
            since = evaluations_since_best(records)
            summary = summarize(
                records,
                self._stages,
                decode_errors.num_damaged,
                since if is_early and 0 < self._patience <= since else 0,
            )
            print(f"\n{summary}\n")
            print(describe_weights(self._workdir.path), flush=True)
        return records

    def _track(self, metrics: dict[str, Any], step: int) -> None:
        numbers = {
            name: float(value)
            for name, value in metrics.items()
            if value is not None and math.isfinite(value)
        }
        for tracker in self._trackers:
            with failures_noted(f"record step {step}"):
                tracker.write(numbers, step)

    def _draw(self) -> None:
        self._drawn_at = time.monotonic()
        try:
            draw_curves(self._records.read(), self._workdir.curves, self._name)
        except ImportError as error:
            logging.warning("The curves cannot be drawn: %s", error)


def _close(tracker: Tracker, status: str) -> None:
    with failures_noted("note the end"):
        tracker.close(status)
