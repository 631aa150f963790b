"""What a trial of a search does: train, time, count, and make one number of it."""

import functools
from typing import Any

import optuna

from keras_effnetv2.architecture import Variant
from keras_effnetv2.profiling import profile
from keras_effnetv2.search.evaluator import Evaluator
from keras_effnetv2.search.experiments import SearchExperiment
from keras_effnetv2.search.reward import Measurement, reward
from keras_effnetv2.search.step_time import measure_step_times, relative_step_time
from keras_effnetv2.search.workers import Point
from keras_effnetv2.search.workload import Workload


class SearchObjective:
    """Measures candidates of a search; called with a trial and its point.

    Args:
        search: says how.
        prune: lets the study's pruner end trainings early.

    Raises:
        ValueError: there is no such data, or images are too small for the strides.
    """

    def __init__(self, search: SearchExperiment, prune: bool = True) -> None:
        self.search = search
        self.space = search.space
        self.prune = prune
        # All candidates have the backbone's strides.
        Workload(**self._workload()).check(self.space.backbone)
        self.evaluator = Evaluator(search.training)

    def __call__(self, trial: optuna.Trial, point: Point) -> float:
        """The reward; accuracy, step time and parameters go to the trial.

        Raises:
            optuna.TrialPruned: it would not have been worth its time.
            CandidateError: it cannot be trained.
        """

        def report(epoch: int, accuracy: float) -> None:
            trial.report(accuracy, epoch)
            if self.prune and trial.should_prune():
                raise optuna.TrialPruned

        variant = self.space.variant(point, name=f"trial-{trial.number}")
        accuracy = self.evaluator.accuracy(variant, report=report)
        measured, value = self.measure(variant, accuracy)
        trial.set_user_attr("accuracy", measured.accuracy)
        trial.set_user_attr("step_seconds", measured.step_seconds)
        trial.set_user_attr("parameters", measured.parameters)
        return value

    def measure(self, variant: Variant, accuracy: float) -> tuple[Measurement, float]:
        """What is measured of a trained variant, and its reward.

        Its step is timed in turns with the backbone's. The seconds are those that it
        would take where the backbone takes what it took first in this process.
        """
        training = self.search.training
        own, beside = measure_step_times(
            [variant, self.space.backbone], **self._workload()
        )
        ratio = relative_step_time(own, beside)
        backbone = Measurement(0.0, self._backbone_seconds, self._backbone_parameters)
        measured = Measurement(
            accuracy,
            ratio * backbone.step_seconds,
            count_parameters(variant, training.data.num_classes),
        )
        value = reward(
            measured,
            backbone,
            self.search.step_exponent,
            self.search.parameter_exponent,
        )
        return measured, value

    def _workload(self) -> dict[str, Any]:
        training = self.search.training
        stage = training.stages(training.batch_size)[-1]
        return {
            "image_size": stage.image_size,
            "batch_size": stage.batch_size,
            "precision": training.model.precision,
            "classes": training.data.num_classes,
            "optimizer": training.optimizer,
        }

    @functools.cached_property
    def _backbone_seconds(self) -> float:
        (time,) = measure_step_times([self.space.backbone], **self._workload())
        return time.median

    @functools.cached_property
    def _backbone_parameters(self) -> int:
        return count_parameters(
            self.space.backbone, self.search.training.data.num_classes
        )


def count_parameters(variant: Variant, classes: int) -> int:
    """Parameters of a network with a classifier of `classes`."""
    num_features = variant.round_filters(variant.top_filters)
    of_others = profile(variant, measure=False).num_params - 1000 * (num_features + 1)
    return of_others + classes * (num_features + 1)
