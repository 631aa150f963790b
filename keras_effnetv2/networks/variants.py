"""Every network as a table of rows: EfficientNetV2, V1, Lite, timm's, torchvision's.

Reference: Tan and Le 2021, https://arxiv.org/abs/2104.00298, Table 4 (S), and the
released code for M, L, XL and B0-B3; Tan and Le 2019,
https://arxiv.org/abs/1905.11946, Table 1 (V1); the released code of Lite
(tensorflow/tpu, models/official/efficientnet/lite): V1 without squeeze-excite; timm
1.0.31, `efficientnet.py`; torchvision 0.29.1, `efficientnet.py`.
"""

import dataclasses
import fnmatch
import os
from collections.abc import Iterable
from typing import Any

from keras_effnetv2.errors import InputError, expected
from keras_effnetv2.networks.architecture import (
    FUSED_MBCONV,
    MBCONV,
    BlockSpec,
    Variant,
)
from keras_effnetv2.networks.variant_files import is_variant_file, read_variant


def _v1(
    name: str,
    size: int,
    width: float,
    depth: float,
    dropout_rate: float,
    **fields: Any,
) -> Variant:
    defaults = {
        "blocks": _V1,
        "stem_filters": 32,
        "train_size": size,
        "eval_size": size,
        "dropout_rate": dropout_rate,
        "width_coefficient": width,
        "depth_coefficient": depth,
        "min_filter_share": 0.9,
    }
    return Variant(name, **defaults | fields)


def _torchvision(base: Variant, train_size: int, eval_size: int, bn_epsilon: float):
    return dataclasses.replace(
        base,
        name=f"{base.name}-torchvision",
        train_size=train_size,
        eval_size=eval_size,
        padding="symmetric",
        bn_epsilon=bn_epsilon,
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
_LITE = tuple(dataclasses.replace(spec, se_ratio=0.0) for spec in _V1)
_LITE_FIELDS = {"blocks": _LITE, "fixed_ends": True, "activation": "relu6"}
# timm's: an S from before the authors released their code; M is that S, 1.2 times as
# wide and 1.2 to 1.6 times as deep.
_V2_RW_S = (
    BlockSpec(FUSED_MBCONV, 3, 1, 1,  24,  2, always_expand=True),
    *_V2_S[1:5],
    BlockSpec(MBCONV,       3, 2, 6, 272, 15, 0.25),
)
_V2_RW_M = (
    BlockSpec(FUSED_MBCONV, 3, 1, 1,  32,  3, always_expand=True),
    BlockSpec(FUSED_MBCONV, 3, 2, 4,  56,  5),
    BlockSpec(FUSED_MBCONV, 3, 2, 4,  80,  5),
    BlockSpec(MBCONV,       3, 2, 4, 152,  8, 0.25),
    BlockSpec(MBCONV,       3, 1, 6, 192, 15, 0.25),
    BlockSpec(MBCONV,       3, 2, 6, 328, 24, 0.25),
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
    # Xie et al. 2020, https://arxiv.org/abs/1911.09665, and 1911.04252.
    _v1("efficientnet-b8", 672, 2.2,   3.6,   0.5),
    _v1("efficientnet-l2", 800, 4.3,   5.3,   0.5, train_size=475),
)
_LITE_VARIANTS = (
    _v1("efficientnet-lite0", 224, 1.0, 1.0,  0.2, **_LITE_FIELDS),
    _v1("efficientnet-lite1", 240, 1.0, 1.1,  0.2, **_LITE_FIELDS),
    _v1("efficientnet-lite2", 260, 1.1, 1.2,  0.3, **_LITE_FIELDS),
    _v1("efficientnet-lite3", 280, 1.2, 1.4,  0.3, **_LITE_FIELDS),
    _v1("efficientnet-lite4", 300, 1.4, 1.8,  0.3, **_LITE_FIELDS),
)
_TIMM_FIELDS = {"padding": "symmetric", "bn_epsilon": 1e-5}
_NARROW = {"width_coefficient": 0.8, "depth_coefficient": 0.9, "min_filter_share": 0.9}
_TINY = {**_TIMM_FIELDS, **_NARROW}
#                                               stem  train  eval  dropout
_TIMM_VARIANTS = (
    Variant("efficientnetv2-rw-t",    _V2_S,    24,   224,   288,  0.2, **_TINY),
    Variant("efficientnetv2-rw-s",    _V2_RW_S, 24,   288,   384,  0.2,
            top_filters=1792, **_TIMM_FIELDS),
    Variant("efficientnetv2-rw-m",    _V2_RW_M, 32,   320,   416,  0.3,
            top_filters=2152, **_TIMM_FIELDS),
    Variant("gc-efficientnetv2-rw-t", _V2_S,    24,   224,   288,  0.2,
            attention="global_context", **_TINY),
)
_S, _M, _L = _V2_VARIANTS[4:7]
#                                  train  eval  epsilon
TORCHVISION_VARIANTS = (
    _torchvision(_S,               300,   384,  1e-3),
    _torchvision(_M,               384,   480,  1e-3),
    _torchvision(_L,               384,   480,  1e-3),
    _torchvision(_V1_VARIANTS[0],  224,   224,  1e-5),
    _torchvision(_V1_VARIANTS[1],  208,   240,  1e-5),
    _torchvision(_V1_VARIANTS[2],  256,   288,  1e-5),
    _torchvision(_V1_VARIANTS[3],  288,   300,  1e-5),
    _torchvision(_V1_VARIANTS[4],  320,   380,  1e-5),
    _torchvision(_V1_VARIANTS[5],  456,   456,  1e-3),
    _torchvision(_V1_VARIANTS[6],  528,   528,  1e-3),
    _torchvision(_V1_VARIANTS[7],  600,   600,  1e-3),
)
# fmt: on

VARIANTS = {
    variant.name: variant
    for variant in (
        *_V2_VARIANTS,
        *_V1_VARIANTS,
        *_LITE_VARIANTS,
        *_TIMM_VARIANTS,
        *TORCHVISION_VARIANTS,
    )
}


def list_variants(pattern: str = "*") -> list[str]:
    """Names that `create_model` accepts: V2, V1, Lite, timm's, torchvision's.

    Args:
        pattern: shell pattern of the names: `"*v2-b*"`.
    """
    return fnmatch.filter(VARIANTS, pattern)


def get_variant(name_or_variant: str | os.PathLike | Variant) -> Variant:
    """The `Variant` with a name, or in a file; a `Variant` is returned as it is.

    Args:
        name_or_variant: a name of `list_variants()`, or the path of a file that
            `write_variant` or a search wrote, such as `"found.json"`.

    Raises:
        ValueError: no variant has that name, or the file contains none.
    """
    if isinstance(name_or_variant, Variant):
        return name_or_variant
    if isinstance(name_or_variant, str) and name_or_variant in VARIANTS:
        return VARIANTS[name_or_variant]
    if not is_variant_file(name_or_variant):
        raise InputError(
            f"Unknown variant {name_or_variant!r}. "
            f"{expected(str(name_or_variant), VARIANTS)} Or pass a Variant, or a .json "
            "file of one."
        )
    variant = read_variant(name_or_variant)
    if VARIANTS.get(variant.name, variant) != variant:
        # Released weights, their preprocessing and published sizes depend on the name.
        raise InputError(
            f"{os.fspath(name_or_variant)} contains a different network than the "
            f"published {variant.name!r}, whose name it has. Change its name."
        )
    return variant


def fuse_stages(variant: Variant, stages: Iterable[int]) -> Variant:
    """`variant` with MBConv replaced by Fused-MBConv in some rows: the paper's Table 3.

    The paper states neither the fused kernels nor squeeze-excite, and no simple rule
    reproduces its four rows to the last digit. This one is within 2% of the parameters
    and 9% of the FLOPs of all four: squeeze-excite and expansion stay; kernels become
    3x3 in the first three rows, whose large maps make a full 5x5 costly, and stay as
    they are in later rows.

    Args:
        variant: e.g. `get_variant("efficientnet-b4")`.
        stages: numbers of the rows to fuse, from 1 (the row after the stem).

    Raises:
        ValueError: a number without a row.
    """
    stages = set(stages)
    unknown = sorted(stages - set(range(1, len(variant.blocks) + 1)))
    if unknown:
        raise InputError(
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
