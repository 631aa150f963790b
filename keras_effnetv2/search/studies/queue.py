"""The trials of a study as a queue that any number of workers share.

The first `num_trials` trials of a study are its queue: trial 17 is the eighteenth
candidate, whoever evaluates it and however often a worker is killed meanwhile. A trial
of a lost worker becomes waiting again, in one write to the storage; none is copied,
so none can be lost or counted twice.
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
from keras_effnetv2.private_apis import id_of, storage_of

# Attributes of a trial: who evaluates it, and how many have begun to.
_CLAIM, _ATTEMPTS = "keras_effnetv2:claim", "keras_effnetv2:attempts"
# A candidate that was evaluated when this many workers died has killed them: the system
# ends a process that takes too much memory.
_MAX_ATTEMPTS = 3
FAILURE = "failure"  # User attribute of a failed trial: why.

_PROCESS = uuid.uuid4().hex


def _machine() -> str | None:
    """What a number of a process is unique in; None where that is unknown.

    Containers have the host's kernel, and each numbers its processes anew. Names and
    network addresses say nothing: containers of different hosts may share them.
    """
    try:
        boot = pathlib.Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot}/{os.readlink('/proc/self/ns/pid')}"
    except OSError:  # Not on Linux.
        return None


_MACHINE = _machine()


class TrialQueue:
    """Hands out trials, and takes back those of workers that are gone.

    A worker is gone when its process is, on this machine and in this container; or,
    anywhere, when it has not renewed its claim for `patience` seconds. Clocks of
    machines are not compared.

    Args:
        study: may be shared with other processes.
        num_trials: of the study, over all workers and restarts.
        interval: between two renewals of a claim, seconds.
        patience: seconds; some intervals, as a busy machine may delay a renewal.
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
                "Expected an interval above 0 and more patience than that. Received: "
                f"interval={interval}, patience={patience}."
            )
        self._study = study
        self._storage = storage_of(study)
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
        # Number of a trial -> its claim as last seen, and since when.
        self._seen: dict[int, tuple[Any, float]] = {}

    @property
    def num_finished(self) -> int:
        """Trials of the queue that were completed, pruned or have failed."""
        return sum(trial.state.is_finished() for trial in self._trials())

    def claim(self) -> optuna.Trial | None:
        """A trial for this worker alone; None if others have what is left.

        Whoever has claimed a trial evaluates it inside `heartbeat`, then calls `finish`
        or `release`.
        """
        self._return_lost()
        trials = self._trials()
        is_open = len(trials) < self._num_trials
        if not is_open and all(t.state != TrialState.WAITING for t in trials):
            return None
        trial = self._study.ask()
        if trial.number >= self._num_trials:
            # Another worker took the last one. This one waits for more trials.
            self._set_state(id_of(trial), TrialState.WAITING)
            return None
        self._renew(trial, 0)
        self._count_attempt(trial, 1)
        return trial

    def finish(
        self, trial: optuna.Trial, state: TrialState, reward: float | None = None
    ) -> bool:
        """Records how a claimed trial ended; False if the claim was lost meanwhile.

        Another worker then evaluates the trial, as this one was thought to be gone.
        """
        if not self._is_mine(trial):
            return False
        self._study.tell(trial, reward, state=state, skip_if_finished=True)
        return True

    def release(self, trial: optuna.Trial) -> None:
        """Returns a claimed trial to the queue, unfinished."""
        if self._is_mine(trial):
            self._count_attempt(trial, -1)
            self._return(id_of(trial))

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
            except Exception as error:  # A database may be away for a moment.
                logging.warning("Trial %d: claim not renewed: %s", trial.number, error)
        self._storage.remove_session()

    def _trials(self) -> list[FrozenTrial]:
        return self._study.get_trials(deepcopy=False)[: self._num_trials]

    def _return_lost(self) -> None:
        for trial in self._trials():
            if trial.state == TrialState.RUNNING and self._is_lost(trial):
                # The trial may have been finished, after all, since it was read.
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
            self._return(id_of(trial))
            return
        reason = f"{_MAX_ATTEMPTS} workers died of it, perhaps for lack of memory"
        self._storage.set_trial_user_attr(id_of(trial), FAILURE, reason)
        self._set_state(id_of(trial), TrialState.FAIL)

    def _return(self, trial_id: int) -> None:
        # In this order: once it waits, another worker's claim may follow at once.
        self._storage.set_trial_system_attr(trial_id, _CLAIM, None)
        self._set_state(trial_id, TrialState.WAITING)

    def _set_state(self, trial_id: int, state: TrialState) -> None:
        self._storage.set_trial_state_values(trial_id, state=state)

    def _set(self, trial: optuna.Trial, name: str, value: Any) -> None:
        self._storage.set_trial_system_attr(id_of(trial), name, value)

    def _renew(self, trial: optuna.Trial, beat: int) -> None:
        self._set(trial, _CLAIM, {**self._worker, "beat": beat})

    def _count_attempt(self, trial: optuna.Trial, change: int) -> None:
        stored = self._storage.get_trial(id_of(trial))
        attempts = stored.system_attrs.get(_ATTEMPTS, 0)
        self._set(trial, _ATTEMPTS, attempts + change)

    def _is_mine(self, trial: optuna.Trial) -> bool:
        stored = self._storage.get_trial(id_of(trial))
        claim = stored.system_attrs.get(_CLAIM)
        return bool(claim) and claim["worker"] == self._worker["worker"]


def check_num_trials(num_trials: int) -> None:
    """Whether a queue can have so many trials.

    Raises:
        ValueError: fewer than one.
    """
    if num_trials < 1:
        raise InputError(f"A search needs trials. Received: {num_trials}.")


def _is_alive(pid: int) -> bool:
    """Whether another process of this machine runs; True where that is unknown."""
    if pid == os.getpid():  # The number of a process that is gone, used again.
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
