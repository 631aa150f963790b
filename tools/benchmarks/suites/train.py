"""A training step: forward, backward and update with RMSProp, against every peer.

In float32, and in bfloat16 on processors that have instructions for it.
"""

import functools
import itertools
from collections.abc import Mapping, Sequence

from benchmarks import comparison
from benchmarks.crews import MATRIX, crew
from benchmarks.progress import Progress
from benchmarks.sides import OURS, Side
from benchmarks.works import Work

# One row per set of processes, which hold the networks of all its works.
WORKS = (
    (Work("B0", 224, 8), Work("B0", 224, 1), Work("B0", 128, 8), Work("B0", 128, 32)),
    (Work("S", 300, 8),),
)
BFLOAT16_WORKS = ((Work("B0", 224, 8),), (Work("S", 300, 8),))
# Least steps and seconds of a turn.
_TURN = (1, 0.7)


def measure(
    repeats: int,
    peers: Sequence[Side],
    works: Sequence[Sequence[Work]] = WORKS,
    ours: Side = OURS,
) -> list[dict]:
    """Measures seconds per step, and the share of matrix multiplication's rate."""
    sides = (ours, *peers)
    num_turns = sum(1 + len(group) * len(sides) for group in works)
    num_starts = len(works) * (1 + len(sides))
    progress = Progress("train", num_starts + repeats * num_turns)
    rows = []
    for group in works:
        found = _measure_group(repeats, sides, group, progress)
        for work in group:
            rows += _rows(work, found, ours, peers)
    return rows


def measure_bfloat16(repeats: int, peers: Sequence[Side]) -> list[dict]:
    """Measures ours in bfloat16 against ours and all peers in float32 and bfloat16."""
    ours, in_bfloat16 = OURS.in_bfloat16(), [peer.in_bfloat16() for peer in peers]
    # One after the other: all at once need more than 24 GB for S.
    rivals = ([OURS, *peers], in_bfloat16)
    rows = [measure(repeats, sides, BFLOAT16_WORKS, ours) for sides in rivals]
    return list(itertools.chain(*rows))


def _measure_group(
    repeats: int, sides: Sequence[Side], works: Sequence[Work], progress: Progress
) -> dict[tuple, list[float]]:
    """Seconds of `(work, name of a side)`; GFLOP/s of `(MATRIX,)`."""
    with crew(progress) as members:
        matrices = members.add_matrices(sides[0].precision)
        for side in sides:
            members.add(side.name, functools.partial(side.start, "train", works))
        turns = {(MATRIX,): functools.partial(matrices.ask, "gflops")}
        for place, work in enumerate(works):
            for side in sides:
                worker = members.workers[side.name]
                question = "seconds", place, *_TURN
                turns[work, side.name] = functools.partial(worker.ask, *question)
        return comparison.take_turns(turns, repeats, progress)


def _rows(
    work: Work,
    found: Mapping[tuple, list[float]],
    side: Side,
    peers: Sequence[Side],
) -> list[dict]:
    suite = "train" if side is OURS else "bfloat16"
    ours = found[work, side.name]
    rows = [
        comparison.row(
            suite,
            str(work),
            "training step, s",
            peer.name,
            comparison.pairs(ours, found[work, peer.name]),
            "below 1",
        )
        for peer in peers
    ]
    return [*rows, limit_row(suite, work, work.training_flops, ours, found)]


def limit_row(
    suite: str,
    work: Work,
    flops: float,
    seconds: Sequence[float],
    found: Mapping[tuple, list[float]],
) -> dict:
    """A row of achieved GFLOP/s, as a share of matrix multiplication's.

    Args:
        suite: name of the suite.
        work: name of the work.
        flops: operations of the work, two per multiply-add.
        seconds: seconds of the work, in every round.
        found: results of the rounds; GFLOP/s of matrix multiplication under
            `(MATRIX,)`.
    """
    achieved = [1e-9 * flops / duration for duration in seconds]
    return comparison.row(
        suite,
        str(work),
        "GFLOP/s",
        f"limit: {MATRIX}",
        comparison.pairs(achieved, found[MATRIX,]),
        "nearer 1",
    )
