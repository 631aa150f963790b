"""The objective of a search: train, time and count, combined into a reward."""

import dataclasses
import functools
from typing import Any, TextIO

import numpy as np
import optuna

from keras_effnetv2.networks.architecture import Variant
from keras_effnetv2.profiling import profile
from keras_effnetv2.search.costs.screening import screen
from keras_effnetv2.search.costs.step_time import (
    StepTimer,
    relative_step_spread,
    relative_step_time,
)
from keras_effnetv2.search.costs.table import CostTable
from keras_effnetv2.search.costs.workload import Workload
from keras_effnetv2.search.evaluator import Evaluator, failing_out_of_memory
from keras_effnetv2.search.named_searches import SearchExperiment
from keras_effnetv2.search.reward import Measurement, reward
from keras_effnetv2.search.studies.study import SCREENED
from keras_effnetv2.search.studies.workers import Point

# Attribute of a study: seconds of the backbone's step, the unit of all workers.
_BACKBONE_SECONDS = "backbone_step_seconds"


class SearchObjective:
    """Measures candidates of a search; called with a trial and its point.

    Args:
        search: settings of the search.
        prune: whether the study's pruner may end training early.

    Raises:
        ValueError: there is no such data, or images are too small for the strides.
    """

    def __init__(self, search: SearchExperiment, prune: bool = True) -> None:
        self.search = search
        self.evaluator = Evaluator(search.training)
        self.space = search.space
        self.prune = prune
        # All candidates have the backbone's strides.
        Workload(**self._workload()).check(self.space.backbone)
        self._table: CostTable | None = None

    def prepare(self, stream: TextIO | None = None) -> None:
        """Measures, or reads, the table by which candidates are screened.

        Args:
            stream: where to write progress; None: `sys.stderr`.

        Raises:
            ValueError: no network is fast enough among 10,000 draws.
        """
        limit = self.search.screen
        if limit is None or self._table is not None:
            return
        table = CostTable.of(self.space, **self._workload(), stream=stream)
        screen(self.space, table, 1, np.random.default_rng(0), limit)
        self._table = table

    def __call__(self, trial: optuna.Trial, point: Point) -> float:
        """The reward; accuracy, step time and parameters are recorded in the trial.

        Raises:
            optuna.TrialPruned: the trial is not worth continuing.
            CandidateError: the candidate cannot be trained.
        """

        def report(epoch: int, accuracy: float) -> None:
            trial.report(accuracy, epoch)
            if self.prune and trial.should_prune():
                raise optuna.TrialPruned

        variant = self.space.variant(point, name=f"trial-{trial.number}")
        self._screen(trial, variant)
        accuracy = self.evaluator.accuracy(variant, report=report)
        measured, value = self.measure(variant, accuracy, trial.study)
        for name, number in dataclasses.asdict(measured).items():
            trial.set_user_attr(name, number)
        return value

    def _screen(self, trial: optuna.Trial, variant: Variant) -> None:
        """Records the predicted step time in the trial, and ends one that is too slow.

        Does nothing in a search without screening.
        """
        self.prepare()
        limit = self.search.screen
        if self._table is None or limit is None:
            return
        ratio = self._table.relative(variant)
        is_slow = ratio > limit
        trial.set_user_attr("predicted_step_ratio", ratio)
        trial.set_user_attr(SCREENED, is_slow)
        if is_slow:
            # Among trials without a reward, TPE prefers those that reported more.
            trial.report(-ratio, 0)
            raise optuna.TrialPruned

    def measure(
        self, variant: Variant, accuracy: float, study: optuna.Study
    ) -> tuple[Measurement, float]:
        """The measurement of a trained variant, and its reward.

        Its step is timed alternately with the backbone's. Seconds are scaled to the
        backbone's first time in the study, so that slow moments and slow machines do
        not matter.

        Raises:
            CandidateError: memory is too small.
        """
        timer = self._timer
        with failing_out_of_memory():
            beside, own = timer.measure([variant])
        seconds = _backbone_seconds(study, beside.median)
        backbone = Measurement(0.0, seconds, self._backbone_parameters)
        measured = Measurement(
            accuracy,
            relative_step_time(own, beside) * backbone.step_seconds,
            count_parameters(variant, self.evaluator.num_classes),
            relative_step_spread(own, beside) * backbone.step_seconds,
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
        last = training.stages(training.batch_size)[-1]
        return {
            "image_size": last.image_size,
            "batch_size": last.batch_size,
            "precision": training.model.precision,
            "classes": self.evaluator.num_classes,
            "optimizer": training.optimizer,
        }

    @functools.cached_property
    def _timer(self) -> StepTimer:
        return StepTimer(self.space.backbone, **self._workload())

    @functools.cached_property
    def _backbone_parameters(self) -> int:
        return count_parameters(self.space.backbone, self.evaluator.num_classes)


def _backbone_seconds(study: optuna.Study, measured: float) -> float:
    """The study's backbone time, set to the latest measurement if there is none."""
    if _BACKBONE_SECONDS not in study.user_attrs:
        study.set_user_attr(_BACKBONE_SECONDS, measured)
    # Read again: another worker may have measured at the same time.
    return study.user_attrs[_BACKBONE_SECONDS]


def count_parameters(variant: Variant, classes: int) -> int:
    """Parameters of a network with a classifier of `classes`."""
    num_features = variant.scaled_top_filters
    of_others = profile(variant, measure=False).num_params - 1000 * (num_features + 1)
    return of_others + classes * (num_features + 1)
