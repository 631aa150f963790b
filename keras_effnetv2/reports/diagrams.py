"""Diagrams as inline SVG, in the page's colours, light and dark."""

import io
import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from keras_effnetv2.reports.calibration import NUM_BINS, Reliability
from keras_effnetv2.training.reporting.curves import curves_figure
from keras_effnetv2.training.reporting.rate_sweep import RateSweep, rates_figure

# Colours of figures -> the page's own, in report.css.
_PAGE_COLORS = {
    "#000000": "currentColor",
    "#ffffff": "var(--card)",
    "#f2f4f7": "var(--band)",
    "#e3e8ef": "var(--band-2)",
    "#b9c4d3": "var(--area)",
    "#444444": "var(--quiet)",
    "#cccccc": "var(--line)",
    "#e08e2b": "var(--orange)",
    "#1f5fa8": "var(--blue)",
    "#1f77b4": "var(--blue)",
    "#ff7f0e": "var(--orange)",
}
_BEFORE, _AFTER, _LINE = "#e08e2b", "#1f5fa8", "#cccccc"


def draw_curves(records: Sequence[dict[str, Any]]) -> str:
    """The training curves."""
    return _to_svg(curves_figure(records), "curves")


def draw_rates(sweep: RateSweep) -> str:
    """The sweep that determined the learning rate."""
    return _to_svg(rates_figure(sweep), "rates")


def draw_reliability(before: Reliability, after: Reliability | None) -> str:
    """The share of true predictions over the score, and the number of scores.

    Args:
        before: reliability of the scores as trained.
        after: reliability of the calibrated scores; None if there are none.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.2, 5.2), layout="constrained")
    upper, lower = figure.subplots(2, sharex=True, height_ratios=(3, 1))
    upper.plot([0, 1], [0, 1], color=_LINE, linestyle="--", linewidth=1.5)
    shown = {"as trained": (before, _BEFORE), "calibrated": (after, _AFTER)}
    edges = np.linspace(0, 1, NUM_BINS + 1)
    for label, (found, color) in shown.items():
        if found is None:
            continue
        is_used = found.counts > 0
        text = f"{label}, ECE {found.error:.1%}"
        points = (found.scores[is_used], found.shares[is_used])
        upper.plot(*points, color=color, label=text, linewidth=1.2)
        # Shares of few scores mean little: areas are proportional to their number.
        sizes = 260 * found.counts[is_used] / found.counts.max()
        upper.scatter(*points, sizes + 4, color=color)
        lower.stairs(found.counts, edges, color=color, linewidth=2)
    upper.set_ylabel("share that is true")
    upper.set_xlim(0, 1)
    upper.set_ylim(0, 1.02)
    upper.legend(loc="upper left", frameon=False)
    lower.set_ylabel("scores")
    lower.set_xlabel("score")
    return _to_svg(figure, "reliability")


def draw_coverage(curve: np.ndarray) -> str:
    """Accuracy over the share of images that are answered.

    Args:
        curve: accuracy on the most confident image, the two most confident, and so on.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.2, 3.6), layout="constrained")
    axes = figure.subplots()
    chosen = np.unique(np.linspace(0, len(curve) - 1, 400).astype(int))
    chosen = chosen[chosen >= min(len(curve) - 1, len(curve) // 50)]
    shares = 100 * (chosen + 1) / len(curve)
    axes.plot(shares, 100 * curve[chosen], color=_AFTER, linewidth=2)
    axes.set_xlim(0, 100)
    axes.set_ylim(top=100.5)
    axes.set_xlabel("images answered (%)")
    axes.set_ylabel("accuracy of these (%)")
    axes.grid(color=_LINE, linewidth=0.6)
    return _to_svg(figure, "coverage")


def _to_svg(figure: Any, name: str) -> str:
    """An `<svg>` element that takes its colours and fonts from the page."""
    import matplotlib

    file = io.StringIO()
    figure.patch.set_alpha(0)
    for axes in figure.axes:
        axes.patch.set_alpha(0)
    # Text stays text, and the same figure has the same IDs.
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": name}):
        figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None})
    svg = file.getvalue()
    svg = svg[svg.index("<svg") :]
    # Its style would apply to the whole page.
    svg = re.sub(
        r"<metadata>.*?</metadata>|<style.*?</style>", "", svg, flags=re.DOTALL
    )
    svg = re.sub(r'\b(id="|href="#|url\(#)', rf"\g<1>{name}-", svg)
    svg = re.sub(r"font: [^;\"]*?([\d.]+px)[^;\"]*", r"font-size: \1", svg)
    for color, own in _PAGE_COLORS.items():
        svg = svg.replace(color, own)
    return re.sub(r'(<svg[^>]*?) width="[^"]*"', rf'\1 class="{name}"', svg, count=1)
