"""Progress of slow operations: what is being done, how much, and the time left.

On a terminal that is a tqdm bar followed by the text, redrawn in place; in a file or a
pipe, a line now and then.
"""

import shutil
import sys
import threading
import time
from collections.abc import Callable
from typing import Any, TextIO

_REDRAW = 0.2  # Seconds between redraws of the bar on a terminal,
_REPRINT = 30.0  # and between lines elsewhere.
_QUICK = 2.0  # Seconds; shorter operations need no line.
_FORMAT = "{bar:20} {desc}"  # tqdm's own text counts all steps as equally long.


class Line:
    """A line or bar that shows progress, and lines that stay.

    Args:
        stream: where to write; None: `sys.stderr`.
        clock: seconds from any moment.
        first: seconds until the bar is first drawn on a terminal; elsewhere the first
            line comes after 30 s, or later.
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
        self._bar: Any = None

    def update(self, describe: Callable[[], str], share: float = 0.0) -> None:
        """Shows what `describe` returns, if it is time to.

        Args:
            describe: gives the text: the work, and how much is done.
            share: share of the work that is done, 0 to 1; 0 if unknown.
        """
        now = self._clock()
        if now < self._due:
            return
        self._due = now + self._interval
        if not self._on_terminal:
            self._write(describe())
            return
        if self._bar is None:
            self._bar = _open_bar(self._stream)
        self._bar.ncols = shutil.get_terminal_size().columns - 1
        self._bar.n = min(1.0, share)
        self._bar.set_description_str(describe())

    def keep(self, text: str) -> None:
        """Writes a line that stays."""
        self._due = self._clock() + self._interval
        self.close()
        self._write(text)

    def close(self) -> None:
        """Removes the bar, so that later output starts on a line of its own."""
        if self._bar is not None:
            self._bar.close()
        self._bar = None

    def _write(self, text: str) -> None:
        self._stream.write(f"{text}\n")
        self._stream.flush()


def _open_bar(stream: TextIO) -> Any:
    """A bar that is drawn only on request, never by a thread."""
    import tqdm

    class Bar(tqdm.tqdm):
        monitor_interval = 0

    # Otherwise tqdm makes a lock between processes, and no other one draws here.
    Bar.set_lock(threading.RLock())
    return Bar(
        total=1.0,
        file=stream,
        leave=False,
        bar_format=_FORMAT,
        nrows=2,  # Some terminals report none.
        delay=1e-9,  # Draws nothing yet.
    )


class Progress:
    """Progress of work that can be counted, from any thread.

    The time left assumes that the rest takes as long as what is done.

    Args:
        what: the work, as text.
        total: how much there is to do; None if unknown.
        form: formats a count as text.
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
        """Adds to the count."""
        with self._lock:
            self._done += num
            share = self._done / self._total if self._total else 0.0
            self._line.update(self._describe, share)

    def finish(self) -> None:
        """Leaves a line with the total time, unless that was short."""
        seconds = self._clock() - self._start
        if seconds >= _QUICK:
            count = self._form(self._done)
            self._line.keep(f"{self._what}: {count} in {format_duration(seconds)}")
        self._line.close()

    def _describe(self) -> str:
        seconds = self._clock() - self._start
        text = f"{self._what}: {self._form(self._done)}"
        if self._total is None or not self._done:
            return f"{text} in {format_duration(seconds)}"
        text = f"{text} of {self._form(self._total)}"
        left = seconds * (self._total / self._done - 1)
        return f"{text}, {format_duration(left)} left"


def format_duration(seconds: float) -> str:
    """A duration such as 12 s, 2:31 or 1:02:31."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}:{minutes:02}:{rest:02}"
    return f"{minutes}:{rest:02}" if minutes else f"{rest} s"
