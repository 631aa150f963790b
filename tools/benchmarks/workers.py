"""Processes that measure on request and are idle in between, so that they take turns.

Frameworks keep their own threads and memory; in separate processes they do not disturb
each other. Needs only the standard library, as the process may belong to another
environment.
"""

import ctypes
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

TOOLS = pathlib.Path(__file__).parents[1]

# Peers of different frameworks are compared on the processor, even if there is a GPU.
_ENVIRONMENT = {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}
_STATUS = pathlib.Path("/proc/self/status")
_NUM_WARM_UPS = 4  # One traces (for our eager calls the third); one settles memory.
# For /proc/self/clear_refs, proc(5): resets the peak to the current size.
_RESET_PEAK = "5"

Run = Callable[[], object]


class Worker:
    """A measuring process, seen from outside.

    It starts working at once; `ready` waits until it can be asked.

    Args:
        module: module whose `main` answers, importable from the folder `tools`.
        words: arguments of the module.
        python: interpreter; None: this one.
        environment: variables in addition to those of this process.
    """

    def __init__(
        self,
        module: str,
        *words: str,
        python: str | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.name = " ".join((module.rpartition(".")[2], *words))
        self._greeting: Any = None
        self.errors = tempfile.TemporaryFile("w+")  # noqa: SIM115  Until `close`.
        paths = [str(TOOLS), *filter(None, [os.environ.get("PYTHONPATH")])]
        self.process = subprocess.Popen(
            [python or sys.executable, "-m", module, *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            text=True,
            env={
                **_ENVIRONMENT,
                **os.environ,
                **(environment or {}),
                "PYTHONPATH": os.pathsep.join(paths),
            },
        )

    def ready(self) -> Any:
        """Waits until it can be asked; returns its description of itself.

        Raises:
            RuntimeError: the process has failed.
        """
        if self._greeting is None:
            self._greeting = self._read()
        return self._greeting

    def ask(self, *question: Any) -> Any:
        """The answer to a name and its arguments; see `answer`.

        Raises:
            RuntimeError: the process has failed.
        """
        try:
            self.process.stdin.write(json.dumps(question) + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            pass  # `_read` tells why.
        return self._read()

    def close(self) -> None:
        """Ends the process."""
        self.process.communicate()
        self.errors.close()

    def _read(self) -> Any:
        line = self.process.stdout.readline()
        if not line:
            self.process.communicate()
            with self.errors:
                self.errors.seek(0)
                raise RuntimeError(f"{self.name} failed:\n{self.errors.read()}")
        return json.loads(line)


def answer(prepare: Callable[[], tuple[Any, Mapping[str, Callable]]]) -> None:
    """Answers inside the process, until there is nothing more to read.

    Args:
        prepare: function that returns the process's description of itself, and the
            functions by name that answer questions. What they print is not an answer.
    """
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    greeting, functions = prepare()
    print(json.dumps(greeting), file=answers, flush=True)
    for line in sys.stdin:
        name, *arguments = json.loads(line)
        print(json.dumps(functions[name](*arguments)), file=answers, flush=True)


def warm_up(kind: str, runs: Sequence[Run]) -> dict[str, int | None]:
    """Runs each a few times; for the kind `"memory"`, says what the first one adds."""
    greeting = {"added_bytes": added_memory(runs[0])} if kind == "memory" else {}
    for run in runs:
        for _ in range(_NUM_WARM_UPS):
            run()
    return greeting


def median_seconds(run: Run, num_runs: int = 5, seconds: float = 0.3) -> float:
    """Median seconds of a run, over at least so many runs and so many seconds."""
    durations: list[float] = []
    while len(durations) < num_runs or sum(durations) < seconds:
        start = time.perf_counter()
        run()
        durations.append(time.perf_counter() - start)
    return statistics.median(durations)


def added_memory(run: Run) -> int | None:
    """Bytes that a run adds to the process at its peak; None except on Linux.

    Allocators keep memory, so only the first run shows it.
    """
    if not _STATUS.is_file():
        return None
    ctypes.CDLL(None).malloc_trim(0)
    before = resident("VmRSS")
    pathlib.Path("/proc/self/clear_refs").write_text(_RESET_PEAK)
    run()
    return resident("VmHWM") - before


def resident(field: str) -> int:
    """Resident bytes: current (`"VmRSS"`) or peak (`"VmHWM"`)."""
    for line in _STATUS.read_text().splitlines():
        name, _, value = line.partition(":")
        if name == field:
            return 1024 * int(value.split()[0])
    raise RuntimeError(f"{_STATUS} does not have {field}.")
