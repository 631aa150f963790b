"""Tables of images per second, as the tools that measure them keep them as JSON."""

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from tables.marked_blocks import table

# How `benchmark_storage.py` reads.
WAYS = {
    "before": "one image at a time (`full`)",
    "index": "chunks, index built first",
    "indexed": "chunks, with an index",
    "stream": "chunks, index built meanwhile",
}
# What `benchmark_predict.py` measures.
PARTS = {
    "predict": "`predict`, files to a CSV file",
    "decoding": "decoding alone",
    "network": "the network alone",
    "timm": "timm's dataset, loader and network",
}
# How `benchmark_fleet.py` runs a command.
FLEETS = {
    "one": "One process",
    "two": "Two processes",
    "ray": "Three Ray nodes, one lost",
}


def storage_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """A line for each way of reading a bucket."""
    head = ("First batch, s", "Images/s", "Bytes read, relative to all")
    lines = [("", *head, "Reads per chunk")]
    for row in rows:
        opens = row["opens_per_chunk"]
        lines.append(
            (
                WAYS[row["way"]],
                f"{row['first_seconds']:.1f}",
                f"{row['images_per_second']:,.0f}",
                f"{row['bytes_ratio']:.3g}",
                f"{opens:.2f}" if opens else "",
            )
        )
    return table(lines, " rrrr")


def predict_table(rates: Mapping[str, Sequence[float]]) -> str:
    """A line for each kind of work: the median of the rounds."""
    rows = [("", "Images/s")]
    rows += [(PARTS[x], f"{statistics.median(rates[x]):.0f}") for x in PARTS]
    return table(rows, " r")


def fleet_table(rates: Mapping[str, Mapping[str, float]]) -> str:
    """A line for each command, a column for each way to run it."""
    lines = [("", *FLEETS.values())]
    for command, found in rates.items():
        cells = (f"{found[x]:,.0f}" if x in found else "" for x in FLEETS)
        lines.append((f"`{command}`", *cells))
    return table(lines, " rrr")
