"""Tables of what other tools measured and keep as JSON."""

from collections.abc import Sequence

from tables.marked_blocks import table

_LIMIT = "limit: "
_KERAS, _IN_BFLOAT16 = "keras.applications", " in bfloat16"
_KEYS = ("suite", "work", "metric", "peer_name")
# The README's rows of speed: what, and its suite, work, metric and peer.
_WORK, _STEP = "B0@224 batch 8", "training step, s"
_SPEEDS = {
    "training step, float32": ("train", _WORK, _STEP, _KERAS),
    "training step, bfloat16": ("bfloat16", _WORK, _STEP, _KERAS + _IN_BFLOAT16),
    "inference of the exported SavedModel": ("infer", _WORK, "SavedModel, s", _KERAS),
    "`predict` of one image": ("calls", "B0@224 batch 1", "predict, s", _KERAS),
}


def benchmark_table(rows: Sequence[dict]) -> str:
    """Rows that `benchmark.py --json` wrote: a line a work, a column a peer.

    Where better is above 1, or the peers are in bfloat16, the line says so. The share
    of the limit, where it was measured, is the last column, in the first line of a
    work.
    """
    works = [(row["work"], _named(row)) for row in rows if not _is_limit(row)]
    works = [*dict.fromkeys(works)]
    peers = [*dict.fromkeys(_peer(row) for row in rows if not _is_limit(row))]
    cells = {(row["work"], _named(row), _peer(row)): row for row in rows}
    limits = {row["work"]: f"{row['ratio']:.0%}" for row in rows if _is_limit(row)}
    head = ("Work", "Measured", "Ours", *peers)
    has_limits = bool(limits)
    lines = [(*head, "Share of the limit") if has_limits else head]
    for work, measured in works:
        found = [cells.get((work, measured, peer)) for peer in peers]
        ours = next(_number(row["ours"]) for row in found if row)
        line = (work, measured, ours, *(_ratio(row) if row else "" for row in found))
        lines.append((*line, limits.pop(work, "")) if has_limits else line)
    return table(lines, "  r")


def speed_table(rows: Sequence[dict]) -> str:
    """The README's rows, of those of several suites."""
    found = {tuple(row[x] for x in _KEYS): row for row in rows}
    lines = [("Work", "Ours", "Ratio (quartiles)")]
    for title, key in _SPEEDS.items():
        milliseconds = 1000 * found[key]["ours"]
        lines.append((title, f"{milliseconds:.0f} ms", _ratio(found[key])))
    return table(lines, " rr")


def _is_limit(row: dict) -> bool:
    return row["peer_name"].startswith(_LIMIT)


def _named(row: dict) -> str:
    """What is measured, in which unit, of which peers, and whether more is better."""
    peers = ", peers in bfloat16" if row["peer_name"].endswith(_IN_BFLOAT16) else ""
    note = " (above 1 is better)" if row["better"] == "above 1" else ""
    return f"{row['metric']}{peers}{note}"


def _peer(row: dict) -> str:
    """A column's name; ours may also be compared with its own defaults."""
    name = row["peer_name"].removesuffix(_IN_BFLOAT16)
    return "our default" if name == "ours" else name


def _ratio(row: dict) -> str:
    low, high = row["spread"]
    digits = 1 if row["ratio"] >= 10 else 2
    low, middle, high = (f"{x:.{digits}f}" for x in (low, row["ratio"], high))
    return f"{middle} ({low} to {high})"


def _number(value: float) -> str:
    """Three digits at least."""
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"


# Formats -> what they are for, and rows of results or a remark in their place.
_DIFFERENCES: dict[str, tuple[str, Sequence[str] | str]] = {
    "`saved_model`, `serving`": (
        "TensorFlow, OpenVINO; TF Serving, with versions and warm-up",
        ["SavedModel"],
    ),
    "`hub`": ("TF Hub, to fine-tune without this package", ["TF Hub classification"]),
    "`onnx`": ("ONNX Runtime, OpenVINO", ["ONNX in ONNX Runtime"]),
    "`litert`": (
        "phones: float32, float16, dynamic, int8",
        [f"LiteRT {kind}" for kind in ("float32", "float16", "dynamic", "int8")],
    ),
    "`hugging_face`": ("the Hugging Face Hub, and timm", "within 1e-5 of timm's"),
    "`web`": (
        "a page that runs in the visitor's [browser](docs/guides/web.md)",
        "that of `litert` in float16",
    ),
}


def difference_table(rows: Sequence[dict]) -> str:
    """The README's formats: what each is for, and how exact it is."""
    found = {row["reading"]: f"{row['difference']:.1e}" for row in rows}
    lines = [("`export`", "For", "Largest difference")]
    for name, (purpose, readings) in _DIFFERENCES.items():
        if not isinstance(readings, str):
            readings = ", ".join(found[reading] for reading in readings)
        lines.append((name, purpose, readings))
    return table(lines, "  r")


def export_table(rows: Sequence[dict]) -> str:
    """Rows of one model that `comparisons/exports.py --json` wrote."""
    head = ("Format", "MB", "Largest difference", "Agreement", "Top-1", "Latency")
    lines = [
        (
            row["reading"],
            f"{row['megabytes']:.1f}",
            f"{row['difference']:.1e}",
            f"{row['agreement']:.0%}",
            row["correct"],
            f"{row['latency']:.2f}",
        )
        for row in rows
    ]
    return table([head, *lines], " rrrrr")
