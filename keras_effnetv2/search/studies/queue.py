"""The trials of a study as a queue, shared by any number of workers.

The first `num_trials` trials of a study are its queue: trial 17 is the eighteenth
candidate, whoever evaluates it and however often a worker is killed. A trial of a lost
worker is set to waiting again, in one write to the storage; none is copied, so none can
be lost or counted twice.
"""

import contextlib
import logging
import os
import pathlib
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import optuna
from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import FrozenTrial, TrialState

from keras_effnetv2.errors import InputError
from keras_effnetv2.private_apis import TrialStorage

# Attributes of a trial: who evaluates it, and the number of attempts.
_CLAIM, _ATTEMPTS = "keras_effnetv2:claim", "keras_effnetv2:attempts"
# A candidate with which this many workers died has killed them: the system kills
# processes that take too much memory.
_MAX_ATTEMPTS = 3
FAILURE = "failure"  # User attribute of a failed trial: the reason.

_PROCESS = uuid.uuid4().hex


def _machine() -> str | None:
    """The scope within which process numbers are unique; None if unknown.

    Containers share the host's kernel, but each numbers its own processes. Names and
    network addresses tell nothing: containers on different hosts may share them.
    """
    try:
        boot = pathlib.Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot}/{os.readlink('/proc/self/ns/pid')}"
    except OSError:  # Not on Linux.
        return None


_MACHINE = _machine()


class TrialQueue:
    """Hands out trials, and takes back those of lost workers.

    A worker is lost when its process is gone, if it ran on this machine and in this
    container; or, anywhere, when it has not renewed its claim for `patience` seconds.
    Clocks of machines are not compared.

    Args:
        study: a study, which may be shared with other processes.
        num_trials: trials of the study, over all workers and restarts.
        interval: seconds between renewals of a claim.
        patience: seconds; several intervals, as a busy machine may delay a renewal.
        clock: seconds from any moment.

    Raises:
        ValueError: no trials, or less patience than an interval.
    """

    def __init__(
        self,
        study: optuna.Study,
        num_trials: int,
        interval: float = 10.0,
        patience: float = 90.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        check_num_trials(num_trials)
        if not 0 < interval < patience:
            raise InputError(
                "Expected an interval above 0, and a patience longer than it. "
                f"Received: interval={interval}, patience={patience}."
            )
        self._study = study
        self._storage = TrialStorage(study)
        self._num_trials = num_trials
        self._interval = interval
        self._patience = patience
        self._clock = clock
        pid = os.getpid()
        self._worker = {
            "worker": f"{_PROCESS}/{pid}",
            "machine": _MACHINE,
            "pid": pid,
        }
        # Number of a trial -> its last seen claim, and since when.
        self._seen: dict[int, tuple[Any, float]] = {}

    @property
    def num_finished(self) -> int:
        """Trials of the queue that are complete, pruned or failed."""
        return sum(trial.state.is_finished() for trial in self._trials())

    def claim(self) -> optuna.Trial | None:
        """Claims a trial for this worker; None if others have the rest.

        The worker evaluates a claimed trial inside `heartbeat`, then calls `finish` or
        `release`.
        """
        self._return_lost()
        trials = self._trials()
        is_open = len(trials) < self._num_trials
        if not is_open and all(t.state != TrialState.WAITING for t in trials):
            return None
        trial = self._study.ask()
        if trial.number >= self._num_trials:
            # Another worker took the last one. This one waits for more trials.
            self._storage.set_state(trial, TrialState.WAITING)
            return None
        self._renew(trial, 0)
        self._count_attempt(trial, 1)
        return trial

    def finish(
        self, trial: optuna.Trial, state: TrialState, reward: float | None = None
    ) -> bool:
        """Records how a claimed trial ended; False if the claim was lost meanwhile.

        Another worker then evaluates the trial, since this one was considered lost.
        """
        if not self._is_mine(trial):
            return False
        self._study.tell(trial, reward, state=state, skip_if_finished=True)
        return True

    def release(self, trial: optuna.Trial) -> None:
        """Returns a claimed trial to the queue, unfinished."""
        if self._is_mine(trial):
            self._count_attempt(trial, -1)
            self._return(trial)

    @contextlib.contextmanager
    def heartbeat(self, trial: optuna.Trial) -> Iterator[None]:
        """Renews the claim, from a thread, while the context is open."""
        stop = threading.Event()
        thread = threading.Thread(target=self._beat, args=(trial, stop), daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()

    def _beat(self, trial: optuna.Trial, stop: threading.Event) -> None:
        beat = 0
        while not stop.wait(self._interval):
            beat += 1
            try:
                if self._is_mine(trial):
                    self._renew(trial, beat)
            except Exception as error:  # A database may be unreachable for a moment.
                logging.warning("Trial %d: claim not renewed: %s", trial.number, error)
        self._storage.close()

    def _trials(self) -> list[FrozenTrial]:
        return self._study.get_trials(deepcopy=False)[: self._num_trials]

    def _return_lost(self) -> None:
        for trial in self._trials():
            if trial.state == TrialState.RUNNING and self._is_lost(trial):
                # The trial may have been finished since it was read.
                with contextlib.suppress(UpdateFinishedTrialError):
                    self._return_or_fail(trial)

    def _is_lost(self, trial: FrozenTrial) -> bool:
        claim = trial.system_attrs.get(_CLAIM) or {}
        if claim.get("worker") == self._worker["worker"]:
            return False
        is_near = _MACHINE is not None and claim.get("machine") == _MACHINE
        if is_near and not _is_alive(claim["pid"]):
            return True
        now = self._clock()
        seen, since = self._seen.get(trial.number, (None, None))
        if since is None or seen != claim:
            self._seen[trial.number] = claim, now
            return False
        return now - since > self._patience

    def _return_or_fail(self, trial: FrozenTrial) -> None:
        if trial.system_attrs.get(_ATTEMPTS, 0) < _MAX_ATTEMPTS:
            self._return(trial)
            return
        reason = f"{_MAX_ATTEMPTS} workers died of it, perhaps for lack of memory"
        self._storage.set_user_attribute(trial, FAILURE, reason)
        self._storage.set_state(trial, TrialState.FAIL)

    def _return(self, trial: optuna.Trial | FrozenTrial) -> None:
        # In this order: once it is waiting, another worker may claim it at once.
        self._storage.set_attribute(trial, _CLAIM, None)
        self._storage.set_state(trial, TrialState.WAITING)

    def _renew(self, trial: optuna.Trial, beat: int) -> None:
        self._storage.set_attribute(trial, _CLAIM, {**self._worker, "beat": beat})

    def _count_attempt(self, trial: optuna.Trial, change: int) -> None:
        attempts = self._storage.attribute(trial, _ATTEMPTS) or 0
        self._storage.set_attribute(trial, _ATTEMPTS, attempts + change)

    def _is_mine(self, trial: optuna.Trial) -> bool:
        claim = self._storage.attribute(trial, _CLAIM)
        return bool(claim) and claim["worker"] == self._worker["worker"]


def check_num_trials(num_trials: int) -> None:
    """Checks whether a queue can have so many trials.

    Raises:
        ValueError: less than one.
    """
    if num_trials < 1:
        raise InputError(f"A search needs trials. Received: {num_trials}.")


def _is_alive(pid: int) -> bool:
    """Whether another process on this machine runs; True if unknown."""
    if pid == os.getpid():  # The number of a dead process, reused.
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
