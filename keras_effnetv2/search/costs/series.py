"""Costs of the members of a series: layers, parameters, FLOPs, training steps.

print(format_costs(measure_costs(scale_series(variant), batch_size=64)))
"""

import dataclasses
import statistics
import sys
from collections.abc import Sequence
from typing import Any, TextIO

from keras_effnetv2.networks.architecture import Variant
from keras_effnetv2.profiling import profile
from keras_effnetv2.progress import Progress
from keras_effnetv2.search.costs.step_time import (
    REPEATS,
    compare_step_times,
    measure_step_times,
    relative_step_time,
)
from keras_effnetv2.search.costs.workload import device_name
from keras_effnetv2.tables import align
from keras_effnetv2.training.experiments.configuration import Precision


@dataclasses.dataclass(frozen=True)
class Step:
    """The time of a training step, and its workload.

    Attributes:
        seconds: median time.
        image_size: pixels a side.
        batch_size: images per step.
        precision: precision of the network.
        device: the device, in words.
    """

    seconds: float
    image_size: int
    batch_size: int
    precision: str
    device: str


@dataclasses.dataclass(frozen=True)
class Cost:
    """The costs of a member of a series.

    Attributes:
        variant: its name.
        eval_size: image side, pixels, for which the multiply-adds are counted.
        num_layers: blocks of each stage.
        num_params: trainable parameters, with a top of 1,000 classes.
        multiply_adds: multiply-adds for one image.
        step: training step; None if not measured.
    """

    variant: str
    eval_size: int
    num_layers: tuple[int, ...]
    num_params: int
    multiply_adds: int
    step: Step | None = None


def count_costs(variants: Sequence[Variant]) -> list[Cost]:
    """The costs of networks, each at its own evaluation size.

    Args:
        variants: e.g. from `scale_series`.
    """
    costs = []
    for variant in variants:
        counted = profile(variant, measure=False)
        costs.append(
            Cost(
                variant.name,
                variant.eval_size,
                variant.scaled_repeats,
                counted.num_trainable_params,
                counted.multiply_adds,
            )
        )
    return costs


def measure_costs(
    variants: Sequence[Variant],
    *,
    batch_size: int,
    image_size: int | None = None,
    precision: Precision = "float32",
    classes: int = 1000,
    repeats: int = REPEATS,
    stream: TextIO | None = None,
) -> list[Cost]:
    """As `count_costs`, with the time of a training step on this device.

    Each network is timed alternately with the first one, two being in memory at once,
    so that all times refer to the same speed of the machine.

    Args:
        variants: e.g. from `scale_series`; at least one.
        batch_size: images per step.
        image_size: side in pixels; None: the training size of each variant.
        precision: `"float32"`, `"mixed_bfloat16"` or `"mixed_float16"`.
        classes: width of the classifier.
        repeats: rounds.
        stream: where to write progress; None: `sys.stderr`.

    Raises:
        ValueError: as for `measure_step_times`.
    """
    workload = {
        "batch_size": batch_size,
        "image_size": image_size,
        "precision": precision,
        "classes": classes,
        "repeats": repeats,
    }
    times = _measure_times(variants, workload, stream or sys.stderr)
    return [
        dataclasses.replace(
            cost,
            step=Step(
                seconds,
                variant.train_size if image_size is None else image_size,
                batch_size,
                precision,
                device_name(),
            ),
        )
        for variant, cost, seconds in zip(
            variants, count_costs(variants), times, strict=True
        )
    ]


def _measure_times(
    variants: Sequence[Variant], workload: dict[str, Any], stream: TextIO
) -> list[float]:
    """Seconds of a step of each."""
    if len(variants) < 2:
        return [time.median for time in measure_step_times(variants, **workload)]
    first, *others = variants
    progress = Progress("step times of networks", len(others), stream=stream)
    beside, ratios = [], [1.0]
    for own, of_first in compare_step_times(others, first, group_size=1, **workload):
        beside.append(of_first.median)
        ratios.append(relative_step_time(own, of_first))
        progress.advance(1)
    progress.finish()
    return [ratio * statistics.median(beside) for ratio in ratios]


def format_costs(costs: Sequence[Cost]) -> str:
    """The costs as a text table; below it, what was timed, if anything.

    In the last column, the first has step time 1.
    """
    first = costs[0].step if costs else None
    head = ("variant", "layers", "pixels", "params (M)", "FLOPs (B)")
    rows: list[tuple[str, ...]] = [
        head if first is None else (*head, "train pixels", "step (s)", "")
    ]
    for cost in costs:
        row = (
            cost.variant,
            " ".join(map(str, cost.num_layers)),
            str(cost.eval_size),
            _short(cost.num_params / 1e6),
            _short(cost.multiply_adds / 1e9),
        )
        rows.append(row if first is None else (*row, *_step_cells(cost.step, first)))
    lines = align(rows)
    if first is not None:
        lines.append(
            f"A step trains on {first.batch_size} images in {first.precision}, on "
            f"{first.device}."
        )
    return "\n".join(lines)


def _short(number: float) -> str:
    """Two decimals, or three significant digits if that would be zero."""
    return f"{number:.2f}" if number >= 1 else f"{number:.3g}"


def _step_cells(step: Step | None, first: Step) -> tuple[str, str, str]:
    if step is None:
        return "-", "-", ""
    ratio = f"{step.seconds / first.seconds:.2f}x"
    return str(step.image_size), f"{step.seconds:.3g}", ratio
