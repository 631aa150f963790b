"""Experiment trackers that runs are written to: MLflow and Weights & Biases.

Both are configured as in their own documentation: by `MLFLOW_TRACKING_URI`, `wandb
login`, `WANDB_MODE` and so on. A resumed run adds to the same run there; the IDs are
kept in its work folder.
"""

import contextlib
import json
import os
import time
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

from absl import logging

from keras_effnetv2.errors import InputError, require_modules
from keras_effnetv2.files import replace_file
from keras_effnetv2.paths import AnyPath, RemotePath
from keras_effnetv2.training.choices import TRACKERS
from keras_effnetv2.training.experiments.configuration import Experiment
from keras_effnetv2.training.experiments.settings import list_settings, to_text

# Name of the file with the IDs.
TRACKING = "tracking.json"
# Types that both accept as they are; everything else is converted to text.
_PLAIN = (bool, int, float, str, type(None))
# Longest text that MLflow accepts, characters. Only whole networks are longer.
_LONGEST = 500


class Tracker(Protocol):
    """A run in a tracker.

    Attributes:
        id: the tracker's ID of the run.
    """

    id: str

    def write(self, metrics: dict[str, float], step: int) -> None:
        """Adds metrics measured after an optimizer step."""
        ...

    def close(self, status: str) -> None:
        """Ends it: `"FINISHED"`, `"KILLED"` (it may resume), or `"FAILED"`."""
        ...


def check_trackers(names: Sequence[str]) -> None:
    """Refuses trackers that are unknown or not installed.

    Raises:
        ValueError: one is unknown.
        ImportError: one is not installed.
    """
    for name in names:
        if name not in TRACKERS:
            raise InputError(
                f"log takes {', '.join(TRACKERS)}. Received: {', '.join(names)}."
            )
        require_modules(f"log={name} needs", name, name)


def open_trackers(
    names: Sequence[str], path: AnyPath, experiment: Experiment
) -> list[Tracker]:
    """Starts or resumes a run in each tracker.

    Args:
        names: trackers, in addition to those that the run already uses.
        path: the file of IDs, in the work folder.
        experiment: the experiment, whose settings are written there.

    Raises:
        ValueError: a tracker cannot be opened.
        ImportError: one is not installed.
    """
    ids = json.loads(path.read_bytes()) if path.exists() else {}
    every = [*dict.fromkeys([*ids, *names])]
    check_trackers(every)
    settings = {
        name: value if isinstance(value, _PLAIN) else to_text(value)[:_LONGEST]
        for name, value in list_settings(experiment).items()
    }
    opened = [
        _TRACKERS[name](ids.get(name), path.parent, experiment.name, settings)
        for name in every
    ]
    if every:
        ids = {name: run.id for name, run in zip(every, opened, strict=True)}
        replace_file(path, json.dumps(ids, indent=2).encode() + b"\n")
    return opened


@contextlib.contextmanager
def failures_noted(action: str) -> Iterator[None]:
    """Warns of whatever fails: training is worth more than its record elsewhere."""
    try:
        yield
    except Exception as error:
        logging.warning("A tracker failed to %s: %s", action, error)


class _MLflow:
    """A run in an MLflow experiment, with our name unless the environment has one."""

    def __init__(
        self,
        run_id: str | None,
        folder: AnyPath,
        name: str,
        settings: dict[str, Any],
    ) -> None:
        import mlflow

        errors = mlflow.exceptions.MlflowException
        with _errors_explained("MLflow", errors, "MLFLOW_TRACKING_URI", folder):
            # Not the functions of `mlflow` itself: they have one run per process, which
            # may be the caller's.
            self._client = mlflow.MlflowClient()
            if run_id is None:
                run_id = self._begin(folder, name, settings)
            self._client.update_run(run_id, status="RUNNING")
        self.id = run_id

    def _begin(self, folder: AnyPath, name: str, settings: dict[str, Any]) -> str:
        from mlflow.entities import Param

        name = os.environ.get("MLFLOW_EXPERIMENT_NAME") or name
        found = self._client.get_experiment_by_name(name)
        experiment_id = (
            found.experiment_id if found else self._client.create_experiment(name)
        )
        run = self._client.create_run(experiment_id, run_name=folder.name)
        params = [Param(setting, str(value)) for setting, value in settings.items()]
        self._client.log_batch(run.info.run_id, params=params)
        return run.info.run_id

    def write(self, metrics: dict[str, float], step: int) -> None:
        from mlflow.entities import Metric

        now = int(1000 * time.time())
        self._client.log_batch(
            self.id, [Metric(*metric, now, step) for metric in metrics.items()]
        )

    def close(self, status: str) -> None:
        self._client.set_terminated(self.id, status)


class _WandB:
    """A run of Weights & Biases, in the project that the environment names or ours."""

    def __init__(
        self,
        run_id: str | None,
        folder: AnyPath,
        name: str,
        settings: dict[str, Any],
    ) -> None:
        import wandb

        remedy = "wandb login, or WANDB_MODE=offline,"
        with _errors_explained("Weights & Biases", wandb.Error, remedy, folder):
            self._run = wandb.init(
                project=os.environ.get("WANDB_PROJECT") or "keras_effnetv2",
                group=name,
                name=folder.name,
                # Its own files are local.
                dir=None if isinstance(folder, RemotePath) else os.fspath(folder),
                id=run_id,
                resume="allow" if run_id else None,
            )
        self._run.config.update(settings, allow_val_change=True)
        self.id = self._run.id

    def write(self, metrics: dict[str, float], step: int) -> None:
        self._run.log(metrics, step=step)

    def close(self, status: str) -> None:
        self._run.finish(exit_code=0 if status == "FINISHED" else 1)


_TRACKERS = {"mlflow": _MLflow, "wandb": _WandB}


@contextlib.contextmanager
def _errors_explained(
    tracker: str, errors: type[Exception], remedy: str, folder: AnyPath
) -> Iterator[None]:
    try:
        yield
    except errors as error:
        reason = " ".join(str(error).split()).rstrip(".")
        raise InputError(
            f"The run of {folder} cannot be written to {tracker}: {reason}. Set it up "
            f"by {remedy} or leave it out of --log, and remove {TRACKING} from the "
            "work folder if it exists."
        ) from error
