"""The README's table of variants, from what `list` prints."""

from keras_effnetv2 import profiling
from keras_effnetv2.networks import variants
from tables.marked_blocks import table

_SIZES = ("b0", "b1", "b2", "b3", "s", "m", "l", "xl")
_HEAD = ("Variant", "Image size", "Parameters, M", "Top-1, %")


def variant_table() -> str:
    """The V2 networks: side at evaluation, trainable parameters, published accuracy."""
    return table([_HEAD, *map(_row, _SIZES)], " rrr")


def _row(size: str) -> tuple[str, ...]:
    variant = variants.get_variant(f"efficientnetv2-{size}")
    counted = profiling.profile(variant, measure=False)
    params = f"{counted.num_trainable_params / 1e6:.1f}"
    top1 = f"{profiling.PUBLISHED[variant.name].top1:g}"
    return f"`{variant.name}`", str(variant.eval_size), params, top1
