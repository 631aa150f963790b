"""The progress that a search shows."""

from typing import TextIO

import optuna
from optuna.trial import FrozenTrial

from keras_effnetv2.progress import Line, format_duration
from keras_effnetv2.search.results.trials import Result, best_result, read_results

_FINISHED = ("complete", "pruned", "screened", "failed")


class SearchProgress:
    """A line for each trial: how it ended, how many are done, the best, the time left.

    It counts the trials of all workers. Use it as `on_trial_end` of `run_worker`.

    Args:
        num_trials: number of trials of the study.
        stream: where to write; None: `sys.stderr`.
    """

    def __init__(self, num_trials: int, stream: TextIO | None = None) -> None:
        self._num_trials = num_trials
        self._line = Line(stream)

    def __call__(self, study: optuna.Study, trial: FrozenTrial) -> None:
        """Writes the line of a trial that has just ended."""
        results = read_results(study)
        finished = [result for result in results if result.state in _FINISHED]
        ended = next(result for result in results if result.number == trial.number)
        num_screened = sum(result.state == "screened" for result in results)
        best = best_result(results)
        parts = [
            f"trials {len(finished):{len(str(self._num_trials))}}/{self._num_trials}",
            *([f"{num_screened} screened"] if num_screened else []),
            _describe(ended),
            f"best {best.reward:.4f} (trial {best.number})" if best else "no best yet",
            *self._describe_left(results, finished),
        ]
        self._line.keep("  ".join(parts))

    def _describe_left(
        self, results: list[Result], finished: list[Result]
    ) -> list[str]:
        """The time left, with as many parallel trials as now, as long as before."""
        num_left = self._num_trials - len(finished)
        if num_left <= 0:
            return []
        mean = sum(result.duration or 0.0 for result in finished) / len(finished)
        # Others are running, and this worker starts its next trial at once.
        num_workers = 1 + sum(result.state == "running" for result in results)
        return [f"left {format_duration(mean * num_left / min(num_workers, num_left))}"]


def _describe(result: Result) -> str:
    duration = format_duration(result.duration or 0.0)
    if result.state == "complete":
        accuracy = result.accuracy
        measured = "" if accuracy is None else f"  accuracy {accuracy:6.1%}"
        text = f"reward {result.reward:.4f}{measured}"
    elif result.state == "screened":
        ratio = result.predicted_step_ratio
        text = f"screened (predicted {ratio:.2f} times the backbone's step)"
    else:
        text = result.state + (f" ({result.failure})" if result.failure else "")
    return f"trial {result.number}: {text} in {duration}"
