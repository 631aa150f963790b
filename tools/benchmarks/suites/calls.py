"""Calls of a network for one image, against peers and against the export.

Measures `model(x)` and `predict` of every peer in Keras, and our own
`compile_for_inference`, from NumPy to NumPy, on all cores.
"""

import functools
import pathlib
import tempfile
from collections.abc import Callable, Sequence

import numpy as np

from benchmarks import comparison
from benchmarks.crews import Crew, crew
from benchmarks.progress import Progress
from benchmarks.sides import OURS, TIMM, Side, num_threads
from benchmarks.suites import infer
from benchmarks.works import Work

WORKS = (Work("B0", 224, 1), Work("S", 384, 1))
# Calls of `keras_side`, and whether peers have them.
KINDS = {"model(x)": True, "predict": True, "compile_for_inference": False}
EXPORT = "SavedModel"


def measure(
    repeats: int, peers: Sequence[Side], works: Sequence[Work] = WORKS
) -> list[dict]:
    """Measures seconds of a call, against the peers' and our SavedModel's."""
    sides = [OURS, *(x for x in peers if x.module != TIMM.module)]
    num_turns = 1 + len(KINDS) + (len(sides) - 1) * sum(KINDS.values())
    progress = Progress("calls", len(works) * (1 + num_turns * (1 + repeats)))
    rows = []
    for work in works:
        with tempfile.TemporaryDirectory() as name, crew(progress) as members:
            folder = pathlib.Path(name)
            progress.begin(f"exporting {work.network}@{work.image_size}")
            infer.export(work, folder)
            turns = _start(members, sides, work, folder)
            rows += _rows(work, comparison.take_turns(turns, repeats, progress))
    return rows


def _start(
    members: Crew, sides: Sequence[Side], work: Work, folder: pathlib.Path
) -> dict[tuple[str, str], Callable[[], float]]:
    """Starts a process for each kind of call; functions that ask for seconds."""
    from export_comparison.stopwatch import Stopwatch

    images = folder / "images.npy"
    np.save(images, infer.pixels(work.image_size, work.batch_size))
    words = "saved_model", folder / "saved_model", images, num_threads()
    watch = members.add(EXPORT, functools.partial(Stopwatch, *words))
    turns = {(EXPORT, OURS.name): watch.seconds}
    for kind, has_peers in KINDS.items():
        for side in sides if has_peers else sides[:1]:
            start = functools.partial(side.start, kind, [work])
            worker = members.add(f"{side.name}, {kind}", start)
            turns[kind, side.name] = functools.partial(worker.ask, "seconds", 0)
    return turns


def _rows(work: Work, found: dict[tuple[str, str], list[float]]) -> list[dict]:
    exported = found.pop((EXPORT, OURS.name))
    rows = []
    for (kind, name), seconds in found.items():
        is_ours = name == OURS.name
        pair = (seconds, exported) if is_ours else (found[kind, OURS.name], seconds)
        other = f"our {EXPORT}" if is_ours else name
        pairs = comparison.pairs(*pair)
        row = comparison.row("calls", str(work), f"{kind}, s", other, pairs, "below 1")
        rows.append(row)
    return rows
