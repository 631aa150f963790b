"""What a benchmark shows while it measures."""

import sys
import time

from keras_effnetv2.progress import format_duration


class Progress:
    """A line on standard error for each measurement: which of how many, time left.

    The time left takes all measurements to be as long as those that are done.

    Args:
        suite: name.
        num: measurements, the start of a process counted as one.
    """

    def __init__(self, suite: str, num: int) -> None:
        self._suite, self._num = suite, num
        self._begun, self._start = 0, time.monotonic()

    def begin(self, what: str) -> None:
        """The next one starts; the one before is done."""
        done, self._begun = self._begun, self._begun + 1
        passed = time.monotonic() - self._start
        left = passed / done * (self._num - done) if done else 0.0
        state = f"left {format_duration(left)}" if done else "starting"
        counts = f"{self._begun:{len(str(self._num))}}/{self._num}"
        print(f"{self._suite} {counts}  {state}  {what}", file=sys.stderr, flush=True)
