"""The description of a network: rows, and the coefficients that scale them.

Pure Python: nothing here builds a layer. `block_list` has the resulting blocks.
"""

import dataclasses
import math

from keras_effnetv2.errors import InputError

MBCONV = "mbconv"
FUSED_MBCONV = "fused_mbconv"

# Keras's names; `create_model` accepts any other activation, too.
ACTIVATIONS = ("swish", "relu", "relu6", "hard_swish", "gelu")
# Padding of strided convolutions: TensorFlow's, with an odd pixel at the end, or
# PyTorch's, with equal numbers of pixels on both sides.
PADDINGS = ("same", "symmetric")
ATTENTIONS = ("squeeze_excite", "global_context")
# Fields of a `Variant` with a few possible values.
CHOICES = {
    "fixed_ends": (False, True),
    "activation": ACTIVATIONS,
    "padding": PADDINGS,
    "attention": ATTENTIONS,
}


@dataclasses.dataclass(frozen=True)
class BlockSpec:
    """One row: `num_repeats` equal blocks, the first of which has the row's strides.

    Attributes:
        operator: `"mbconv"` or `"fused_mbconv"`.
        kernel_size: side of the depthwise (or fused) kernel, odd.
        strides: 1 or 2.
        expand_ratio: hidden channels per input channel, at least 1.
        filters: output channels, before the variant's width coefficient.
        num_repeats: number of blocks, before the variant's depth coefficient.
        se_ratio: squeeze-excite channels per block *input* channel; 0 for none.
        always_expand: whether an `expand_ratio` of 1 has an expansion, too.
    """

    operator: str
    kernel_size: int
    strides: int
    expand_ratio: float
    filters: int
    num_repeats: int
    se_ratio: float = 0.0
    always_expand: bool = False

    def __post_init__(self) -> None:
        checks = {
            "operator": self.operator in (MBCONV, FUSED_MBCONV),
            "kernel_size": self.kernel_size >= 1 and self.kernel_size % 2 == 1,
            "strides": self.strides in (1, 2),
            "expand_ratio": self.expand_ratio >= 1,
            "filters": self.filters >= 1,
            "num_repeats": self.num_repeats >= 1,
            "se_ratio": 0 <= self.se_ratio <= 1,
            "always_expand": isinstance(self.always_expand, bool),
        }
        for field, valid in checks.items():
            if not valid:
                raise InputError(
                    f"A BlockSpec needs operator {MBCONV!r} or {FUSED_MBCONV!r}, an "
                    "odd kernel_size, strides 1 or 2, expand_ratio >= 1, filters >= 1, "
                    "num_repeats >= 1, se_ratio in [0, 1] and always_expand a bool. "
                    f"Received: {field}={getattr(self, field)!r}."
                )


@dataclasses.dataclass(frozen=True)
class Variant:
    """A network: its rows and the numbers that scale them.

    Attributes:
        name: model name, and the key of its released weights.
        blocks: the rows between the stem and the top.
        stem_filters: channels of the stem, before the width coefficient.
        train_size: largest image side of the released training, pixels.
        eval_size: image side of the published evaluation, pixels.
        dropout_rate: rate before the classifier.
        width_coefficient: multiplies channels.
        depth_coefficient: multiplies repeats.
        drop_path_rate: drop rate of stochastic depth, reached linearly with depth.
        top_filters: channels of the last convolution, before the width coefficient.
        filter_divisor: channels are rounded to a multiple of it.
        min_filter_share: rounding may not reduce channels below this share (0.9 in
            EfficientNet V1, none in V2).
        fixed_ends: whether the coefficients do not apply to the channels of stem and
            top, and to the repeats of the first and the last row.
        activation: activation of all blocks, stem and top, one of `ACTIVATIONS`.
        padding: padding of strided convolutions, one of `PADDINGS`.
        attention: layer that `se_ratio` applies to, one of `ATTENTIONS`.
        bn_epsilon: value added to the batch norms' variances.
    """

    name: str
    blocks: tuple[BlockSpec, ...]
    stem_filters: int
    train_size: int
    eval_size: int
    dropout_rate: float
    width_coefficient: float = 1.0
    depth_coefficient: float = 1.0
    drop_path_rate: float = 0.2
    top_filters: int = 1280
    filter_divisor: int = 8
    min_filter_share: float = 0.0
    fixed_ends: bool = False
    activation: str = "swish"
    padding: str = "same"
    attention: str = "squeeze_excite"
    bn_epsilon: float = 1e-3

    def __post_init__(self) -> None:
        object.__setattr__(self, "blocks", tuple(self.blocks))
        if not self.blocks or not all(isinstance(b, BlockSpec) for b in self.blocks):
            raise InputError(
                "A Variant needs at least one row, each a BlockSpec. "
                f"Received: {self.blocks!r}."
            )
        for field in (
            "stem_filters",
            "train_size",
            "eval_size",
            "top_filters",
            "filter_divisor",
        ):
            if getattr(self, field) < 1:
                raise InputError(
                    f"{field} must be at least 1. Received: {getattr(self, field)!r}."
                )
        for field in ("width_coefficient", "depth_coefficient", "bn_epsilon"):
            if getattr(self, field) <= 0:
                raise InputError(
                    f"{field} must be positive. Received: {getattr(self, field)!r}."
                )
        for field in ("dropout_rate", "drop_path_rate"):
            if not 0 <= getattr(self, field) < 1:
                raise InputError(
                    f"{field} must be in [0, 1). Received: {getattr(self, field)!r}."
                )
        for field, choices in CHOICES.items():
            if getattr(self, field) not in choices:
                raise InputError(
                    f"{field} must be one of {choices}. "
                    f"Received: {getattr(self, field)!r}."
                )

    def round_filters(self, filters: int) -> int:
        """Channels after the width coefficient, a multiple of `filter_divisor`."""
        scaled = filters * self.width_coefficient
        divisor = self.filter_divisor
        rounded = max(divisor, int(scaled + divisor / 2) // divisor * divisor)
        if rounded < self.min_filter_share * scaled:
            rounded += divisor
        return rounded

    def round_repeats(self, num_repeats: int) -> int:
        """Repeats after the depth coefficient."""
        return math.ceil(num_repeats * self.depth_coefficient)

    @property
    def scaled_stem_filters(self) -> int:
        """Channels of the stem."""
        fixed = self.fixed_ends
        return self.stem_filters if fixed else self.round_filters(self.stem_filters)

    @property
    def scaled_top_filters(self) -> int:
        """Channels of the last convolution."""
        fixed = self.fixed_ends
        return self.top_filters if fixed else self.round_filters(self.top_filters)

    @property
    def scaled_repeats(self) -> tuple[int, ...]:
        """Number of blocks of each row."""
        ends = (0, len(self.blocks) - 1) if self.fixed_ends else ()
        return tuple(
            spec.num_repeats if i in ends else self.round_repeats(spec.num_repeats)
            for i, spec in enumerate(self.blocks)
        )


def apply_coefficients(variant: Variant) -> Variant:
    """The same network with its coefficients multiplied into its rows, and now 1.

    Filters and repeats are then those of the blocks: `layout` does not change.
    """
    rows = [
        dataclasses.replace(
            spec,
            filters=variant.round_filters(spec.filters),
            num_repeats=num_repeats,
        )
        for spec, num_repeats in zip(
            variant.blocks, variant.scaled_repeats, strict=True
        )
    ]
    return dataclasses.replace(
        variant,
        blocks=tuple(rows),
        stem_filters=variant.scaled_stem_filters,
        top_filters=variant.scaled_top_filters,
        width_coefficient=1.0,
        depth_coefficient=1.0,
    )
