"""Parameters, FLOPs and speed of the paper's Table 3, for the guide on fidelity."""

from collections.abc import Mapping

from fused_ablation import (
    BACKBONE,
    COUNTED_SIZE,
    PAPER,
    fused_variants,
    paper_ratio,
    speed_ratios,
)

from keras_effnetv2.networks.variants import get_variant
from keras_effnetv2.profiling import profile
from tables.marked_blocks import table

_COUNTS = "Fused stages", "Parameters, M: paper / ours", "FLOPs, B: paper / ours"
_SPEEDS = "Fused stages", "CPU (quartiles)", "TPUv3", "V100"


def count_table() -> str:
    """A line for each row of the paper."""
    rows = [_COUNTS]
    for label, variant in fused_variants(get_variant(BACKBONE)).items():
        counted = profile(variant, COUNTED_SIZE, measure=False)
        params = f"{PAPER[label].params} / {counted.num_trainable_params / 1e6:.1f}"
        flops = f"{PAPER[label].flops} / {counted.multiply_adds / 1e9:.1f}"
        rows.append((label, params, flops))
    return table(rows)


def speed_table(seconds: Mapping[str, list[float]]) -> str:
    """Throughput relative to no fused stages: what was measured, and the paper's."""
    rows = [_SPEEDS]
    for label, ratio in speed_ratios(seconds).items():
        ours = f"{ratio.median:.2f} ({ratio.low:.2f} to {ratio.high:.2f})"
        papers = (f"{paper_ratio(label, device):.2f}" for device in ("tpu", "v100"))
        rows.append((label, ours, *papers))
    return table(rows)
