"""Processes of a measurement, which start and end together."""

import contextlib
from collections.abc import Callable, Iterator
from typing import TypeVar

from benchmarks.progress import Progress
from benchmarks.workers import Worker

MATRIX = "matrix multiplication"

_Worker = TypeVar("_Worker", bound=Worker)


class Crew:
    """Processes by name, one of which works at a time.

    Attributes:
        workers: name -> the process.
    """

    def __init__(self, progress: Progress) -> None:
        self.workers: dict[str, Worker] = {}
        self._progress = progress

    def add(self, name: str, start: Callable[[], _Worker]) -> _Worker:
        """Starts a process, and waits until it is ready."""
        self._progress.begin(f"starting {name}")
        worker = start()
        self.workers[name] = worker
        worker.ready()
        return worker

    def add_matrices(self, precision: str = "float32") -> Worker:
        """Adds a process that answers `"gflops"` of matrix multiplication."""
        words = "benchmarks.processes.keras_side", "matmul", precision
        return self.add(MATRIX, lambda: Worker(*words))


@contextlib.contextmanager
def crew(progress: Progress) -> Iterator[Crew]:
    """An empty crew, whose processes end with the `with`."""
    found = Crew(progress)
    try:
        yield found
    finally:
        for worker in found.workers.values():
            worker.close()
