"""Pictures of the course of a search and its results."""

import itertools
import operator
import os
import pathlib
from collections.abc import Sequence
from typing import Any

from keras_effnetv2.errors import require_modules
from keras_effnetv2.files import replacing
from keras_effnetv2.search.results.importance import Importance, measure_importance
from keras_effnetv2.search.results.trials import Result, best_result
from keras_effnetv2.search.reward import Measurement, pareto_front

_TRIAL, _BEST, _NO_REWARD = "#8fa3bd", "#1f5fa8", "#c0392b"
_INCHES_PER_BAR = 0.28


def draw_figures(
    results: Sequence[Result], folder: str | os.PathLike, title: str
) -> list[pathlib.Path]:
    """Writes `rewards.png`, `front.png` and `importance.png`; older ones are replaced.

    A picture without measured trials is left out.

    Args:
        results: results of a study; see `read_results`.
        folder: an existing folder.
        title: title of the pictures.

    Returns:
        The paths of the pictures.

    Raises:
        ImportError: matplotlib is missing.
    """
    require_modules("Figures need", "search", "matplotlib")
    from matplotlib.figure import Figure

    complete = [result for result in results if result.reward is not None]
    measured = [result for result in complete if result.measured]
    pictures = {
        "rewards": (_draw_rewards, results if complete else None, 5.0),
        "front": (_draw_front, measured or None, 6.0),
        "importance": (
            _draw_importance,
            measure_importance(complete),
            1.6 + _INCHES_PER_BAR * len(results[0].point if results else ()),
        ),
    }
    paths = []
    for name, (draw, contents, height) in pictures.items():
        if contents is None:
            continue
        figure = Figure(figsize=(9, height), dpi=110, layout="constrained")
        draw(figure.subplots(), contents)
        figure.suptitle(title, fontsize=15)
        paths.append(pathlib.Path(folder) / f"{name}.png")
        with replacing(paths[-1]) as temporary:
            figure.savefig(temporary, format="png")
    return paths


def _draw_rewards(axes: Any, results: Sequence[Result]) -> None:
    complete = [(x.number, x.reward) for x in results if x.reward is not None]
    numbers, rewards = zip(*complete, strict=True)
    axes.plot(numbers, rewards, "o", color=_TRIAL, markersize=5, label="trial")
    best = list(itertools.accumulate(rewards, max))
    axes.step(numbers, best, where="post", color=_BEST, label="best so far")
    winner = max(complete, key=operator.itemgetter(1))
    axes.plot(*winner, "*", color=_BEST, markersize=14)
    # Trials without a reward are on the frame, below all others.
    for state, marker in (("pruned", "|"), ("screened", "1"), ("failed", "x")):
        places = [result.number for result in results if result.state == state]
        if places:
            axes.plot(
                places,
                [0.02] * len(places),
                marker,
                color=_NO_REWARD,
                transform=axes.get_xaxis_transform(),
                label=state,
            )
    axes.set_xlabel("trial")
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.set_ylabel("reward")
    axes.figure.legend(loc="outside lower center", ncols=5)
    axes.grid(alpha=0.3)


def _draw_front(axes: Any, results: Sequence[Result]) -> None:
    """Accuracy over step time; parameters as color; undominated trials.

    The line considers only accuracy and step time, the rings also parameters.
    """
    measured = [found for result in results if (found := result.measured)]
    axes.plot(
        *_places(_front(measured)),
        color=_BEST,
        drawstyle="steps-post",
        label="front of accuracy and step time",
        zorder=1,
    )
    dots = axes.scatter(
        *_places(measured),
        c=[found.parameters / 1e6 for found in measured],
        cmap="viridis_r",
        norm="log",
        edgecolors="white",
        linewidths=0.5,
        s=50,
    )
    axes.figure.colorbar(dots, ax=axes, label="parameters (million)")
    axes.scatter(
        *_places([measured[index] for index in pareto_front(measured)]),
        facecolors="none",
        edgecolors="black",
        s=110,
        label="best trades of accuracy, step time and parameters",
    )
    winner = best_result(results)
    if winner is not None and winner.measured is not None:
        axes.plot(
            *_places([winner.measured]),
            "*",
            color=_NO_REWARD,
            markersize=15,
            label=f"best reward, trial {winner.number}",
        )
    axes.set_xlabel("training step (ms)")
    axes.set_ylabel("accuracy (%)")
    axes.figure.legend(loc="outside lower center", ncols=3)
    axes.grid(alpha=0.3)


def _places(measured: Sequence[Measurement]) -> tuple[list[float], list[float]]:
    """Step times in milliseconds and accuracies in percent."""
    step_times = [1000 * each.step_seconds for each in measured]
    return step_times, [100 * each.accuracy for each in measured]


def _front(measured: Sequence[Measurement]) -> list[Measurement]:
    """Trials not beaten in both accuracy and step time, fastest first."""
    front: list[Measurement] = []
    for each in sorted(measured, key=lambda x: (x.step_seconds, -x.accuracy)):
        if not front or each.accuracy > front[-1].accuracy:
            front.append(each)
    return front


def _draw_importance(axes: Any, importance: Importance) -> None:
    """One bar per decision, most important on top, labelled with its best choice."""
    shares = importance.shares
    bars = axes.barh(list(shares), [100 * x for x in shares.values()], color=_BEST)
    labels = [str(importance.best_choices[name]) for name in shares]
    axes.bar_label(bars, labels, padding=4)
    axes.invert_yaxis()
    axes.margins(y=0.01)
    axes.set_xlim(0, 120 * max(shares.values()))
    axes.set_xlabel(
        "share of the effects on the reward (%), with the best choice\n"
        f"(effects add up to a model that predicts {importance.explained:.0%} of the "
        "variance)"
    )
