"""Peak memory of a training step, and what rematerialisation saves and costs.

By TensorFlow's allocator, if both sides use it: what a step adds to weights and
optimizer. In resident memory: what the first steps, including graphs, add to a process
that has built its network, one figure per process.
"""

import functools
from collections.abc import Callable, Sequence

from benchmarks import comparison
from benchmarks.crews import Crew, crew
from benchmarks.progress import Progress
from benchmarks.sides import OURS, TIMM, Side
from benchmarks.works import Work

WORK = Work("S", 300, 8)
REMAT = "ours, remat=True"
_TURN = (1, 0.7)  # Least steps and seconds.
_MEGA = 1e-6


def measure(repeats: int, peers: Sequence[Side], work: Work = WORK) -> list[dict]:
    """Measures megabytes of a step, and seconds of one with `remat=True`."""
    starters = {
        OURS.name: functools.partial(OURS.start, "memory", [work]),
        REMAT: functools.partial(OURS.start, "memory", [work], remat=True),
        **{x.name: functools.partial(x.start, "memory", [work]) for x in peers},
    }
    # PyTorch's allocator does not count its memory.
    uncounted = {x.name for x in peers if x.module == TIMM.module}
    counted = [name for name in starters if name not in uncounted]
    progress = Progress("memory", len(starters) + repeats * (len(counted) + 2))
    with crew(progress) as members:
        for name, start in starters.items():
            members.add(name, start)
        found = comparison.take_turns(_turns(members, counted), repeats, progress)
        resident = {x: y.ready()["added_bytes"] for x, y in members.workers.items()}
    rows = []
    for name, other in [(OURS.name, x.name) for x in peers] + [(REMAT, OURS.name)]:
        rows += _memory_rows(work, name, other, found, resident)
    seconds = [found["seconds", name] for name in (REMAT, OURS.name)]
    pairs = comparison.pairs(*seconds)
    return [*rows, _row(work, REMAT, "training step, s", OURS.name, pairs)]


def _turns(members: Crew, counted: Sequence[str]) -> dict[tuple, Callable[[], float]]:
    workers = members.workers
    turns = {
        ("peak", name): functools.partial(workers[name].ask, "peak_bytes", 0)
        for name in counted
    }
    for name in (OURS.name, REMAT):
        question = "seconds", 0, *_TURN
        turns["seconds", name] = functools.partial(workers[name].ask, *question)
    return turns


def _memory_rows(
    work: Work,
    name: str,
    other: str,
    found: dict[tuple, list[float]],
    resident: dict[str, int | None],
) -> list[dict]:
    """Rows for both measures, as far as both sides have them."""
    rows = []
    peaks = [found.get(("peak", x), [0]) for x in (name, other)]
    if all(map(all, peaks)):
        pairs = comparison.pairs(*([_MEGA * x for x in side] for side in peaks))
        rows.append(_row(work, name, "allocator's peak, MB", other, pairs))
    if resident[name] and resident[other]:
        pairs = [(_MEGA * resident[name], _MEGA * resident[other])]
        rows.append(_row(work, name, "resident peak, MB", other, pairs))
    return rows


def _row(work: Work, name: str, metric: str, other: str, pairs: list) -> dict:
    title = str(work) if name == OURS.name else f"{work}, {name}"
    return comparison.row("memory", title, metric, other, pairs, "below 1")
