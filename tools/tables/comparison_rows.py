"""Tables of what tools that compare two ways keep as JSON."""

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from tables.marked_blocks import table

# What `comparisons/orders.py` compares.
ORDERS = {
    "full": "all images shuffled",
    "chunks": "chunks",
    "sorted": "chunks, files sorted by class",
}
# What `comparisons/progressive.py` compares.
ARMS = {
    "fixed": "fixed size",
    "adaptive": "progressive size, adaptive regularization",
    "constant": "progressive size, constant regularization",
}
# How `benchmark_pages.py` runs WebAssembly: in one thread, and one for each processor.
PAGE_THREADS = ("wasm", "threads")


def guide_table(results: Mapping[str, Mapping[str, float]]) -> str:
    """A Markdown table: accuracy on the test images, and the time."""
    rows = [("", "Test accuracy", "Minutes")]
    rows += [
        (name, f"{result['accuracy']:.1%}", f"{result['minutes']:.1f}")
        for name, result in results.items()
    ]
    return table(rows, " rr")


def order_table(results: Mapping[str, Mapping[str, Any]]) -> str:
    """A Markdown table: accuracies of the seeds, and how well batches are mixed."""
    rows = [("Order", "Accuracy", "Of each seed", "Share of a chunk")]
    for arm, result in results.items():
        found = result["accuracies"]
        rows.append(
            (
                ORDERS[arm],
                f"{_spread(found, 1)}%",
                ", ".join(f"{x:.1f}" for x in found),
                f"{result['share']:.1%}",
            )
        )
    return table(rows, " rrr")


def page_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """A Markdown table: a line for each network and engine."""
    most = max(row["threads"] for row in rows)
    head = ("Network and engine", "1 thread, ms", f"{most} threads, ms")
    lines = [(*head, "First result, ms", "MB")]
    found = {(row["network"], row["engine"], row["kind"]): row for row in rows}
    works = dict.fromkeys((row["network"], row["engine"]) for row in rows)
    for network, engine in works:
        one, several = (found[network, engine, kind] for kind in PAGE_THREADS)
        figures = (one["picture_ms"], several["picture_ms"], several["first_ms"])
        cells = (f"{x:.0f}" for x in figures)
        lines.append((f"{network}, {engine}", *cells, f"{several['megabytes']:.1f}"))
    return table(lines, " rrrr")


def bytes_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """A Markdown table: what a step costs an image, by the compiler; ours first."""
    lines = [("", "GFLOPs", "MB moved", "Ours, relative", "Temporaries, MB")]
    for row in rows:
        ratio = rows[0]["moved_bytes"] / row["moved_bytes"]
        lines.append(
            (
                row["side"],
                f"{row['flops'] / 1e9:.1f}",
                f"{row['moved_bytes'] / 1e6:.0f}",
                f"{ratio:.2f}",
                f"{row['temporary_bytes'] / 1e6:.1f}",
            )
        )
    return table(lines, " rrrr")


def progressive_table(results: Mapping[str, Sequence[Mapping[str, float]]]) -> str:
    """A Markdown table: accuracies of the seeds, and times relative to a fixed size."""
    rows = [("Arm", "Accuracy, %", "Of each seed", "Time", "Without tracing")]
    for arm, runs in results.items():
        found = [run["accuracy"] for run in runs]
        seeds = ", ".join(f"{x:.1f}" for x in found)
        pairs = [*zip(runs, results["fixed"], strict=True)]
        ratios = (
            _spread([run[name] / fixed[name] for run, fixed in pairs], 2)
            for name in ("seconds", "seconds_untraced")
        )
        rows.append((ARMS[arm], _spread(found, 2), seeds, *ratios))
    return table(rows, " rrrr")


def _spread(values: Sequence[float], digits: int) -> str:
    """Mean and standard deviation."""
    mean = f"{statistics.mean(values):.{digits}f}"
    if len(values) == 1:
        return mean
    return f"{mean} ± {statistics.stdev(values):.{digits}f}"


def logit_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """A Markdown table: largest differences, relative to the largest logit."""
    lines = [("Compared with", "Inference", "Training mode")]
    lines += [
        (f"`{row['compared']}`", f"{row['inference']:.1e}", f"{row['training']:.1e}")
        for row in rows
    ]
    return table(lines, " rr")
