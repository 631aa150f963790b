"""Evaluates candidates: each is trained for some epochs, then measured."""

import contextlib
import dataclasses
import gc
import math
from collections.abc import Callable, Iterator
from typing import Any

import keras

from keras_effnetv2 import private_apis
from keras_effnetv2.errors import InputError
from keras_effnetv2.networks.architecture import Variant
from keras_effnetv2.search.studies.workers import CandidateError
from keras_effnetv2.training.devices.process_setup import set_up_process
from keras_effnetv2.training.devices.strategies import open_devices
from keras_effnetv2.training.experiments.configuration import Experiment
from keras_effnetv2.training.learner.building import build_learner
from keras_effnetv2.training.progressive import feeding
from keras_effnetv2.training.progressive.learning import fit_segment, plan_segments
from keras_effnetv2.training.progressive.stages import steps_per_epoch
from keras_effnetv2.training.runs.evaluation import Evaluation
from keras_effnetv2.training.runs.feasibility import check, check_class_counts

# Called with the epochs trained and the accuracy; raises to end the training.
Report = Callable[[int, float], None]


class Evaluator:
    """Trains any variant with one experiment, on the CPU or one accelerator.

    The same variant and seed give the same accuracy if the experiment is deterministic.

    Args:
        experiment: the experiment; its `data.eval_split` is the minival, held-out
            images. Its variant and coefficients are not used.

    Raises:
        ValueError: there is no such data, or settings do not work together.
    """

    def __init__(self, experiment: Experiment) -> None:
        if num := experiment.optimizer.head_epochs:
            raise InputError(
                "A search trains all layers of a candidate from the start. Received: "
                f"optimizer.head_epochs={num}. Set it to 0."
            )
        model = dataclasses.replace(
            experiment.model,
            width_coefficient=None,
            depth_coefficient=None,
            eval_size=experiment.eval_size,
        )
        self.experiment = dataclasses.replace(experiment, model=model)
        self.devices = open_devices("auto")
        self.experiment, *self._feeds = feeding.open_feeds(self.experiment)
        stages = self.experiment.stages(self._feeds[0].source.num_examples)
        check(self.experiment, stages, self.devices)
        check_class_counts(self.experiment, self._feeds[0].source.class_counts)

    @property
    def num_classes(self) -> int:
        """Number of classes of the training images."""
        return self._feeds[0].source.num_classes

    def accuracy(
        self, variant: Variant, seed: int | None = None, report: Report | None = None
    ) -> float:
        """Accuracy on the minival after training, of the averaged weights, 0 to 1.

        Args:
            variant: the variant to train.
            seed: seed of the training. None: the experiment's.
            report: called after every epoch.

        Raises:
            CandidateError: the loss is no longer finite, or memory is too small.
        """
        experiment = self.experiment
        if seed is not None:
            experiment = dataclasses.replace(experiment, seed=seed)
        try:
            with failing_out_of_memory(), private_apis.traced_for_a_while():
                variant = dataclasses.replace(variant, name="candidate")
                model = dataclasses.replace(experiment.model, variant=variant)
                return self._train(dataclasses.replace(experiment, model=model), report)
        finally:
            # Models form reference cycles.
            keras.backend.clear_session()
            gc.collect()

    def _train(self, experiment: Experiment, report: Report | None) -> float:
        set_up_process(experiment, self.devices)
        train_feed, eval_feed = self._feeds
        num_images = train_feed.source.num_examples
        stages = experiment.stages(num_images)
        with self.devices.scope():
            learner = build_learner(
                experiment,
                stages,
                num_images,
                class_names=train_feed.source.class_names,
                class_counts=train_feed.source.class_counts,
            )
        callback = _EpochEnd(
            Evaluation(learner, eval_feed, stages[-1].batch_size, self.devices),
            report,
        )
        segments = plan_segments(
            stages, lambda stage: steps_per_epoch(num_images, stage.batch_size)
        )
        with feeding.data_errors_raised(*self._feeds):
            for segment in segments:
                fit_segment(
                    learner,
                    learner.network,
                    segment,
                    feeding.training_data(
                        train_feed, experiment, segment, self.devices
                    ),
                    is_last=False,  # The moving average is ours.
                    steps_per_epoch=segment.num_steps,
                    callbacks=[callback],
                    verbose=0,
                )
        return callback.accuracy


class _EpochEnd(keras.callbacks.Callback):
    """Measures the accuracy after every epoch."""

    def __init__(
        self, evaluate: Callable[[], dict[str, float]], report: Report | None
    ) -> None:
        super().__init__()
        self.evaluate = evaluate
        self.report = report
        self.accuracy = 0.0

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Refuses losses that are not finite, then reports."""
        loss = self.model.measured()["loss"]
        if not math.isfinite(loss):
            raise CandidateError(f"the loss is {loss} in epoch {epoch + 1}")
        self.accuracy = self.evaluate()["accuracy"]
        if self.report is not None:
            self.report(epoch + 1, self.accuracy)


@contextlib.contextmanager
def failing_out_of_memory() -> Iterator[None]:
    """Makes running out of memory the candidate's failure, not the worker's."""
    try:
        yield
    except Exception as error:
        if not (
            isinstance(error, MemoryError)
            or type(error).__name__ == "ResourceExhaustedError"
        ):
            raise
        raise CandidateError(f"out of memory: {type(error).__name__}") from error
