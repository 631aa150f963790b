"""What processes that time steps on an accelerator have in common."""

import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

from benchmarks.workers import answer

Step = Callable[[], object]
Wait = Callable[[object], object]


def seconds_of(step: Step, wait: Wait, seconds: float = 1.0) -> float:
    """Seconds per step: as many as fit into `seconds` are dispatched, then awaited."""
    start = time.perf_counter()
    wait(step())
    count = max(3, int(seconds / (time.perf_counter() - start)))
    start = time.perf_counter()
    for _ in range(count):
        result = step()
    wait(result)
    return (time.perf_counter() - start) / count


def serve(make_steps: Callable[..., tuple[Mapping[str, Step], Wait]]) -> None:
    """Makes and warms up the steps of the command line, then answers `"seconds"`."""

    def prepare() -> tuple[Any, Mapping[str, Callable]]:
        steps, wait = make_steps(*sys.argv[1:])
        for step in steps.values():
            for _ in range(3):
                wait(step())
        return {}, {"seconds": lambda name: seconds_of(steps[name], wait)}

    answer(prepare)


def parse(words: str) -> tuple[str, int, int]:
    """Kind, image size and batch size of `"training 300 128"`."""
    kind, *numbers = words.split()
    return kind, *map(int, numbers)
