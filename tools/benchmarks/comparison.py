"""A row of a benchmark's table: ours against a peer, measured in turn."""

import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeVar

from benchmarks.progress import Progress

_Key = TypeVar("_Key")


def row(
    suite: str,
    work: str,
    metric: str,
    peer_name: str,
    pairs: Sequence[tuple[float, float]],
    better: str,
) -> dict:
    """Medians of ours and the peer's, the median ratio of the pairs and its quartiles.

    Args:
        suite: name of the suite.
        work: name of the work.
        metric: measured quantity and its unit.
        peer_name: name of the peer.
        pairs: ours and the peer's, measured one after the other; for a single pair the
            quartiles are its ratio.
        better: `"below 1"` or `"above 1"`, where ours is better; `"nearer 1"` for a
            limit.
    """
    low, median, high = quartiles([ours / peer for ours, peer in pairs])
    return {
        "suite": suite,
        "work": work,
        "metric": metric,
        "ours": statistics.median(ours for ours, _ in pairs),
        "peer": statistics.median(peer for _, peer in pairs),
        "peer_name": peer_name,
        "ratio": median,
        "spread": [low, high],
        "better": better,
    }


def quartiles(values: Sequence[float]) -> tuple[float, float, float]:
    """Lower quartile, median and upper quartile; a single value is all three."""
    if len(values) == 1:
        return (values[0],) * 3
    return tuple(statistics.quantiles(values, n=4, method="inclusive"))


def take_turns(
    turns: Mapping[_Key, Callable[[], float]], repeats: int, progress: Progress
) -> dict[_Key, list[float]]:
    """Results of each in every round; in a round all run in turn (A B A B)."""
    found: dict[_Key, list[float]] = {key: [] for key in turns}
    for _ in range(repeats):
        for key, turn in turns.items():
            progress.begin(" ".join(map(str, key)) if isinstance(key, tuple) else key)
            found[key].append(turn())
    return found


def pairs(ours: Iterable[float], peers: Iterable[float]) -> list[tuple[float, float]]:
    """Pairs of results from the same rounds."""
    return list(zip(ours, peers, strict=True))
