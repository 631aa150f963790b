"""What takes long says what it does, how far it is, and how long it will take yet.

On a terminal that is one line, drawn over; in a file or a pipe, lines now and then.
"""

import shutil
import sys
import threading
import time
from collections.abc import Callable
from typing import TextIO

_REDRAW = 0.2  # Seconds between two states of the line on a terminal,
_REPRINT = 30.0  # and between two lines elsewhere.
_QUICK = 2.0  # Seconds: what takes less needs no line.
_CLEAR = "\r\x1b[K"  # Go to the start of the line and erase it.


class Line:
    """A line that follows some work, and lines that stay.

    Args:
        stream: where to write; None: `sys.stderr`.
        clock: seconds from any moment.
        first: seconds until the first state on a terminal; elsewhere it takes 30, or
            longer.
    """

    def __init__(
        self,
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
        first: float = 0.0,
    ) -> None:
        self._stream = stream or sys.stderr
        self._clock = clock
        self._on_terminal = self._stream.isatty()
        self._interval = _REDRAW if self._on_terminal else _REPRINT
        self._due = clock() + (first if self._on_terminal else max(first, _REPRINT))
        self._is_open = False

    def update(self, describe: Callable[[], str]) -> None:
        """Shows the state that `describe` gives, if it is time to."""
        now = self._clock()
        if now < self._due:
            return
        self._due = now + self._interval
        if self._on_terminal:
            width = shutil.get_terminal_size().columns - 1
            self._write(_CLEAR + describe()[:width])
        else:
            self._write(describe() + "\n")
        self._is_open = self._on_terminal

    def keep(self, text: str) -> None:
        """Writes a line that stays."""
        self._due = self._clock() + self._interval
        self._write((_CLEAR if self._is_open else "") + text + "\n")
        self._is_open = False

    def close(self) -> None:
        """Ends a line that is still open, so that what follows starts a new one."""
        if self._is_open:
            self._write("\n")
        self._is_open = False

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()


class Progress:
    """A line about work that can be counted, from any thread.

    The time left takes what is still to do to be as fast as what is done.

    Args:
        what: is done.
        total: how much of it there is; None where nobody knows.
        form: a count as text.
        stream: where to write; None: `sys.stderr`.
        clock: seconds from any moment.
    """

    def __init__(
        self,
        what: str,
        total: int | None = None,
        *,
        form: Callable[[int], str] = "{:,}".format,
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._what, self._total, self._form = what, total, form
        self._clock, self._start = clock, clock()
        self._line = Line(stream, clock, first=_QUICK)
        self._done = 0
        self._lock = threading.Lock()

    def advance(self, num: int) -> None:
        """So much more is done."""
        with self._lock:
            self._done += num
            self._line.update(self._describe)

    def finish(self) -> None:
        """Leaves a line with the time that all took, if that was not short."""
        seconds = self._clock() - self._start
        if seconds >= _QUICK:
            count = self._form(self._done)
            self._line.keep(f"{self._what}: {count} in {format_duration(seconds)}")

    def _describe(self) -> str:
        seconds = self._clock() - self._start
        text = f"{self._what}: {self._form(self._done)}"
        if self._total is None or not self._done:
            return f"{text} in {format_duration(seconds)}"
        text = f"{text} of {self._form(self._total)}"
        left = seconds * (self._total / self._done - 1)
        return f"{text}, {format_duration(left)} left"


def format_duration(seconds: float) -> str:
    """Such as 12 s, 2:31 or 1:02:31."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}:{minutes:02}:{rest:02}"
    return f"{minutes}:{rest:02}" if minutes else f"{rest} s"
