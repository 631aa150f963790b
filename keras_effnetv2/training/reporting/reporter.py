"""Everything that a run shows and writes down, on the chief."""

import time
from typing import Any

import numpy as np
from absl import logging

from keras_effnetv2.data.decode_errors import DecodeErrors
from keras_effnetv2.training.devices.strategies import Devices
from keras_effnetv2.training.experiments.configuration import Experiment
from keras_effnetv2.training.progressive.stages import (
    Stage,
    format_plan,
    steps_per_epoch,
)
from keras_effnetv2.training.reporting.curves import draw_curves
from keras_effnetv2.training.reporting.records import Records
from keras_effnetv2.training.reporting.samples import draw_samples
from keras_effnetv2.training.reporting.scalars import Scalars
from keras_effnetv2.training.reporting.summary import summarize
from keras_effnetv2.training.reporting.training_progress import TrainingProgress
from keras_effnetv2.training.runs.checkpoints import Position
from keras_effnetv2.training.runs.workdir import Workdir

# Seconds between two pictures of the curves, which take about one to draw.
_REDRAW = 60


class Reporter:
    """Says what is planned, what happens and what came of it.

    Args:
        workdir: where to write.
        experiment: what is trained.
        stages: its plan.
        num_images: to train on.
        devices: what it runs on; workers but the chief are silent.
        position: where the training starts, which is not its start after a restart.
    """

    def __init__(
        self,
        workdir: Workdir,
        experiment: Experiment,
        stages: tuple[Stage, ...],
        num_images: int,
        devices: Devices,
        position: Position,
    ) -> None:
        self._workdir = workdir
        self._name = experiment.name
        self._stages = stages
        self._is_chief = devices.is_chief
        self._records = Records(workdir.metrics)
        self._drawn_at = time.monotonic()
        if not self._is_chief:
            return
        self._records.drop_after(position.step)
        self._progress = TrainingProgress(
            stages, [steps_per_epoch(num_images, x.batch_size) for x in stages]
        )
        print(f"{self._name} on {devices.describe()}, in {workdir.path}\n")
        print(format_plan(stages, num_images), flush=True)
        if position.step:
            print(
                f"\nGoing on after step {position.step:,}, in epoch "
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
        if self._is_chief:
            self._progress.update(position.step, logs)

    def report_epoch(self, record: dict[str, Any]) -> None:
        """Writes an epoch down."""
        if not self._is_chief:
            return
        self._records.append(record)
        self._scalars.write(record)
        self._progress.epoch_end(record)
        if time.monotonic() - self._drawn_at > _REDRAW:
            self._draw()

    def close(self) -> None:
        """Ends the line and the files that are open."""
        if self._is_chief:
            try:
                self._progress.close()
            finally:
                self._scalars.close()

    def finish(self, decode_errors: DecodeErrors) -> list[dict[str, Any]]:
        """Draws the curves and prints the summary; returns all records."""
        records = self._records.read()
        if self._is_chief and records:
            self._draw()
            print("\n" + summarize(records, self._stages, decode_errors.num_damaged))
            print(f"\nWeights: {self._workdir.weights}", flush=True)
        return records

    def _draw(self) -> None:
        self._drawn_at = time.monotonic()
        try:
            draw_curves(self._records.read(), self._workdir.curves, self._name)
        except ImportError as error:
            logging.warning("No curves are drawn: %s", error)
