"""A line of a benchmark's table: ours against a peer, measured in turn."""

import statistics


def row(
    suite: str,
    work: str,
    metric: str,
    peer_name: str,
    pairs: list[tuple[float, float]],
    better: str,
) -> dict:
    """Medians of ours and the peer's, median ratio of the pairs and its quartiles.

    Args:
        suite: name.
        work: what is done.
        metric: what is measured, and its unit.
        peer_name: of whom we compare with.
        pairs: ours and the peer's, one after the other.
        better: `"below 1"` or `"above 1"`, where ours is the faster.
    """
    ratios = [ours / peer for ours, peer in pairs]
    low, median, high = statistics.quantiles(ratios, n=4, method="inclusive")
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
