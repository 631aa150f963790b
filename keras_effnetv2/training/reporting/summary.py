"""The summary that a run prints at its end."""

import statistics
from collections.abc import Sequence
from typing import Any

from keras_effnetv2.progress import format_duration
from keras_effnetv2.tables import align
from keras_effnetv2.training.progressive.stages import Stage

_HEADER = (
    "stage", "epochs", "size", "images/s", "time", "last loss", "best eval accuracy"
)  # fmt: skip


def summarize(
    records: Sequence[dict[str, Any]],
    stages: Sequence[Stage],
    num_damaged: int = 0,
    num_worse: int = 0,
) -> str:
    """A table of the stages, and the time that training at one size would have taken.

    Args:
        records: records of the trained epochs; see `Records`.
        stages: the plan.
        num_damaged: images that were skipped.
        num_worse: evaluations after the best one, if they ended the training.
    """
    rows: list[tuple[str, ...]] = [_HEADER]
    seconds = 0.0
    for stage in stages:
        own = _of_stage(records, stage)
        if own:
            seconds += sum(record["seconds"] for record in own)
            rows.append(_row(own, stage))
    total = ("total", str(len(records)), "", "", format_duration(seconds), "", "")
    lines = [*align([*rows, total], num_left=1), ""]
    fixed = _seconds_at_fixed_size(records, stages)
    if fixed is not None and fixed > seconds:
        lines.append(
            f"Progressive stages took {format_duration(seconds)}; at "
            f"{stages[-1].image_size} pixels throughout it would have taken about "
            f"{format_duration(fixed)} (estimated from the last stage's epochs)."
        )
    if num_worse:
        lines.append(
            f"Stopped after epoch {records[-1]['epoch']} of {stages[-1].end_epoch}: "
            f"the last {num_worse} evaluations were no better than the best before."
        )
    if num_damaged:
        lines.append(f"Damaged images that were skipped: {num_damaged:,}.")
    return "\n".join(lines).rstrip()


def _of_stage(records: Sequence[dict[str, Any]], stage: Stage) -> list[dict[str, Any]]:
    return [record for record in records if record["stage"] == stage.index + 1]


def _row(records: Sequence[dict[str, Any]], stage: Stage) -> tuple[str, ...]:
    """A row from the records of one stage."""
    first, last = records[0]["epoch"], records[-1]["epoch"]
    speed = statistics.median(record["images_per_second"] for record in records)
    loss = records[-1]["loss"]
    evaluated = [record.get("eval_accuracy") for record in records]
    best = max((x for x in evaluated if x is not None), default=None)
    return (
        str(stage.index + 1),
        f"{first}-{last}",
        str(stage.image_size),
        f"{speed:,.0f}",
        format_duration(sum(record["seconds"] for record in records)),
        "-" if loss is None else f"{loss:.3f}",
        "-" if best is None else f"{best:.1%}",
    )


def _seconds_at_fixed_size(
    records: Sequence[dict[str, Any]], stages: Sequence[Stage]
) -> float | None:
    """Seconds at the last size throughout; None if unknown, or with one size only."""
    last = _of_stage(records, stages[-1])
    if not last or len({stage.image_size for stage in stages}) == 1:
        return None
    # The first epoch of any training run traces the step.
    first = [record["seconds"] for record in _of_stage(records, stages[0])]
    tracing = max(0.0, first[0] - statistics.median(first[1:])) if first[1:] else 0.0
    epoch = statistics.median(record["seconds"] for record in last)
    return tracing + len(records) * epoch
