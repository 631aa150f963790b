"""Lines of progress on a terminal and in a file, on a clock of the tests."""

import io

import pytest

from keras_effnetv2 import progress
from keras_effnetv2.progress import Line, Progress, format_duration


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_what_has_not_begun_after_a_while_says_so(clock):
    stream = io.StringIO()
    work = Progress("files", 3, stream=stream, clock=clock)
    clock.now += 40
    work.advance(0)
    assert stream.getvalue() == "files: 0 in 40 s\n"


@pytest.fixture
def clock():
    return Clock()


def drawn(stream):
    """States of a terminal's line, one after the other, without what erases them."""
    states = stream.getvalue().replace("\n", "\r").split("\r")
    return [state.strip(" \u2588#") for state in states if state.strip()]


def follow(clock, line, num, seconds):
    for number in range(1, num + 1):
        clock.now += seconds
        line.update(lambda number=number: f"state {number}")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.3, "0 s"), (59.4, "59 s"), (59.6, "1:00"), (151, "2:31"), (3751, "1:02:31")],
)
def test_durations_read_as_on_a_clock(seconds, text):
    assert format_duration(seconds) == text


def test_a_terminal_has_one_line_drawn_five_times_a_second(clock):
    stream = Terminal()
    line = Line(stream, clock)
    follow(clock, line, 4, seconds=0.15)
    assert drawn(stream) == ["state 1", "state 3"]
    line.keep("done")
    assert stream.getvalue().endswith("\rdone\n")
    assert stream.getvalue().count("\n") == 1


def test_a_bar_shows_the_share_that_is_done(clock):
    stream = Terminal()
    line = Line(stream, clock)
    for share in (0.0, 0.5, 1.0):
        clock.now += 1
        line.update(lambda: "state", share)
    bars = [state.count("#") for state in stream.getvalue().split("\r")[1:]]
    assert bars == [0, 10, 20]


def test_a_narrow_terminal_gets_a_cut_line(clock, monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    stream = Terminal()
    Line(stream, clock).update(lambda: "x" * 100)
    assert drawn(stream) == ["x" * 18]


def test_a_file_has_a_line_every_thirty_seconds_and_no_control_characters(clock):
    stream = io.StringIO()
    line = Line(stream, clock)
    follow(clock, line, 5, seconds=16)
    line.keep("done")
    line.close()
    assert stream.getvalue() == "state 2\nstate 4\ndone\n"


def test_work_that_stops_leaves_a_clean_line(clock):
    stream = Terminal()
    line = Line(stream, clock)
    line.update(lambda: "state")
    line.close()
    before = stream.getvalue()
    line.close()
    assert stream.getvalue() == before
    *_, erased, rest = before.split("\r")
    assert erased.isspace() and rest == ""


@pytest.mark.parametrize("stream", [Terminal(), io.StringIO()])
def test_a_count_says_what_how_far_and_how_long(clock, stream):
    counted = Progress("steps", 4000, stream=stream, clock=clock)
    clock.now += 40
    counted.advance(1000)
    assert drawn(stream) == ["steps: 1,000 of 4,000, 2:00 left"]
    clock.now += 80
    counted.advance(3000)
    counted.finish()
    assert stream.getvalue().endswith("steps: 4,000 in 2:00\n")


def test_a_count_whose_end_nobody_knows_says_what_it_took(clock):
    stream = io.StringIO()
    counted = Progress("records", stream=stream, clock=clock, form="<{}>".format)
    for _ in range(2):
        clock.now += 20
        counted.advance(7)
    assert stream.getvalue() == "records: <14> in 40 s\n"


def test_what_is_quick_has_no_line(clock):
    stream = Terminal()
    counted = Progress("steps", 3, stream=stream, clock=clock)
    clock.now += 0.9 * progress._QUICK
    counted.advance(3)
    counted.finish()
    assert stream.getvalue() == ""
