"""Scales a network that a search has found to a series, small to large.

for variant in scale_series(read_variant("found.json")): ...

Source: Tan and Le 2021, https://arxiv.org/abs/2104.00298, Section 3.3: compound scaling
as in EfficientNet, but (1) the inference image size is 480 at most, and (2) "gradually
add more layers to later stages (e.g., stage 5 and 6 in Table 4)". It states neither
coefficients nor how many layers; released M, L and XL are rows of their own. `SERIES`
says where each number comes from. Applied to the paper's S, at 480 pixels, compared
with the released networks (millions of parameters, billions of multiply-adds):

         rows of blocks                      parameters     FLOPs
    m    3, 5, 5, 8, 14, 22        ours      40.7 (-25%)    23.7 (-4%)
         3, 5, 5, 7, 14, 18, 5     released  54.1           24.6
    l    4, 7, 7, 11, 22, 32       ours      91.7 (-23%)    55.7 (-1%)
         4, 7, 7, 10, 19, 25, 7    released  118.5          56.1
    xl   4, 8, 8, 12, 27, 39       ours      130.2 (-37%)   75.7 (-8%)
         4, 8, 8, 16, 24, 32, 8    released  208.1          82.1

Channels are within 17%, for XL within 25%. There are fewer parameters mostly because
the released networks have a seventh stage, at stride 1 with 512 or 640 channels: many
parameters, few multiply-adds. S lacks it (the paper "completely removes" it), and no
scaling rule brings it back.
"""

import dataclasses
import math
from collections.abc import Collection, Sequence
from typing import Any

from keras_effnetv2.errors import InputError
from keras_effnetv2.networks.architecture import BlockSpec, Variant, apply_coefficients

MAX_EVAL_SIZE = 480  # Pixels. Paper, Section 3.3; released XL has 512.

# EfficientNet, Tan and Le 2019, https://arxiv.org/abs/1905.11946, Section 4.
_WIDTH, _DEPTH, _SIZE = 1.1, 1.2, 1.15
# Like the stem and all channels, so that sides suit hardware. Our choice.
_SIZE_DIVISOR = 8
_MAX_DROPOUT_RATE = 0.5  # Paper, Table 6, for L.


@dataclasses.dataclass(frozen=True)
class Scale:
    """How one member of a series differs from the original network.

    Attributes:
        suffix: suffix of the member's name, such as `"m"`.
        width: multiplies channels of stem and stages; those of the top stay.
        depth: multiplies layers, rounded up.
        size: multiplies image sides.
        late_layers: additional layers in each of the late stages, after `depth`.
        dropout_rate: value added to the rate of the dropout before the classifier.
    """

    suffix: str
    width: float
    depth: float
    size: float
    late_layers: int = 0
    dropout_rate: float = 0.0

    def __post_init__(self) -> None:
        for field in ("width", "depth", "size"):
            if not 0 < getattr(self, field) < math.inf:
                raise InputError(
                    f"{field} must be above 0. Received: {getattr(self, field)!r}."
                )
        for field in ("late_layers", "dropout_rate"):
            if not 0 <= getattr(self, field) < math.inf:
                raise InputError(
                    f"{field} must be 0 or more. Received: {getattr(self, field)!r}."
                )


# Width and depth: comments of the released code call S, M and L B4, B5 and B7 of the
# V2 base, so these are their quotients; XL by B8 of EfficientNet's code (2.2, 3.6).
# Size: released S has 384 pixels, M 480; L and XL by B7 and B8 (600, 672; B4: 380).
# Late layers: ours, so that multiply-adds are near the released ones. Dropout: code.
# fmt: off
#          suffix  width      depth      size       late layers  dropout
SERIES = (
    Scale("s",     1.0,       1.0,       1.0),
    Scale("m",     1.6 / 1.4, 2.2 / 1.8, 480 / 384, 3,           0.1),
    Scale("l",     2.0 / 1.4, 3.1 / 1.8, 600 / 380, 6,           0.2),
    Scale("xl",    2.2 / 1.4, 3.6 / 1.8, 672 / 380, 9,           0.2),
)
"""The scales that make S, M, L and XL from a small network."""
# fmt: on


def compound(phi: float, suffix: str, late_layers: int = 0) -> Scale:
    """EfficientNet's compound scaling: about `2**phi` times the multiply-adds.

    Args:
        phi: depth grows as 1.2**phi, width as 1.1**phi, image sides as 1.15**phi.
        suffix: suffix of the member's name.
        late_layers: additional layers in each of the late stages.
    """
    return Scale(suffix, _WIDTH**phi, _DEPTH**phi, _SIZE**phi, late_layers)


def scale(
    variant: Variant,
    by: Scale,
    *,
    late_stages: Collection[int] | None = None,
    max_eval_size: int = MAX_EVAL_SIZE,
) -> Variant:
    """One member of the series of `variant`, with coefficients of 1.

    Args:
        variant: e.g. one found by a search.
        by: the scale.
        late_stages: numbers, from 1, of the stages that get more layers. None: the last
            two, like stages 5 and 6 of the paper's S.
        max_eval_size: maximum image side of the evaluation, pixels; that of training is
            reduced by the same factor.

    Raises:
        ValueError: a late stage that does not exist, or a size below 1.
    """
    if max_eval_size < 1:
        raise InputError(f"max_eval_size must be 1 or more. Received: {max_eval_size}.")
    variant = apply_coefficients(variant)
    late_stages = _late_stages(variant, late_stages)
    wider = dataclasses.replace(variant, width_coefficient=by.width)
    size = min(by.size, max_eval_size / variant.eval_size)
    return dataclasses.replace(
        variant,
        name=f"{variant.name}-{by.suffix}",
        blocks=tuple(
            _scale_row(spec, wider, by, stage in late_stages)
            for stage, spec in enumerate(variant.blocks, start=1)
        ),
        stem_filters=wider.scaled_stem_filters,
        train_size=_resize(variant.train_size, size),
        eval_size=min(_resize(variant.eval_size, size), max_eval_size),
        dropout_rate=_raise(variant.dropout_rate, by.dropout_rate),
    )


def _late_stages(variant: Variant, stages: Collection[int] | None) -> set[int]:
    """The stages that get more layers, checked."""
    num_stages = len(variant.blocks)
    if stages is None:
        return set(range(1, num_stages + 1)[-2:])
    if unknown := sorted(set(stages) - set(range(1, num_stages + 1))):
        raise InputError(
            f"{variant.name} has stages 1 to {num_stages}. "
            f"Received: late_stages with {unknown}."
        )
    return set(stages)


def _scale_row(spec: BlockSpec, wider: Variant, by: Scale, is_late: bool) -> BlockSpec:
    # Rounded first: 45 * (2.2 / 1.8) is 55, not the next larger float.
    layers = math.ceil(round(spec.num_repeats * by.depth, 6))
    return dataclasses.replace(
        spec,
        filters=wider.round_filters(spec.filters),
        num_repeats=layers + (by.late_layers if is_late else 0),
    )


def scale_series(
    variant: Variant, scales: Sequence[Scale] = SERIES, **options: Any
) -> tuple[Variant, ...]:
    """The members of a series, in the order of `scales`.

    Args:
        variant: e.g. one found by a search.
        scales: one for each member.
        **options: options of `scale`.
    """
    return tuple(scale(variant, by, **options) for by in scales)


def _resize(side: int, size: float) -> int:
    """`side` times `size`, as a multiple of 8, at least 8; unchanged if `size` is 1."""
    if size == 1:
        return side
    return max(_SIZE_DIVISOR, round(side * size / _SIZE_DIVISOR) * _SIZE_DIVISOR)


def _raise(rate: float, more: float) -> float:
    """The sum of rates, limited to the maximum unless the rate already exceeds it."""
    return max(rate, min(round(rate + more, 6), _MAX_DROPOUT_RATE))
