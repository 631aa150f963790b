"""What takes long says what it does, how far it is, and how long it will take yet.

On a terminal that is a bar of tqdm's with the same words after it, drawn over; in a
file or a pipe, lines now and then.
"""

import shutil
import sys
import threading
import time
from collections.abc import Callable
from typing import Any, TextIO

_REDRAW = 0.2  # Seconds between two states of the bar on a terminal,
_REPRINT = 30.0  # and between two lines elsewhere.
_QUICK = 2.0  # Seconds: what takes less needs no line.
_FORMAT = "{bar:20} {desc}"  # tqdm's own words count all steps as equally long.


class Line:
    """A line or a bar that follows some work, and lines that stay.

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
        self._bar: Any = None

    def update(self, describe: Callable[[], str], share: float = 0.0) -> None:
        """Shows the state that `describe` gives, if it is time to.

        Args:
            describe: the work, and how far it is.
            share: of the work that is done, 0 to 1; 0 where nobody knows.
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
        """Removes what is drawn over, so that what follows has a line of its own."""
        if self._bar is not None:
            self._bar.close()
        self._bar = None

    def _write(self, text: str) -> None:
        self._stream.write(f"{text}\n")
        self._stream.flush()


def _open_bar(stream: TextIO) -> Any:
    """A bar that is drawn when it is told to, and by no thread."""
    import tqdm

    class Bar(tqdm.tqdm):
        monitor_interval = 0

    # Else it makes a lock between processes, of which nobody else draws here.
    Bar.set_lock(threading.RLock())
    return Bar(
        total=1.0,
        file=stream,
        leave=False,
        bar_format=_FORMAT,
        nrows=2,  # Some terminals say that they have none.
        delay=1e-9,  # Nothing is drawn yet.
    )


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
            share = self._done / self._total if self._total else 0.0
            self._line.update(self._describe, share)

    def finish(self) -> None:
        """Leaves a line with the time that all took, if that was not short."""
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
    """Such as 12 s, 2:31 or 1:02:31."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}:{minutes:02}:{rest:02}"
    return f"{minutes}:{rest:02}" if minutes else f"{rest} s"
