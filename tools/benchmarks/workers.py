"""Processes that measure on request and are idle in between, so that they take turns.

Frameworks keep threads and memory of their own; in processes of their own they do not
disturb each other. Needs the standard library only: the process may be of another
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

# Peers of different frameworks compare on the processor, wherever there is a GPU too.
_ENVIRONMENT = {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}
_STATUS = pathlib.Path("/proc/self/status")
_NUM_WARM_UPS = 4  # One traces, of eager calls of ours the third; one settles memory.
_RESET_PEAK = "5"  # Of /proc/self/clear_refs, proc(5): the peak becomes today's size.

Run = Callable[[], object]


class Worker:
    """The process, from outside.

    It is at work as soon as it is made; `ready` waits until it can be asked.

    Args:
        module: whose `main` answers, importable from the folder of tools.
        words: arguments of the module.
        python: interpreter; None: this one.
        environment: variables, beside those of this process.
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
        """What it says of itself when it can be asked.

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
    """Inside of the process: answers until there is nothing more to read.

    Args:
        prepare: makes what it says of itself, and the functions that can be asked by
            their names. What it and they print is no answer.
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
    """Of a run: the median of so many, and of so many seconds, at least."""
    durations: list[float] = []
    while len(durations) < num_runs or sum(durations) < seconds:
        start = time.perf_counter()
        run()
        durations.append(time.perf_counter() - start)
    return statistics.median(durations)


def added_memory(run: Run) -> int | None:
    """Bytes that a run adds to the process at its peak; None where Linux is not.

    Allocators keep what they were given: only the first run shows it.
    """
    if not _STATUS.is_file():
        return None
    ctypes.CDLL(None).malloc_trim(0)
    before = resident("VmRSS")
    pathlib.Path("/proc/self/clear_refs").write_text(_RESET_PEAK)
    run()
    return resident("VmHWM") - before


def resident(field: str) -> int:
    """Bytes: today's (`"VmRSS"`) or the peak (`"VmHWM"`)."""
    for line in _STATUS.read_text().splitlines():
        name, _, value = line.partition(":")
        if name == field:
            return 1024 * int(value.split()[0])
    raise RuntimeError(f"{_STATUS} does not have {field}.")
