"""Several workers on this machine, each in its own process."""

import logging
import os
import subprocess
import time
from collections.abc import Sequence

from keras_effnetv2.errors import InputError, WorkerError
from keras_effnetv2.search.studies.workers import interrupt_on_sigterm

_POLL = 0.5  # Seconds between checks of the processes.
_GRACE = 20.0  # Seconds that an interrupted worker has to return its trial.
# The system kills processes that take too much memory, which is often the candidate's
# fault, not the worker's. If a worker is killed more often, there is another reason.
_MAX_RESTARTS = 3
# CUDA's variable: the GPUs that a process may see, by number or identifier.
_VISIBLE = "CUDA_VISIBLE_DEVICES"
# Exit status of a worker that has done its share and needs a successor.
RENEW = 75


def visible_gpus() -> list[str]:
    """The GPUs that this process may use, as CUDA_VISIBLE_DEVICES names them."""
    import tensorflow as tf

    num_gpus = len(tf.config.list_physical_devices("GPU"))
    names = os.environ.get(_VISIBLE) or ",".join(map(str, range(num_gpus)))
    # CUDA uses the names up to the first one that it does not know.
    return [name.strip() for name in names.split(",")][:num_gpus]


def run_workers(
    command: Sequence[str], num_workers: int, gpus: Sequence[str] = ()
) -> None:
    """Runs a command in several processes, and waits until all are done.

    A process that was killed is restarted, at most three times; one that ends with
    `RENEW`, always; one that fails is not, and the others continue. An interrupt or
    SIGTERM stops all.

    Args:
        command: command of one worker, such as `python -m keras_effnetv2 search ...`.
        num_workers: number of processes.
        gpus: from `visible_gpus`. Each of several workers gets one of them, in
            rotation; a single worker gets all.

    Raises:
        ValueError: no workers.
        ChildProcessError: a worker failed; the others have done what they could.
    """
    if num_workers < 1:
        raise InputError(f"A search needs workers. Received: {num_workers}.")
    if 0 < len(gpus) < num_workers:
        logging.warning("%d workers share %d GPUs.", num_workers, len(gpus))
    workers = [
        _Worker(command, gpus[number % len(gpus)] if gpus and num_workers > 1 else None)
        for number in range(num_workers)
    ]
    with interrupt_on_sigterm():
        try:
            for worker in workers:
                worker.start()
            while any([worker.is_running() for worker in workers]):
                time.sleep(_POLL)
        finally:
            _stop(workers)
    failed = sum(worker.has_failed() for worker in workers)
    if failed:
        raise WorkerError(
            f"{failed} of {num_workers} workers failed; see above. The trials they "
            "had begun are not lost: the same command resumes."
        )


class _Worker:
    """A process, and how often it was started again."""

    def __init__(self, command: Sequence[str], gpu: str | None) -> None:
        self._command = list(command)
        self._environment = os.environ | ({} if gpu is None else {_VISIBLE: gpu})
        self._num_restarts = 0
        self.process: subprocess.Popen | None = None

    def start(self) -> None:
        # In its own session: Ctrl-C reaches it once, from here. A second one would hit
        # the worker while it returns its trial.
        self.process = subprocess.Popen(
            self._command, env=self._environment, start_new_session=True
        )

    def is_running(self) -> bool:
        """Whether it runs; restarts it if it was killed or has done its share."""
        if self.process is None:
            return False
        code = self.process.poll()
        if code is None:
            return True
        if code == RENEW:
            self.start()
            return True
        if code >= 0 or self._num_restarts == _MAX_RESTARTS:
            return False
        self._num_restarts += 1
        logging.warning("A worker was killed by signal %d; restarting it.", -code)
        self.start()
        return True

    def has_failed(self) -> bool:
        return self.process is None or self.process.returncode != 0


def _stop(workers: Sequence[_Worker]) -> None:
    """Stops processes that still run, and kills those that do not react.

    With SIGTERM, which interrupts a worker: processes that a shell has started in the
    background ignore SIGINT.
    """
    processes = [worker.process for worker in workers if worker.process is not None]
    for process in processes:
        if process.poll() is None:
            process.terminate()
    deadline = time.monotonic() + _GRACE
    for process in processes:
        try:
            process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
