"""Variants: rows, coefficients, rounding, layout, and what is refused."""

import dataclasses

import pytest

from keras_effnetv2.networks import variants
from keras_effnetv2.networks.architecture import (
    FUSED_MBCONV,
    MBCONV,
    BlockSpec,
    Variant,
    apply_coefficients,
)
from keras_effnetv2.networks.block_list import layout

# Operator, repeats, filters and strides of each row, after the coefficients. Tan and Le
# 2021, Table 4 (S); google/automl, effnetv2_configs (M to XL, B0 to B3).
ROWS = {
    "efficientnetv2-b0": "f1x16 f2x32/2 f2x48/2 m3x96/2 m5x112 m8x192/2",
    "efficientnetv2-b1": "f2x16 f3x32/2 f3x48/2 m4x96/2 m6x112 m9x192/2",
    "efficientnetv2-b2": "f2x16 f3x32/2 f3x56/2 m4x104/2 m6x120 m10x208/2",
    "efficientnetv2-b3": "f2x16 f3x40/2 f3x56/2 m5x112/2 m7x136 m12x232/2",
    "efficientnetv2-s": "f2x24 f4x48/2 f4x64/2 m6x128/2 m9x160 m15x256/2",
    "efficientnetv2-m": "f3x24 f5x48/2 f5x80/2 m7x160/2 m14x176 m18x304/2 m5x512",
    "efficientnetv2-l": "f4x32 f7x64/2 f7x96/2 m10x192/2 m19x224 m25x384/2 m7x640",
    "efficientnetv2-xl": "f4x32 f8x64/2 f8x96/2 m16x192/2 m24x256 m32x512/2 m8x640",
    # Tan and Le 2019, Table 1, and the released code's compound scaling.
    "efficientnet-b0": "m1x16 m2x24/2 m2x40/2 m3x80/2 m3x112 m4x192/2 m1x320",
    "efficientnet-b1": "m2x16 m3x24/2 m3x40/2 m4x80/2 m4x112 m5x192/2 m2x320",
    "efficientnet-b2": "m2x16 m3x24/2 m3x48/2 m4x88/2 m4x120 m5x208/2 m2x352",
    "efficientnet-b3": "m2x24 m3x32/2 m3x48/2 m5x96/2 m5x136 m6x232/2 m2x384",
    "efficientnet-b4": "m2x24 m4x32/2 m4x56/2 m6x112/2 m6x160 m8x272/2 m2x448",
    "efficientnet-b5": "m3x24 m5x40/2 m5x64/2 m7x128/2 m7x176 m9x304/2 m3x512",
    "efficientnet-b6": "m3x32 m6x40/2 m6x72/2 m8x144/2 m8x200 m11x344/2 m3x576",
    "efficientnet-b7": "m4x32 m7x48/2 m7x80/2 m10x160/2 m10x224 m13x384/2 m4x640",
    "efficientnet-b8": "m4x32 m8x56/2 m8x88/2 m11x176/2 m11x248 m15x424/2 m4x704",
    "efficientnet-l2": "m6x72 m11x104/2 m11x176/2 m16x344/2 m16x480 m22x824/2 m6x1376",
    # tensorflow/tpu, models/official/efficientnet/lite: ends are not repeated more.
    "efficientnet-lite0": "m1x16 m2x24/2 m2x40/2 m3x80/2 m3x112 m4x192/2 m1x320",
    "efficientnet-lite1": "m1x16 m3x24/2 m3x40/2 m4x80/2 m4x112 m5x192/2 m1x320",
    "efficientnet-lite2": "m1x16 m3x24/2 m3x48/2 m4x88/2 m4x120 m5x208/2 m1x352",
    "efficientnet-lite3": "m1x24 m3x32/2 m3x48/2 m5x96/2 m5x136 m6x232/2 m1x384",
    "efficientnet-lite4": "m1x24 m4x32/2 m4x56/2 m6x112/2 m6x160 m8x272/2 m1x448",
    # timm 1.0.31, `_gen_efficientnetv2_s`.
    "efficientnetv2-rw-t": "f2x24 f4x40/2 f4x48/2 m6x104/2 m9x128 m14x208/2",
    "efficientnetv2-rw-s": "f2x24 f4x48/2 f4x64/2 m6x128/2 m9x160 m15x272/2",
    "efficientnetv2-rw-m": "f3x32 f5x56/2 f5x80/2 m8x152/2 m15x192 m24x328/2",
    "gc-efficientnetv2-rw-t": "f2x24 f4x40/2 f4x48/2 m6x104/2 m9x128 m14x208/2",
}
OFFICIAL = [name for name in ROWS if name.startswith("efficientnetv2")][:8]
# Those that torchvision has its own weights of: the same rows.
TORCHVISION = [
    *(f"efficientnetv2-{size}" for size in "sml"),
    *(f"efficientnet-b{number}" for number in range(8)),
]
ROWS |= {f"{name}-torchvision": ROWS[name] for name in TORCHVISION}


def rows(variant):
    described = {}
    for block in layout(variant):
        described.setdefault(block.stage, []).append(block)
    texts = []
    for blocks in described.values():
        first = blocks[0]
        strides = f"/{first.strides}" if first.strides > 1 else ""
        texts.append(f"{first.operator[0]}{len(blocks)}x{first.filters}{strides}")
    return " ".join(texts)


def tiny(**changes):
    variant = Variant(
        "tiny",
        (BlockSpec(MBCONV, 3, 2, 4, 16, 2, 0.25),),
        stem_filters=8,
        train_size=32,
        eval_size=32,
        dropout_rate=0.0,
    )
    return dataclasses.replace(variant, **changes)


def test_every_variant_is_listed_the_authors_first():
    assert variants.list_variants() == list(ROWS)


@pytest.mark.parametrize("name", ROWS)
def test_rows_are_the_published_ones(name):
    assert rows(variants.get_variant(name)) == ROWS[name]


@pytest.mark.parametrize("name", ROWS)
def test_blocks_follow_each_other(name):
    variant = variants.get_variant(name)
    blocks = layout(variant)
    assert [block.index for block in blocks] == list(range(len(blocks)))
    assert blocks[0].input_filters == variant.scaled_stem_filters
    for before, after in zip(blocks, blocks[1:], strict=False):
        assert after.input_filters == before.filters
        assert after.strides == 1 or after.position == 0


@pytest.mark.parametrize("name", OFFICIAL)
def test_v2_has_squeeze_excite_in_mbconv_only(name):
    for spec in variants.get_variant(name).blocks:
        assert spec.se_ratio == (0.25 if spec.operator == MBCONV else 0)
        assert spec.kernel_size == 3


def test_names_go_on_with_two_letters_after_26_blocks():
    xl = layout(variants.get_variant("efficientnetv2-xl"))
    names = [block.name for block in xl if block.stage == 6]
    assert names[0] == "block6a"
    assert names[25:] == [
        *("block6z", "block6aa", "block6ab", "block6ac"),
        *("block6ad", "block6ae", "block6af"),
    ]
    assert len({block.name for block in xl}) == len(xl) == 100


@pytest.mark.parametrize("name", ROWS)
def test_drop_path_rate_grows_over_the_scaled_number_of_blocks(name):
    # keras.applications divides by the unscaled number: B3 ends at 0.295 there.
    blocks = layout(variants.get_variant(name))
    for block in blocks:
        rate = 0.2 * block.index / len(blocks)
        assert block.drop_path_rate == pytest.approx(rate, abs=1e-12)
    assert blocks[0].drop_path_rate == 0
    assert blocks[-1].drop_path_rate < 0.2


def test_b3_drops_its_last_block_with_0_19():
    last = layout(variants.get_variant("efficientnetv2-b3"))[-1]
    assert last.drop_path_rate == pytest.approx(0.2 * 31 / 32)


def test_dropout_rate_belongs_to_the_variant():
    rates = {name: variants.get_variant(name).dropout_rate for name in OFFICIAL}
    assert rates == {  # google/automl, effnetv2_configs.
        "efficientnetv2-b0": 0.2,
        "efficientnetv2-b1": 0.2,
        "efficientnetv2-b2": 0.3,
        "efficientnetv2-b3": 0.3,
        "efficientnetv2-s": 0.2,
        "efficientnetv2-m": 0.3,
        "efficientnetv2-l": 0.4,
        "efficientnetv2-xl": 0.4,
    }


def test_sizes_are_those_of_the_released_code():
    sizes = {
        name: (
            variants.get_variant(name).train_size,
            variants.get_variant(name).eval_size,
        )
        for name in OFFICIAL
    }
    assert sizes == {
        "efficientnetv2-b0": (192, 224),
        "efficientnetv2-b1": (192, 240),
        "efficientnetv2-b2": (208, 260),
        "efficientnetv2-b3": (240, 300),
        "efficientnetv2-s": (300, 384),
        "efficientnetv2-m": (384, 480),
        "efficientnetv2-l": (384, 480),
        "efficientnetv2-xl": (384, 512),
    }


@pytest.mark.parametrize(
    ("width", "share", "filters", "expected"),
    [
        (1.0, 0.0, 32, 32),
        (1.2, 0.0, 16, 16),  # 19.2: V2's B3 rounds down,
        (1.2, 0.9, 16, 24),  # V1's does not lose more than a tenth.
        (1.1, 0.0, 1280, 1408),
        (1.2, 0.0, 1280, 1536),
        (0.1, 0.0, 16, 8),
    ],
)
def test_filters_are_rounded_to_a_multiple_of_8(width, share, filters, expected):
    variant = tiny(width_coefficient=width, min_filter_share=share)
    assert variant.round_filters(filters) == expected


def test_fixed_ends_are_not_scaled():
    row = BlockSpec(MBCONV, 3, 1, 4, 16, 2)
    scaled = {"width_coefficient": 1.5, "depth_coefficient": 1.5}
    fixed = tiny(blocks=(row,) * 3, top_filters=64, fixed_ends=True, **scaled)
    assert fixed.scaled_repeats == (2, 3, 2)
    assert (fixed.scaled_stem_filters, fixed.scaled_top_filters) == (8, 64)
    assert {block.filters for block in layout(fixed)} == {24}
    free = dataclasses.replace(fixed, fixed_ends=False)
    assert free.scaled_repeats == (3, 3, 3)
    assert (free.scaled_stem_filters, free.scaled_top_filters) == (16, 96)


@pytest.mark.parametrize("fixed_ends", [False, True])
def test_applied_coefficients_change_no_block(fixed_ends):
    variant = dataclasses.replace(
        variants.get_variant("efficientnet-lite4"), fixed_ends=fixed_ends
    )
    applied = apply_coefficients(variant)
    assert (applied.width_coefficient, applied.depth_coefficient) == (1, 1)
    assert layout(applied) == layout(variant)
    assert applied.scaled_top_filters == variant.scaled_top_filters


def test_lite_is_v1_without_squeeze_excite_on_relu6():
    for number in range(5):
        variant = variants.get_variant(f"efficientnet-lite{number}")
        assert variant.activation == "relu6"
        assert (variant.scaled_stem_filters, variant.scaled_top_filters) == (32, 1280)
        v1 = variants.get_variant(f"efficientnet-b{number}").blocks
        plain = tuple(dataclasses.replace(spec, se_ratio=0) for spec in v1)
        assert variant.blocks == plain


@pytest.mark.parametrize("name", TORCHVISION)
def test_torchvision_pads_the_same_rows_symmetrically(name):
    official = variants.get_variant(name)
    theirs = variants.get_variant(f"{name}-torchvision")
    assert theirs.padding == "symmetric"
    # Its B0 to B4 have PyTorch's default.
    by_timm = name in [f"efficientnet-b{number}" for number in range(5)]
    assert theirs.bn_epsilon == (1e-5 if by_timm else 1e-3)
    assert layout(theirs) == layout(official)
    assert theirs.scaled_top_filters == official.scaled_top_filters
    assert theirs.dropout_rate == official.dropout_rate


def test_repeats_are_rounded_up():
    assert tiny(depth_coefficient=1.1).round_repeats(2) == 3
    assert tiny(depth_coefficient=0.1).round_repeats(1) == 1


def test_a_variant_is_edited_with_replace():
    b0 = variants.get_variant("efficientnetv2-b0")
    wide = dataclasses.replace(b0, name="wide", width_coefficient=2.0)
    assert [block.filters for block in layout(wide)][-1] == 384
    rows = list(b0.blocks)
    rows[0] = dataclasses.replace(rows[0], kernel_size=5, num_repeats=3)
    edited = dataclasses.replace(b0, name="edited", blocks=rows)
    blocks = layout(edited)
    assert [block.kernel_size for block in blocks[:4]] == [5, 5, 5, 3]
    assert variants.get_variant(edited) is edited
    assert variants.get_variant("efficientnetv2-b0") == b0


def test_an_unknown_name_is_answered_with_the_known_ones():
    with pytest.raises(ValueError, match=r"Unknown variant 'b9'.*efficientnetv2-xl"):
        variants.get_variant("b9")


@pytest.mark.parametrize(
    "changes",
    [
        {"operator": "conv"},
        {"kernel_size": 4},
        {"kernel_size": 0},
        {"strides": 3},
        {"expand_ratio": 0.5},
        {"filters": 0},
        {"num_repeats": 0},
        {"se_ratio": -0.1},
        {"se_ratio": 1.5},
        {"always_expand": 1},
    ],
)
def test_a_row_out_of_range_is_refused(changes):
    spec = BlockSpec(FUSED_MBCONV, 3, 1, 4, 16, 1)
    ((field, value),) = changes.items()
    with pytest.raises(ValueError, match=f"Received: {field}={value!r}"):
        dataclasses.replace(spec, **changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"blocks": ()}, "at least one row"),
        ({"blocks": ("mbconv",)}, "each a BlockSpec"),
        ({"stem_filters": 0}, "stem_filters must be at least 1"),
        ({"train_size": 0}, "train_size must be at least 1"),
        ({"eval_size": -1}, "eval_size must be at least 1"),
        ({"top_filters": 0}, "top_filters must be at least 1"),
        ({"filter_divisor": 0}, "filter_divisor must be at least 1"),
        ({"width_coefficient": 0}, "width_coefficient must be positive"),
        ({"depth_coefficient": -1.0}, "depth_coefficient must be positive"),
        ({"bn_epsilon": 0.0}, "bn_epsilon must be positive"),
        ({"activation": "softplus"}, "activation must be one of"),
        ({"padding": "valid"}, "padding must be one of"),
        ({"attention": "none"}, "attention must be one of"),
        ({"dropout_rate": 1.0}, r"dropout_rate must be in \[0, 1\)"),
        ({"drop_path_rate": -0.1}, r"drop_path_rate must be in \[0, 1\)"),
    ],
)
def test_a_variant_out_of_range_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        tiny(**changes)


def test_fuse_stages_replaces_the_operator_in_those_rows_only():
    b4 = variants.get_variant("efficientnet-b4")
    fused = variants.fuse_stages(b4, [3, 1, 2])
    operators = [spec.operator for spec in fused.blocks]
    assert operators == [FUSED_MBCONV] * 3 + [MBCONV] * 4
    assert fused.blocks[3:] == b4.blocks[3:]
    assert fused.name == "efficientnet-b4-fused-1-2-3"
    for before, after in zip(b4.blocks, fused.blocks, strict=True):
        assert (before.filters, before.strides) == (after.filters, after.strides)
        assert (before.expand_ratio, before.se_ratio) == (
            after.expand_ratio,
            after.se_ratio,
        )


def test_fuse_stages_keeps_large_kernels_in_late_rows():
    fused = variants.fuse_stages(variants.get_variant("efficientnet-b4"), range(1, 8))
    assert [spec.kernel_size for spec in fused.blocks] == [3, 3, 3, 3, 5, 5, 3]


def test_fuse_stages_refuses_a_stage_that_is_not_there():
    b0 = variants.get_variant("efficientnetv2-b0")
    with pytest.raises(ValueError, match=r"has stages 1 to 6\. Received.*\[0, 7\]"):
        variants.fuse_stages(b0, [0, 3, 7])
