"""A count on stderr of what takes long."""

import sys
import threading
import time

_FIRST = 2.0  # Seconds: what is faster needs no line.
_ON_TERMINAL = 0.2  # Seconds between two states of the line,
_ELSEWHERE = 30.0  # and between two lines.


class Counter:
    """Counts, from any thread, and says so now and then.

    Args:
        text: what is counted, to be read after a number.
    """

    def __init__(self, text: str) -> None:
        self._text = text
        self._count = 0
        self._on_terminal = sys.stderr.isatty()
        self._due = time.monotonic() + _FIRST
        self._is_open = False
        self._lock = threading.Lock()

    def add(self, num: int) -> None:
        """Counts `num` more."""
        with self._lock:
            self._count += num
            now = time.monotonic()
            if now < self._due:
                return
            self._due = now + (_ON_TERMINAL if self._on_terminal else _ELSEWHERE)
            line = f"{self._count:,} {self._text}"
            end = "\r" if self._on_terminal else "\n"
            print(line, end=end, file=sys.stderr, flush=True)
            self._is_open = self._on_terminal

    def close(self) -> None:
        """Ends the line, if there is one."""
        if self._is_open:
            print(f"{self._count:,} {self._text}", file=sys.stderr, flush=True)
