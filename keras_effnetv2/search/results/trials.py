"""The measurements of a study, as rows and as `results.csv`."""

import csv
import dataclasses
import io
import operator
import os
from collections.abc import Sequence

import optuna
from optuna.trial import FrozenTrial, TrialState

from keras_effnetv2.files import replace_file
from keras_effnetv2.search.reward import Measurement, pareto_front
from keras_effnetv2.search.sampling.policy import Choice
from keras_effnetv2.search.studies.queue import FAILURE
from keras_effnetv2.search.studies.study import is_screened, read_decisions

_STATES = {
    TrialState.COMPLETE: "complete",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
    TrialState.RUNNING: "running",
    TrialState.WAITING: "waiting",
}


@dataclasses.dataclass(frozen=True)
class Result:
    """A trial: a candidate and its measurements; None means not measured."""

    number: int  # From 0, in order of their start.
    state: str  # complete, pruned, screened, failed, running or waiting.
    point: dict[str, Choice]
    accuracy: float | None  # From 0 to 1; for a pruned trial, the last one reported.
    step_seconds: float | None
    step_spread: float | None  # Seconds between the quartiles of the step's rounds.
    predicted_step_ratio: float | None  # To the backbone's, if the search screens.
    parameters: int | None
    reward: float | None  # Of a complete trial.
    duration: float | None  # Seconds of the last attempt of a finished trial.
    failure: str | None  # Why a trial failed.

    @property
    def measured(self) -> Measurement | None:
        """The measurement of a complete trial, if nothing is missing."""
        if (
            self.reward is None
            or self.accuracy is None
            or self.step_seconds is None
            or self.parameters is None
        ):
            return None
        return Measurement(self.accuracy, self.step_seconds, self.parameters)


def read_results(study: optuna.Study) -> list[Result]:
    """All trials that have a point, ordered by number."""
    trials = study.get_trials(deepcopy=False)
    return [_to_result(trial) for trial in trials if trial.params]


def write_results(study: optuna.Study, path: str | os.PathLike) -> None:
    """Writes `read_results` as CSV, one column per decision; replaces an older file.

    The last column marks the `best_trades`.

    Raises:
        ValueError: see `read_decisions`.
    """
    decisions = tuple(read_decisions(study))
    file = io.StringIO(newline="")
    writer = csv.writer(file, lineterminator="\n")
    before, after = _columns()
    writer.writerow([*before, *decisions, *after, "best_trade"])
    results = read_results(study)
    trades = {result.number for result in best_trades(results)}
    for result in results:
        writer.writerow(
            [
                *(getattr(result, name) for name in before),
                *(result.point.get(name) for name in decisions),
                *(getattr(result, name) for name in after),
                result.number in trades,
            ]
        )
    replace_file(path, file.getvalue().encode())


def best_result(results: Sequence[Result]) -> Result | None:
    """The complete trial with the highest reward; None if there is none."""
    rewarded = [(x.reward, x) for x in results if x.reward is not None]
    _, best = max(rewarded, key=operator.itemgetter(0), default=(None, None))
    return best


def best_trades(results: Sequence[Result]) -> list[Result]:
    """The measured trials that no other beats: see `pareto_front`."""
    measured = [(result, found) for result in results if (found := result.measured)]
    front = pareto_front([found for _, found in measured])
    return [measured[index][0] for index in front]


def _columns() -> tuple[list[str], list[str]]:
    """Names of the fields before the point, and after it."""
    names = [field.name for field in dataclasses.fields(Result)]
    place = names.index("point")
    return names[:place], names[place + 1 :]


def _to_result(trial: FrozenTrial) -> Result:
    accuracy = trial.user_attrs.get("accuracy")
    state = "screened" if is_screened(trial) else _STATES[trial.state]
    # A pruned trial was stopped before it could record its accuracy.
    if accuracy is None and state == "pruned" and trial.last_step is not None:
        accuracy = trial.intermediate_values[trial.last_step]
    return Result(
        number=trial.number,
        state=state,
        point=trial.params,
        accuracy=accuracy,
        step_seconds=trial.user_attrs.get("step_seconds"),
        step_spread=trial.user_attrs.get("step_spread"),
        predicted_step_ratio=trial.user_attrs.get("predicted_step_ratio"),
        parameters=trial.user_attrs.get("parameters"),
        reward=trial.value if trial.state == TrialState.COMPLETE else None,
        duration=trial.duration.total_seconds() if trial.duration else None,
        failure=trial.user_attrs.get(FAILURE),
    )
