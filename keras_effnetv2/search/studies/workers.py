"""Workers, which evaluate the trials of a study until all are done."""

import math
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import optuna
from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import FrozenTrial, TrialState

from keras_effnetv2.search.sampling.policy import Choice
from keras_effnetv2.search.studies.queue import FAILURE, TrialQueue
from keras_effnetv2.search.studies.study import read_decisions

Point = dict[str, Choice]
Objective = Callable[[optuna.Trial, Point], float]
_POLL = 1.0  # Seconds between checks of a queue whose rest other workers have.


class CandidateError(Exception):
    """Raised by an objective when its candidate cannot be scored.

    For example out of memory, or a loss that is not finite: the trial counts as failed,
    and the search continues. Any other exception ends the worker, and its trial is
    tried again.
    """


def run_worker(
    study: optuna.Study,
    objective: Objective,
    num_trials: int,
    on_trial_end: Callable[[optuna.Study, FrozenTrial], None] | None = None,
    most: int | None = None,
    **queue_options: Any,
) -> bool:
    """Evaluates trials until the study has `num_trials` finished ones, by any worker.

    If other workers have the last trials, this one waits for them, and takes over those
    of a lost worker. An interrupt, SIGTERM included, returns the current trial to the
    queue.

    Args:
        study: from `open_study`.
        objective: turns a trial and its point into the reward. It may report
            intermediate accuracies and be pruned (`trial.report`,
            `trial.should_prune`), and sets `accuracy`, `step_seconds` and `parameters`
            with `trial.set_user_attr`.
        num_trials: trials of the study, over all workers and restarts.
        on_trial_end: called after each trial that this worker has finished.
        most: maximum of trials of this worker. None: no limit.
        queue_options: `interval` and `patience` of `TrialQueue`.

    Returns:
        Whether the study has enough; otherwise this worker has evaluated `most`.

    Raises:
        ValueError: see `TrialQueue` and `read_decisions`.
        Exception: any error of the objective except `CandidateError`.
    """
    decisions = read_decisions(study)
    queue = TrialQueue(study, num_trials, **queue_options)
    count = 0
    with interrupt_on_sigterm():
        while queue.num_finished < num_trials:
            if count == most:
                return False
            trial = queue.claim()
            if trial is None:
                time.sleep(_POLL)
                continue
            count += 1
            is_finished = _run_trial(queue, trial, objective, decisions)
            if is_finished and on_trial_end is not None:
                on_trial_end(study, study.get_trials(deepcopy=False)[trial.number])
    return True


def _run_trial(
    queue: TrialQueue,
    trial: optuna.Trial,
    objective: Objective,
    decisions: Mapping[str, tuple[Choice, ...]],
) -> bool:
    """Evaluates a trial; returns whether it was finished here, not elsewhere."""
    try:
        with queue.heartbeat(trial):
            point = {
                name: trial.suggest_categorical(name, choices)
                for name, choices in decisions.items()
            }
            state, reward = _evaluate(trial, point, objective)
        return queue.finish(trial, state, reward)
    except UpdateFinishedTrialError:
        return False
    except BaseException:
        queue.release(trial)
        raise


def _evaluate(
    trial: optuna.Trial, point: Point, objective: Objective
) -> tuple[TrialState, float | None]:
    try:
        reward = float(objective(trial, point))
    except optuna.TrialPruned:
        return TrialState.PRUNED, None
    except CandidateError as error:
        trial.set_user_attr(FAILURE, str(error))
        return TrialState.FAIL, None
    if not math.isfinite(reward):
        trial.set_user_attr(FAILURE, f"the reward is {reward}")
        return TrialState.FAIL, None
    return TrialState.COMPLETE, reward


@contextmanager
def interrupt_on_sigterm() -> Iterator[None]:
    """Turns SIGTERM, sent by schedulers and `kill`, into an interrupt, to clean up."""
    if threading.current_thread() is not threading.main_thread():
        yield  # Only the main thread may set handlers.
        return
    previous = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)
