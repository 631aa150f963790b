"""Parameters and FLOPs of the paper's Table 3, for the guide on fidelity."""

from fused_ablation import BACKBONE, COUNTED_SIZE, PAPER, fused_variants

from keras_effnetv2.networks.variants import get_variant
from keras_effnetv2.profiling import profile
from tables.marked_blocks import table

_HEAD = "Fused stages", "Parameters, M: paper / ours", "FLOPs, B: paper / ours"


def count_table() -> str:
    """A line for each row of the paper."""
    rows = [_HEAD]
    for label, variant in fused_variants(get_variant(BACKBONE)).items():
        counted = profile(variant, COUNTED_SIZE, measure=False)
        params = f"{PAPER[label].params} / {counted.num_trainable_params / 1e6:.1f}"
        flops = f"{PAPER[label].flops} / {counted.multiply_adds / 1e9:.1f}"
        rows.append((label, params, flops))
    return table(rows)
