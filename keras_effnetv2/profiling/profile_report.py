"""A profile as a text table."""

from keras_effnetv2.profiling.costs import Profile, StageProfile
from keras_effnetv2.profiling.measurement import Latency
from keras_effnetv2.tables import align

_HEADER = (
    "stage", "operator", "output", "filters", "blocks", "params", "trainable",
    "FLOPs (M)", "activations (MiB)",
)  # fmt: skip


def format_table(result: Profile) -> str:
    """`result` as text: one row per stage, a total, and notes on the columns."""
    rows: list[tuple[str, ...]] = [_HEADER]
    for stage in result.stages:
        height, width = stage.output_size
        row = (stage.name, stage.operator, f"{height}x{width}", str(stage.filters))
        rows.append((*row, str(stage.num_blocks), *_costs(stage)))
    rows.append(("total", "", "", "", "", *_costs(result)))
    height, width = result.image_size
    lines = [f"{result.variant}, {height}x{width} pixels", "", *align(rows), ""]
    lines.append("FLOPs: multiply-adds of convolutions and dense layer, one image.")
    if result.activation_bytes is not None:
        lines.append(
            "Activations: what a training step keeps for the gradients, "
            f"batch of {result.batch_size}."
        )
    if result.latency is not None:
        lines.append(_describe_latency(result.latency, result.batch_size))
    return "\n".join(lines)


def _costs(row: StageProfile | Profile) -> tuple[str, ...]:
    """The last four cells of a row."""
    kept = row.activation_bytes
    return (
        f"{row.num_params:,}",
        f"{row.num_trainable_params:,}",
        f"{row.multiply_adds / 1e6:,.1f}",
        "-" if kept is None else f"{kept / 2**20:,.1f}",
    )


def _describe_latency(latency: Latency, batch_size: int) -> str:
    median, low, high = (
        f"{1000 * seconds:.1f}"
        for seconds in (latency.median, latency.lower_quartile, latency.upper_quartile)
    )
    return (
        f"Latency of a batch of {batch_size}: {median} ms, median of "
        f"{latency.num_calls} calls (quartiles {low} to {high} ms)."
    )
