"""How the time of our training step grows with batch and image size.

The exponent is the slope of a straight line through the logarithms: 1 is linear, less
is better. A step's fixed cost lowers it for small batches and images, but hardly
affects the exponent of the last two points.
"""

import functools
import itertools
from collections.abc import Sequence

import numpy as np

from benchmarks import comparison
from benchmarks.crews import crew
from benchmarks.progress import Progress
from benchmarks.sides import OURS
from benchmarks.works import Work

# Title -> what grows, and the works.
SERIES = {
    "B0@224, batch 1 to 32": (
        "images per batch",
        tuple(Work("B0", 224, num) for num in (1, 2, 4, 8, 16, 32)),
    ),
    "B0 batch 4, 128 to 384 pixels": (
        "pixels per image",
        tuple(Work("B0", size, 4) for size in (128, 192, 256, 320, 384)),
    ),
}
_TURN = (1, 0.5)  # Least steps and seconds.


def measure(
    repeats: int, series: dict[str, tuple[str, Sequence[Work]]] = SERIES
) -> list[dict]:
    """Measures the exponents of every series, with its points for the chart."""
    works = list(dict.fromkeys(itertools.chain(*(row[1] for row in series.values()))))
    progress = Progress("growth", 1 + repeats * len(works))
    with crew(progress) as members:
        start = functools.partial(OURS.start, "train", works)
        worker = members.add(OURS.name, start)
        turns = {
            work: functools.partial(worker.ask, "seconds", place, *_TURN)
            for place, work in enumerate(works)
        }
        seconds = comparison.take_turns(turns, repeats, progress)
    rows = []
    for title, (unit, members_of) in series.items():
        amounts = [_amount(work, unit) for work in members_of]
        rows += rows_of(title, unit, amounts, [seconds[work] for work in members_of])
    return rows


def rows_of(
    title: str, unit: str, amounts: Sequence[float], seconds: Sequence[Sequence[float]]
) -> list[dict]:
    """Exponents of a whole series, and of its last two points.

    Args:
        title: title of the series.
        unit: unit of the amounts.
        amounts: amounts that grow.
        seconds: seconds of each amount, in every round.
    """
    rounds = list(zip(*seconds, strict=True))
    rows = [
        comparison.row(
            "growth",
            title,
            metric,
            "linear",
            [(exponent(amounts[-num:], times[-num:]), 1.0) for times in rounds],
            "below 1",
        )
        for metric, num in (
            ("exponent of step time", len(amounts)),
            ("exponent of the last two points", 2),
        )
    ]
    points = [
        [amount, *comparison.quartiles(times)]
        for amount, times in zip(amounts, seconds, strict=True)
    ]
    rows[0] |= {"unit": unit, "points": points}
    return rows


def exponent(amounts: Sequence[float], seconds: Sequence[float]) -> float:
    """The p of seconds = c * amounts ** p, by least squares of the logarithms.

    Raises:
        ValueError: fewer than two different amounts, or numbers that are not positive.
    """
    if len({*amounts}) < 2 or min(*amounts, *seconds) <= 0:
        raise ValueError(
            "An exponent needs at least two different amounts, and positive numbers. "
            f"Received: amounts={list(amounts)}, seconds={list(seconds)}."
        )
    return float(np.polyfit(np.log(amounts), np.log(seconds), 1)[0])


def _amount(work: Work, unit: str) -> int:
    return work.batch_size if unit == "images per batch" else work.image_size**2
