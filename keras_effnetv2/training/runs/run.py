"""A training run from start to end: `train(experiment, workdir)`."""

import dataclasses
import os
from collections.abc import Sequence
from typing import Any

import keras
from absl import logging

from keras_effnetv2.data.chunks.reading import describe_order
from keras_effnetv2.files import full_disk_named
from keras_effnetv2.paths import is_remote
from keras_effnetv2.training.data_service.service_client import DataService
from keras_effnetv2.training.devices.agreement import together
from keras_effnetv2.training.devices.process_setup import set_up_process
from keras_effnetv2.training.devices.strategies import Devices, open_devices
from keras_effnetv2.training.experiments.configuration import Experiment
from keras_effnetv2.training.learner.building import build_learner
from keras_effnetv2.training.progressive import feeding
from keras_effnetv2.training.progressive.learning import (
    Segment,
    fit_segment,
    plan_segments,
    split_segments,
)
from keras_effnetv2.training.progressive.stages import Stage, steps_per_epoch
from keras_effnetv2.training.reporting.reporter import Reporter
from keras_effnetv2.training.reporting.trackers import check_trackers
from keras_effnetv2.training.runs.checkpoints import (
    Checkpoints,
    Position,
    restore_together,
    write_state,
    write_weights,
)
from keras_effnetv2.training.runs.evaluation import Evaluation
from keras_effnetv2.training.runs.feasibility import check, check_class_counts
from keras_effnetv2.training.runs.loop import LoopCallback, stopped_by_signals
from keras_effnetv2.training.runs.workdir import (
    Workdir,
    check_workdir,
    open_workdir,
    read_experiment,
    train_command,
)


def train(
    experiment: Experiment | None,
    workdir: str | os.PathLike,
    *,
    strategy: str = "auto",
    tpu: str | None = None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    log: Sequence[str] = (),
    data_service: Sequence[str] = (),
) -> list[dict[str, Any]]:
    """Trains an experiment to its end, or resumes it.

    The work folder afterwards holds `final.weights.h5` (moving averages, if the
    experiment has them), the weights of the best evaluation in `checkpoints`,
    `config.json`, `metrics.jsonl`, `curves.png`, TensorBoard's files and the last
    checkpoints. Started again after a crash, training resumes from the last checkpoint
    as if nothing had happened. Settings of `loop` may then be different, and `epochs`
    too, as `check_length` says: more epochs extend a finished run.

    Callbacks see one `fit` over all epochs and stages. They begin once and end once per
    process. Epochs are numbered as in `metrics.jsonl`, less one, even after a restart;
    their logs have `loss`, `accuracy`, `learning_rate` and, if evaluated, `val_loss`,
    `val_accuracy` and `val_top5_accuracy`. Batches are numbered within the epoch.
    `self.model` is the learner: `self.model.result` is the network that is evaluated,
    and `self.model.stop_training = True` ends the run with its weights; the same call
    later resumes it. A restart is exact only for callbacks that change neither weights
    nor optimizer, since checkpoints store no state of callbacks. Callbacks may not call
    `fit`, `evaluate` or `compile`, nor set the learning rate, which follows its
    schedule. With several workers, all of them call their callbacks, and the chief's
    decide when to stop, at the end of an epoch.

    Args:
        experiment: experiment to train. None: the experiment of the work folder.
        workdir: the work folder; may be in a bucket, such as
            `"gs://BUCKET/runs/digits"`. Workers must share it.
        strategy: `"auto"`, `"cpu"`, `"mirrored"`, `"multiworker"` or `"tpu"`.
        tpu: name of a TPU, or `"local"`.
        callbacks: Keras callbacks.
        log: where else to write metrics: `"mlflow"`, `"wandb"`. A resumed run adds to
            the same run there.
        data_service: `"HOST:PORT"` of each process that makes training batches, started
            by the command `data_service`; the bits do not depend on their number.
            Empty: this process makes them.

    Returns:
        The record of every epoch, as in `metrics.jsonl`.

    Raises:
        ValueError: invalid or impossible arguments.
        FloatingPointError: the loss is no longer finite.
        ChildProcessError: an input process cannot be reached.
        Interrupted: SIGINT or SIGTERM came.
    """
    if experiment is None:
        experiment = read_experiment(workdir)
    devices = open_devices(strategy, tpu)
    set_up_process(experiment, devices)
    remedy = f"Make room, then resume with: {train_command(workdir)}"
    with full_disk_named(workdir, remedy):
        with together(devices):
            run = _Run.open(experiment, workdir, devices, log, data_service)
        return run.train(callbacks)


@dataclasses.dataclass(frozen=True)
class _Run:
    """Everything that a training run needs, checked."""

    experiment: Experiment
    workdir: Workdir
    devices: Devices
    train_feed: feeding.Feed
    eval_feed: feeding.Feed
    stages: tuple[Stage, ...]
    log: Sequence[str]
    service: DataService | None

    @classmethod
    def open(
        cls,
        experiment: Experiment,
        workdir: str | os.PathLike,
        devices: Devices,
        log: Sequence[str],
        data_service: Sequence[str],
    ) -> "_Run":
        check_trackers(log)
        service = DataService(data_service) if data_service else None
        if is_remote(workdir) and devices.is_chief:
            check_workdir(workdir)  # Before opening the data, which can be slow.
        experiment, train_feed, eval_feed = feeding.open_feeds(experiment)
        data = experiment.data
        num_images = train_feed.source.num_examples
        if data.num_train_images not in (None, num_images):
            logging.warning(
                "data.num_train_images says %s, but %r has %s images; the latter "
                "counts.",
                *(f"{data.num_train_images:,}", data.train_split, f"{num_images:,}"),
            )
        stages = experiment.stages(num_images)
        check(experiment, stages, devices)
        if service is not None:
            service.check(stages, devices.num_workers)
        check_class_counts(experiment, train_feed.source.class_counts)
        folder = open_workdir(workdir, experiment, devices.is_chief, num_images)
        return cls(
            experiment, folder, devices, train_feed, eval_feed, stages, log, service
        )

    def steps_per_epoch(self, stage: Stage) -> int:
        return steps_per_epoch(self.train_feed.source.num_examples, stage.batch_size)

    def train(
        self, callbacks: Sequence[keras.callbacks.Callback]
    ) -> list[dict[str, Any]]:
        checkpoints = Checkpoints(self.workdir.checkpoints, self.experiment.loop.keep)
        restored = restore_together(checkpoints, self.devices)
        position = restored[1] if restored else Position()
        source = self.train_feed.source
        with self.devices.scope():
            learner = build_learner(
                self.experiment,
                self.stages,
                source.num_examples,
                weights=None if restored else self.experiment.model.weights,
                class_names=source.class_names,
                class_counts=source.class_counts,
            )
        if restored:
            write_state(learner, restored[0])
        with together(self.devices):
            reporter = Reporter(
                self.workdir,
                self.experiment,
                self.stages,
                source.num_examples,
                self.devices,
                position,
                self.log,
                self._notes(),
            )
        with reporter:
            callback = self._callback(
                learner, checkpoints, position, reporter, callbacks
            )
            feeds = (self.train_feed, self.eval_feed)
            with feeding.data_errors_raised(*feeds), stopped_by_signals(callback):
                self._fit(learner, callback, reporter)
        with together(self.devices):
            if self.devices.is_chief:
                write_weights(learner.result, self.workdir.weights)
        return reporter.finish(self.train_feed.decode_errors)

    def _notes(self) -> list[str]:
        """Further lines of the plan."""
        notes = []
        order = self.train_feed.source.chunks
        if order is not None:
            batch_size = self.stages[-1].batch_size
            notes += [describe_order(order, batch_size, self.devices.num_workers)]
        if self.service is not None:
            notes += [self.service.describe()]
        return notes

    def _callback(
        self,
        learner: Any,
        checkpoints: Checkpoints,
        position: Position,
        reporter: Reporter,
        callbacks: Sequence[keras.callbacks.Callback],
    ) -> LoopCallback:
        batch_size = self.stages[-1].batch_size
        callback = LoopCallback(
            self.experiment,
            self.devices,
            checkpoints,
            position,
            Evaluation(learner, self.eval_feed, batch_size, self.devices),
            reporter.report_step,
            reporter.report_epoch,
            callbacks,
        )
        callback.set_model(learner)
        callback.keep_metrics()
        return callback

    def _fit(self, learner: Any, callback: LoopCallback, reporter: Reporter) -> None:
        position = callback.position
        callback.num_epochs = self.stages[-1].end_epoch
        if callback.is_out_of_patience:
            return
        head_epochs = self.experiment.optimizer.head_epochs
        segments = plan_segments(
            self.stages, self.steps_per_epoch, position.epoch, position.epoch_step
        )
        with callback.training():
            for segment in split_segments(segments, head_epochs):
                learner.train_head_only(segment.first_epoch < head_epochs)
                callback.enter(segment, self.steps_per_epoch(segment.stage))
                self._show_stage(segment, reporter, callback.position.step)
                self._fit_segment(segment, learner, callback)
                if learner.stop_training:
                    break

    def _show_stage(self, segment: Segment, reporter: Reporter, step: int) -> None:
        """Draws a few images of a stage that starts."""
        stage = segment.stage
        if segment.first_epoch == stage.first_epoch and not segment.first_step:
            images = feeding.sample_images(self.train_feed, self.experiment, stage)
            with together(self.devices):
                reporter.show_stage(stage, images, step)

    def _fit_segment(
        self, segment: Segment, learner: Any, callback: LoopCallback
    ) -> None:
        num_steps = self._steps_per_execution(segment)
        if num_steps != learner.steps_per_execution:
            learner.steps_per_execution = num_steps
            # Both run as many steps as when they were traced.
            learner.train_function = learner.test_function = None
        fit_segment(
            learner,
            learner.network,
            segment,
            feeding.training_data(
                self.train_feed,
                self.experiment,
                segment,
                self.devices,
                self.service.batches if self.service else feeding.segment_batches,
            ),
            is_last=False,  # The moving average is ours.
            steps_per_epoch=segment.num_steps,
            callbacks=[callback],
            verbose=0,
        )

    def _steps_per_execution(self, segment: Segment) -> int:
        """The steps asked for, or fewer, as `fit` would train past an epoch's end."""
        most = min(self.experiment.loop.steps_per_execution, segment.num_steps)
        return next(x for x in range(most, 0, -1) if segment.num_steps % x == 0)
