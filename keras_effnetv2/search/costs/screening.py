"""Screens candidates by predicted step time, and validates predictions."""

import dataclasses
from collections.abc import Iterator
from typing import Any

import numpy as np

from keras_effnetv2.errors import InputError
from keras_effnetv2.networks.architecture import Variant
from keras_effnetv2.search.costs.step_time import (
    compare_step_times,
    relative_step_time,
)
from keras_effnetv2.search.costs.table import CostTable
from keras_effnetv2.search.sampling.space import Space

# Draws without a new point, a few seconds: the range must be a mistake.
_PATIENCE = 10_000


def screen(
    space: Space,
    table: CostTable,
    num: int,
    rng: np.random.Generator,
    max_relative_step_time: float,
) -> list[dict[str, str | int]]:
    """Different random points that are predicted to be fast enough.

    Args:
        space: the space to draw from.
        table: the table that predicts.
        num: number of points.
        rng: random generator of the draws.
        max_relative_step_time: maximum, relative to the backbone's step time.

    Raises:
        ValueError: an impossible maximum, or one for which 10,000 draws find no more
            points.
    """
    if not max_relative_step_time > 0 or num < 1:
        raise InputError(
            "Screening needs num of 1 or more, and max_relative_step_time above 0. "
            f"Received: {num} and {max_relative_step_time}."
        )
    points: dict[tuple, dict[str, str | int]] = {}
    seen: list[float] = []
    last = 0  # Draws until the newest point.
    while len(points) < num and len(seen) - last < _PATIENCE:
        point = space.random(rng)
        key = tuple(point.values())
        seen.append(table.relative(space.variant(point)))
        if seen[-1] <= max_relative_step_time and key not in points:
            points[key], last = point, len(seen)
    if len(points) == num:
        return list(points.values())
    raise InputError(
        f"Only {len(points)} of {num} points with {max_relative_step_time:g} times the "
        f"backbone's step or less were found in {len(seen):,} draws, which had "
        f"{min(seen):.3g} to {max(seen):.3g} times. Allow more, or widen the space."
    )


@dataclasses.dataclass(frozen=True)
class Validation:
    """Predicted and measured step times of held-out networks.

    Both are relative to the backbone's step, measured in the same rounds: the machine
    need not be as fast as when the table was measured.

    Attributes:
        variants: the networks.
        predicted: predicted time of each.
        measured: measured time of each.
        backbone_seconds: time of the backbone's step, measured with each.
    """

    variants: tuple[Variant, ...]
    predicted: tuple[float, ...]
    measured: tuple[float, ...]
    backbone_seconds: tuple[float, ...]

    @property
    def median_relative_error(self) -> float:
        """|predicted / measured - 1|."""
        ratios = np.array(self.predicted) / np.array(self.measured)
        return float(np.median(np.abs(ratios - 1)))

    @property
    def rank_correlation(self) -> float:
        """Spearman's: 1 if predictions order the networks like measurements.

        NaN, with a warning, if all are equal.
        """
        from scipy import stats

        found: Any = stats.spearmanr(self.predicted, self.measured)
        return float(found.statistic)


def iterate_validation(
    table: CostTable, space: Space, num: int, seed: int, repeats: int, group_size: int
) -> Iterator[tuple[Variant, float, float, float]]:
    """Measures random networks of the space, and compares with the predictions.

    Args:
        table: the table that predicts.
        space: the space to draw from.
        num: number of networks, 2 or more.
        seed: seed of the draws; networks that the table was fitted to are skipped.
        repeats: rounds.
        group_size: networks in memory at once, besides the backbone.

    Yields:
        The entries of `Validation` for each network.

    Raises:
        ValueError: `num` below 2 or larger than the space, or as for
            `measure_step_times`.
    """
    variants = _unseen(table, space, num, seed)
    times = compare_step_times(
        variants,
        table.backbone,
        group_size=group_size,
        repeats=repeats,
        **_options(table),
    )
    for variant, (own, beside) in zip(variants, times, strict=True):
        ratio = relative_step_time(own, beside)
        yield variant, table.relative(variant), ratio, beside.median


def _unseen(table: CostTable, space: Space, num: int, seed: int) -> list[Variant]:
    """Different random networks of the space, without those fitted."""
    if not 2 <= num <= space.size - len(table.fitted):
        raise InputError(
            "Validation needs 2 networks or more, and no more than the space has, "
            f"minus the {len(table.fitted)} that the table was fitted to. Received: "
            f"num={num!r} for a space of {space.size:,}."
        )
    rng = np.random.default_rng(seed)
    rows = {variant.blocks for variant in table.fitted}
    variants: list[Variant] = []
    while len(variants) < num:
        name = f"candidate-{len(variants) + 1}"
        variant = space.variant(space.random(rng), name)
        if variant.blocks not in rows:
            rows.add(variant.blocks)
            variants.append(variant)
    return variants


def _options(table: CostTable) -> dict[str, Any]:
    """The table's workload as arguments."""
    fields = dataclasses.fields(table.workload)
    return {field.name: getattr(table.workload, field.name) for field in fields}
