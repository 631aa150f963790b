"""What a measurement of step times shows while it goes on."""

import time
from typing import TextIO

from keras_effnetv2.training.reporting.pace import format_duration


class StepProgress:
    """A line for each group: what, how far, how long yet.

    Args:
        what: is measured, such as `"blocks"`.
        num: of them.
        stream: where to write.
    """

    def __init__(self, what: str, num: int, stream: TextIO) -> None:
        self._what, self._num, self._stream = what, num, stream
        self._done, self._start = 0, time.monotonic()
        self._write("measuring")

    def advance(self, num: int) -> None:
        """So many more are done."""
        self._done += num
        passed = time.monotonic() - self._start
        left = passed * (self._num - self._done) / self._done
        self._write(f"left {format_duration(left)}" if left else "done")

    def _write(self, state: str) -> None:
        counts = f"{self._done:{len(str(self._num))}}/{self._num}"
        self._stream.write(f"step times: {self._what} {counts}  {state}\n")
        self._stream.flush()
