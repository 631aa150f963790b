"""The rows of a benchmark as Markdown and as charts."""

import pathlib
import textwrap
from collections.abc import Sequence
from typing import Any

_OURS, _PEER, _LIMIT = "#1f5fa8", "#e08e2b", "#999999"
_PLAIN = "#444444"
_HEADER = "| suite | work | what | ours | peer | ratio | spread | better |"


def table(rows: Sequence[dict]) -> str:
    """The rows as a Markdown table."""
    lines = [_HEADER, "|---|---|---|---:|---:|---:|---|---|"]
    for row in rows:
        low, high = row["spread"]
        lines.append(
            f"| {row['suite']} | {row['work']} | {row['metric']} "
            f"| {_number(row['ours'])} | {_number(row['peer'])} ({row['peer_name']}) "
            f"| {row['ratio']:.2f} | {low:.2f} to {high:.2f} | {row['better']} |"
        )
    return "\n".join(lines)


def _number(value: float) -> str:
    """Formats with at least three digits: 0.0123, 1.23, 12.3, 1234."""
    return f"{value:.0f}" if value >= 1000 else f"{value:.3g}"


def draw(rows: Sequence[dict], path: pathlib.Path, caption: str) -> list[pathlib.Path]:
    """Writes a PNG of all ratios, and one of growth if it was measured.

    Args:
        rows: results of `comparison.row`.
        path: path of the first; the other has `-growth` in its name.
        caption: machine and versions.

    Returns:
        The written files.
    """
    files = [path]
    _save(draw_ratios(rows, caption), path)
    if any("points" in row for row in rows):
        files.append(path.with_name(f"{path.stem}-growth{path.suffix}"))
        _save(draw_growth(rows, caption), files[1])
    return files


def draw_ratios(rows: Sequence[dict], caption: str) -> Any:
    """Draws a bar per row, from the top, with its quartiles."""
    figure = _figure(10, 1.4 + 0.3 * len(rows))
    axes = figure.subplots()
    ratios = [row["ratio"] for row in rows]
    errors = [
        [row["ratio"] - row["spread"][0] for row in rows],
        [row["spread"][1] - row["ratio"] for row in rows],
    ]
    colors = [_color(row) for row in rows]
    labels = [
        f"{row['work']}: {row['metric'].partition(', ')[0]} / {row['peer_name']}"
        for row in rows
    ]
    places = range(len(rows))
    axes.barh(places, ratios, xerr=errors, color=colors, ecolor=_PLAIN, capsize=2)
    axes.axvline(1, color=_PLAIN, linewidth=1)
    axes.set_yticks(places, labels, fontsize=7)
    axes.invert_yaxis()
    axes.set_xlim(left=0)
    axes.set_xlabel(
        "ours / peer, median and quartiles\n"
        "blue: ours is better, orange: the peer, grey: share of a limit"
    )
    _caption(figure, caption)
    axes.grid(axis="x", alpha=0.3)
    return figure


def _color(row: dict) -> str:
    """The color for the side that is better."""
    if row["better"] == "nearer 1":
        return _LIMIT
    return _OURS if (row["ratio"] < 1) == (row["better"] == "below 1") else _PEER


def draw_growth(rows: Sequence[dict], caption: str) -> Any:
    """Draws step time over the amount, and a straight line through the last point."""
    rows = [row for row in rows if "points" in row]
    figure = _figure(5 * len(rows), 4.2)
    for axes, row in zip(
        figure.subplots(1, len(rows), squeeze=False)[0], rows, strict=True
    ):
        amounts, low, median, high = zip(*row["points"], strict=True)
        below = [m - x for m, x in zip(median, low, strict=True)]
        above = [x - m for m, x in zip(median, high, strict=True)]
        label = f"measured, exponent {row['ratio']:.2f}"
        axes.errorbar(
            amounts, median, (below, above), fmt="o-", color=_OURS, label=label
        )
        line = [median[-1] * amount / amounts[-1] for amount in amounts]
        axes.plot(amounts, line, "--", color=_PLAIN, label="linear")
        axes.set(xscale="log", yscale="log", xlabel=row["unit"], ylabel="step, s")
        axes.set_xticks(amounts, [f"{amount:g}" for amount in amounts], fontsize=7)
        axes.set_xticks([], minor=True)
        axes.yaxis.set_major_formatter("{x:g}")
        axes.set_title(row["work"], fontsize=9)
        axes.legend()
        axes.grid(alpha=0.3, which="both")
    _caption(figure, caption)
    return figure


def _figure(width: float, height: float) -> Any:
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError(
            "Charts are drawn with matplotlib: pip install keras_effnetv2[train]."
        ) from error
    return Figure(figsize=(width, height), dpi=120, layout="constrained")


def _caption(figure: Any, text: str) -> None:
    width = int(13 * figure.get_figwidth())  # Letters that fit on a line.
    figure.suptitle(textwrap.fill(text, width), fontsize=7)


def _save(figure: Any, path: pathlib.Path) -> None:
    figure.savefig(path, format="png")
