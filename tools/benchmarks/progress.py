"""Shows a benchmark's progress."""

import sys
import time

from keras_effnetv2.progress import format_duration


class Progress:
    """A line on standard error per measurement: which of how many, and time left.

    The time left assumes that all measurements take as long as those so far.

    Args:
        suite: name of the suite.
        num: number of measurements; the start of a process counts as one.
    """

    def __init__(self, suite: str, num: int) -> None:
        self._suite, self._num = suite, num
        self._begun, self._start = 0, time.monotonic()

    def begin(self, what: str) -> None:
        """Reports that the next one starts and the previous one is done."""
        done, self._begun = self._begun, self._begun + 1
        passed = time.monotonic() - self._start
        left = passed / done * (self._num - done) if done else 0.0
        state = f"left {format_duration(left)}" if done else "starting"
        counts = f"{self._begun:{len(str(self._num))}}/{self._num}"
        print(f"{self._suite} {counts}  {state}  {what}", file=sys.stderr, flush=True)
