"""The curves of a run as a picture."""

import itertools
from collections.abc import Sequence
from typing import Any

from keras_effnetv2.errors import InputError, require_modules
from keras_effnetv2.files import replacing
from keras_effnetv2.paths import AnyPathLike
from keras_effnetv2.progress import format_duration
from keras_effnetv2.training.reporting.records import best_evaluation

_TRAIN, _EVAL, _PLAIN = "#e08e2b", "#1f5fa8", "#444444"
_BANDS = ("#f2f4f7", "#e3e8ef")
# Label of a strength, and its factor: Google's nominal magnitude is 10.
_STRENGTHS = {
    "randaugment_magnitude": ("RandAugment / 10", 0.1),
    "mixup_alpha": ("MixUp", 1.0),
    "cutmix_alpha": ("CutMix", 1.0),
    "dropout_rate": ("dropout", 1.0),
    "drop_path_rate": ("drop path", 1.0),
}
_Records = Sequence[dict[str, Any]]


def draw_curves(records: _Records, path: AnyPathLike, title: str) -> None:
    """Writes a PNG of `curves_figure`.

    Args:
        records: records of the epochs so far; see `Records`.
        path: the PNG; an older one is replaced atomically.
        title: title of the picture.

    Raises:
        ValueError: no records.
        ImportError: matplotlib is missing.
    """
    figure = curves_figure(records)
    duration = format_duration(sum(record["seconds"] for record in records))
    figure.suptitle(f"{title} · {duration} of training", fontsize=15)
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png")


def curves_figure(records: _Records) -> Any:
    """Accuracy, loss, learning rate, image size and regularization over the epochs.

    Args:
        records: records of the epochs so far; see `Records`.

    Returns:
        A figure of matplotlib.

    Raises:
        ValueError: no records.
        ImportError: matplotlib is missing.
    """
    if not records:
        raise InputError("Curves need the record of an epoch. Received none.")
    require_modules("Curves need", "train", "matplotlib")
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 10), dpi=110, layout="constrained")
    axes = figure.subplots(4, sharex=True, height_ratios=(3, 2, 1.2, 1.6))
    _draw_accuracy(axes[0], records)
    _draw_loss(axes[1], records)
    _draw_learning_rate(axes[2], records)
    _draw_difficulty(axes[3], records)
    _draw_stages(axes, records)
    _draw_epochs(axes[-1], records)
    return figure


def _draw_accuracy(axes: Any, records: _Records) -> None:
    _plot(axes, _points(records, "accuracy", 100), _TRAIN, "training")
    best = best_evaluation(records)
    if best is not None:
        epoch, accuracy = best["epoch"], 100 * best["eval_accuracy"]
        label = f"evaluation, best {accuracy:.1f} % after epoch {epoch}"
        _plot(axes, _points(records, "eval_accuracy", 100), _EVAL, label)
        axes.plot(epoch, accuracy, "*", color=_EVAL, markersize=13)
    axes.set_ylabel("accuracy (%)")
    if axes.lines:
        axes.legend(loc="best")


def _draw_loss(axes: Any, records: _Records) -> None:
    _plot(axes, _points(records, "loss"), _TRAIN, "training")
    _plot(axes, _points(records, "eval_loss"), _EVAL, "evaluation")
    axes.set_ylabel("loss")
    if axes.lines:
        axes.legend(loc="best")


def _draw_learning_rate(axes: Any, records: _Records) -> None:
    points = _points(records, "learning_rate")
    _plot(axes, points, _PLAIN)
    axes.set_ylabel("learning rate")
    axes.set_ylim(0, 1.1 * max(rate for _, rate in points) or 1)
    axes.ticklabel_format(axis="y", style="sci", scilimits=(-2, 3))


def _draw_difficulty(axes: Any, records: _Records) -> None:
    """Image size as an area; the strengths in use on the right axis."""
    edges = [records[0]["epoch"] - 1, *(record["epoch"] for record in records)]
    sizes = [record["image_size"] for record in records]
    axes.stairs(sizes, edges, fill=True, color="#b9c4d3")
    axes.set_ylabel("image size (px)")
    axes.set_ylim(0, 1.1 * max(sizes))
    right = axes.twinx()
    for name, (label, factor) in _STRENGTHS.items():
        values = [factor * (record.get(name) or 0.0) for record in records]
        if any(values):
            right.stairs(values, edges, baseline=None, label=label, linewidth=2)
    if right.patches:
        right.set_ylabel("regularization")
        right.set_ylim(bottom=0)
        right.legend(
            loc="lower right",
            bbox_to_anchor=(1, 1),
            ncols=len(right.patches),
            frameon=False,
        )
    else:
        right.set_axis_off()


def _draw_stages(all_axes: Sequence[Any], records: _Records) -> None:
    """Backgrounds, with size and duration of each stage above."""
    stages = [
        (number, list(group))
        for number, group in itertools.groupby(records, lambda x: x["stage"])
    ]
    for number, group in stages:
        start, end = group[0]["epoch"] - 1, group[-1]["epoch"]
        for axes in all_axes:
            axes.axvspan(start, end, color=_BANDS[number % 2], zorder=0)
        name = f"stage {number} · " if len(stages) <= 5 else ""
        size = f"{group[0]['image_size']} px"
        duration = format_duration(sum(record["seconds"] for record in group))
        all_axes[0].annotate(
            f"{name}{size}\n{duration}",
            ((start + end) / 2, 1),
            (0, 4),
            xycoords=("data", "axes fraction"),
            textcoords="offset points",
            ha="center",
            fontsize=10,
        )


def _draw_epochs(axes: Any, records: _Records) -> None:
    first, last = records[0]["epoch"] - 1, records[-1]["epoch"]
    axes.set_xlim(first, last + 0.02 * (last - first))  # Shows the whole last marker.
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.set_xlabel("epochs")


def _points(
    records: _Records, name: str, factor: float = 1.0
) -> list[tuple[int, float]]:
    """(epoch, value times `factor`) where the value was measured."""
    return [
        (record["epoch"], factor * record[name])
        for record in records
        if record.get(name) is not None
    ]


def _plot(
    axes: Any, points: list[tuple[int, float]], color: str, label: str | None = None
) -> None:
    """A line; dots too, as long as there are few."""
    if points:
        marker = "o" if len(points) <= 40 else None
        epochs, values = zip(*points, strict=True)
        axes.plot(epochs, values, color=color, label=label, marker=marker, markersize=4)
