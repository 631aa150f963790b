"""Every network as a table of rows: EfficientNetV2 B0-B3, S, M, L, XL and V1 B0-B7.

Pure Python: nothing here builds a layer. `layout` turns a `Variant` into its list of
blocks, which the models, the profiler and the weight readers all walk.

Reference: Tan and Le 2021, https://arxiv.org/abs/2104.00298, Table 4 (S), and the
released code for M, L, XL and B0-B3; Tan and Le 2019,
https://arxiv.org/abs/1905.11946, Table 1 (V1).
"""

import dataclasses
import math
from collections.abc import Iterable

MBCONV = "mbconv"
FUSED_MBCONV = "fused_mbconv"


@dataclasses.dataclass(frozen=True)
class BlockSpec:
    """One row: `num_repeats` equal blocks, of which the first has the row's strides.

    Attributes:
        operator: `"mbconv"` or `"fused_mbconv"`.
        kernel_size: side of the depthwise (or fused) kernel, odd.
        strides: 1 or 2.
        expand_ratio: hidden channels per input channel, at least 1.
        filters: output channels, before the variant's width coefficient.
        num_repeats: number of blocks, before the variant's depth coefficient.
        se_ratio: squeeze-excite channels per block *input* channel; 0 for none.
    """

    operator: str
    kernel_size: int
    strides: int
    expand_ratio: float
    filters: int
    num_repeats: int
    se_ratio: float = 0.0

    def __post_init__(self) -> None:
        checks = {
            "operator": self.operator in (MBCONV, FUSED_MBCONV),
            "kernel_size": self.kernel_size >= 1 and self.kernel_size % 2 == 1,
            "strides": self.strides in (1, 2),
            "expand_ratio": self.expand_ratio >= 1,
            "filters": self.filters >= 1,
            "num_repeats": self.num_repeats >= 1,
            "se_ratio": 0 <= self.se_ratio <= 1,
        }
        for field, valid in checks.items():
            if not valid:
                raise ValueError(
                    f"A BlockSpec needs operator {MBCONV!r} or {FUSED_MBCONV!r}, an "
                    "odd kernel_size, strides 1 or 2, expand_ratio >= 1, filters >= 1, "
                    "num_repeats >= 1 and se_ratio in [0, 1]. "
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
        drop_path_rate: stochastic depth's drop rate, approached linearly with depth.
        top_filters: channels of the last convolution, before the width coefficient.
        filter_divisor: channels are rounded to a multiple of it.
        min_filter_share: rounding may not leave less than this share of the channels
            (EfficientNet V1 has 0.9, V2 none).
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

    def __post_init__(self) -> None:
        object.__setattr__(self, "blocks", tuple(self.blocks))
        if not self.blocks or not all(isinstance(b, BlockSpec) for b in self.blocks):
            raise ValueError(
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
                raise ValueError(
                    f"{field} must be at least 1. Received: {getattr(self, field)!r}."
                )
        for field in ("width_coefficient", "depth_coefficient"):
            if getattr(self, field) <= 0:
                raise ValueError(
                    f"{field} must be positive. Received: {getattr(self, field)!r}."
                )
        for field in ("dropout_rate", "drop_path_rate"):
            if not 0 <= getattr(self, field) < 1:
                raise ValueError(
                    f"{field} must be in [0, 1). Received: {getattr(self, field)!r}."
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


@dataclasses.dataclass(frozen=True)
class Block:
    """One block of a network, with everything scaled and numbered.

    Attributes:
        name: `block{stage}{letters}`: `block1a` ... `block6z`, `block6aa`, ...
        stage: number of its row, from 1.
        index: number of the block over all rows, from 0.
        position: number of the block in its row, from 0.
        drop_path_rate: probability that the block's branch is dropped for an example.
    """

    name: str
    stage: int
    index: int
    position: int
    operator: str
    kernel_size: int
    strides: int
    expand_ratio: float
    input_filters: int
    filters: int
    se_ratio: float
    drop_path_rate: float


def layout(variant: Variant) -> tuple[Block, ...]:
    """The blocks of `variant` in order, everything scaled."""
    repeats = [variant.round_repeats(spec.num_repeats) for spec in variant.blocks]
    blocks: list[Block] = []
    input_filters = variant.round_filters(variant.stem_filters)
    for stage, (spec, num_repeats) in enumerate(
        zip(variant.blocks, repeats, strict=True), start=1
    ):
        filters = variant.round_filters(spec.filters)
        for position in range(num_repeats):
            blocks.append(
                Block(
                    name=f"block{stage}{_letters(position)}",
                    stage=stage,
                    index=len(blocks),
                    position=position,
                    operator=spec.operator,
                    kernel_size=spec.kernel_size,
                    strides=spec.strides if position == 0 else 1,
                    expand_ratio=spec.expand_ratio,
                    input_filters=input_filters,
                    filters=filters,
                    se_ratio=spec.se_ratio,
                    drop_path_rate=variant.drop_path_rate * len(blocks) / sum(repeats),
                )
            )
            input_filters = filters
    return tuple(blocks)


def _letters(position: int) -> str:
    """Spreadsheet letters: 0 -> a, 25 -> z, 26 -> aa. XL's sixth row has 32 blocks."""
    first, last = divmod(position, 26)
    return (_letters(first - 1) if first else "") + chr(ord("a") + last)


def _v1(
    name: str, size: int, width: float, depth: float, dropout_rate: float
) -> Variant:
    return Variant(
        name,
        _V1,
        stem_filters=32,
        train_size=size,
        eval_size=size,
        dropout_rate=dropout_rate,
        width_coefficient=width,
        depth_coefficient=depth,
        min_filter_share=0.9,
    )


# fmt: off
#              operator   k  s  e  filters  repeats  se
_V2_BASE = (
    BlockSpec(FUSED_MBCONV, 3, 1, 1,  16,  1),
    BlockSpec(FUSED_MBCONV, 3, 2, 4,  32,  2),
    BlockSpec(FUSED_MBCONV, 3, 2, 4,  48,  2),
    BlockSpec(MBCONV,       3, 2, 4,  96,  3, 0.25),
    BlockSpec(MBCONV,       3, 1, 6, 112,  5, 0.25),
    BlockSpec(MBCONV,       3, 2, 6, 192,  8, 0.25),
)
_V2_S = (
    BlockSpec(FUSED_MBCONV, 3, 1, 1,  24,  2),
    BlockSpec(FUSED_MBCONV, 3, 2, 4,  48,  4),
    BlockSpec(FUSED_MBCONV, 3, 2, 4,  64,  4),
    BlockSpec(MBCONV,       3, 2, 4, 128,  6, 0.25),
    BlockSpec(MBCONV,       3, 1, 6, 160,  9, 0.25),
    BlockSpec(MBCONV,       3, 2, 6, 256, 15, 0.25),
)
_V2_M = (
    BlockSpec(FUSED_MBCONV, 3, 1, 1,  24,  3),
    BlockSpec(FUSED_MBCONV, 3, 2, 4,  48,  5),
    BlockSpec(FUSED_MBCONV, 3, 2, 4,  80,  5),
    BlockSpec(MBCONV,       3, 2, 4, 160,  7, 0.25),
    BlockSpec(MBCONV,       3, 1, 6, 176, 14, 0.25),
    BlockSpec(MBCONV,       3, 2, 6, 304, 18, 0.25),
    BlockSpec(MBCONV,       3, 1, 6, 512,  5, 0.25),
)
_V2_L = (
    BlockSpec(FUSED_MBCONV, 3, 1, 1,  32,  4),
    BlockSpec(FUSED_MBCONV, 3, 2, 4,  64,  7),
    BlockSpec(FUSED_MBCONV, 3, 2, 4,  96,  7),
    BlockSpec(MBCONV,       3, 2, 4, 192, 10, 0.25),
    BlockSpec(MBCONV,       3, 1, 6, 224, 19, 0.25),
    BlockSpec(MBCONV,       3, 2, 6, 384, 25, 0.25),
    BlockSpec(MBCONV,       3, 1, 6, 640,  7, 0.25),
)
_V2_XL = (
    BlockSpec(FUSED_MBCONV, 3, 1, 1,  32,  4),
    BlockSpec(FUSED_MBCONV, 3, 2, 4,  64,  8),
    BlockSpec(FUSED_MBCONV, 3, 2, 4,  96,  8),
    BlockSpec(MBCONV,       3, 2, 4, 192, 16, 0.25),
    BlockSpec(MBCONV,       3, 1, 6, 256, 24, 0.25),
    BlockSpec(MBCONV,       3, 2, 6, 512, 32, 0.25),
    BlockSpec(MBCONV,       3, 1, 6, 640,  8, 0.25),
)
_V1 = (
    BlockSpec(MBCONV,       3, 1, 1,  16,  1, 0.25),
    BlockSpec(MBCONV,       3, 2, 6,  24,  2, 0.25),
    BlockSpec(MBCONV,       5, 2, 6,  40,  2, 0.25),
    BlockSpec(MBCONV,       3, 2, 6,  80,  3, 0.25),
    BlockSpec(MBCONV,       5, 1, 6, 112,  3, 0.25),
    BlockSpec(MBCONV,       5, 2, 6, 192,  4, 0.25),
    BlockSpec(MBCONV,       3, 1, 6, 320,  1, 0.25),
)
#                                            stem  train  eval  dropout  width  depth
_V2_VARIANTS = (
    Variant("efficientnetv2-b0", _V2_BASE,    32,   192,   224,  0.2,     1.0,   1.0),
    Variant("efficientnetv2-b1", _V2_BASE,    32,   192,   240,  0.2,     1.0,   1.1),
    Variant("efficientnetv2-b2", _V2_BASE,    32,   208,   260,  0.3,     1.1,   1.2),
    Variant("efficientnetv2-b3", _V2_BASE,    32,   240,   300,  0.3,     1.2,   1.4),
    Variant("efficientnetv2-s",  _V2_S,       24,   300,   384,  0.2),
    Variant("efficientnetv2-m",  _V2_M,       24,   384,   480,  0.3),
    Variant("efficientnetv2-l",  _V2_L,       32,   384,   480,  0.4),
    Variant("efficientnetv2-xl", _V2_XL,      32,   384,   512,  0.4),
)
#                        size  width  depth  dropout
_V1_VARIANTS = (
    _v1("efficientnet-b0", 224, 1.0,   1.0,   0.2),
    _v1("efficientnet-b1", 240, 1.0,   1.1,   0.2),
    _v1("efficientnet-b2", 260, 1.1,   1.2,   0.3),
    _v1("efficientnet-b3", 300, 1.2,   1.4,   0.3),
    _v1("efficientnet-b4", 380, 1.4,   1.8,   0.4),
    _v1("efficientnet-b5", 456, 1.6,   2.2,   0.4),
    _v1("efficientnet-b6", 528, 1.8,   2.6,   0.5),
    _v1("efficientnet-b7", 600, 2.0,   3.1,   0.5),
)
# fmt: on

VARIANTS = {variant.name: variant for variant in _V2_VARIANTS + _V1_VARIANTS}


def list_variants() -> list[str]:
    """Names that `create_model` takes: the V2 family, then V1."""
    return list(VARIANTS)


def get_variant(name_or_variant: str | Variant) -> Variant:
    """The `Variant` of that name; a `Variant` passes through.

    Raises:
        ValueError: no variant has that name.
    """
    if isinstance(name_or_variant, Variant):
        return name_or_variant
    if name_or_variant not in VARIANTS:
        raise ValueError(
            f"Unknown variant {name_or_variant!r}. "
            f"Expected a Variant or one of: {', '.join(VARIANTS)}."
        )
    return VARIANTS[name_or_variant]


def fuse_stages(variant: Variant, stages: Iterable[int]) -> Variant:
    """`variant` with MBConv replaced by Fused-MBConv in some rows: the paper's Table 3.

    The paper states neither the fused kernels nor squeeze-excite, and no simple rule
    gives its four rows to the last digit. This one comes within 2% of the parameters
    and 9% of the FLOPs of all four: squeeze-excite and expansion stay; kernels become
    3x3 in the first three rows, whose large maps make a full 5x5 costly, and stay as
    they are later.

    Args:
        variant: e.g. `get_variant("efficientnet-b4")`.
        stages: numbers of the rows to fuse, from 1 (the row after the stem).

    Raises:
        ValueError: a number without a row.
    """
    stages = set(stages)
    unknown = sorted(stages - set(range(1, len(variant.blocks) + 1)))
    if unknown:
        raise ValueError(
            f"{variant.name} has stages 1 to {len(variant.blocks)}. "
            f"Received: stages with {unknown}."
        )

    def fuse(stage: int, spec: BlockSpec) -> BlockSpec:
        kernel_size = min(spec.kernel_size, 3) if stage <= 3 else spec.kernel_size
        return dataclasses.replace(spec, operator=FUSED_MBCONV, kernel_size=kernel_size)

    blocks = [
        fuse(i, spec) if i in stages else spec
        for i, spec in enumerate(variant.blocks, 1)
    ]
    suffix = "-".join(str(stage) for stage in sorted(stages))
    return dataclasses.replace(
        variant, name=f"{variant.name}-fused-{suffix}", blocks=tuple(blocks)
    )
