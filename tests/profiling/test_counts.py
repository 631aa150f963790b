"""Counts against published and independent numbers."""

import dataclasses
import json

import pytest

from keras_effnetv2 import profiling
from keras_effnetv2.networks import variants

# Trainable parameters by the publishers' own code: timm 1.0.31, torchvision 0.29.1.
OF_OTHERS = {
    "efficientnet-b8": 87_413_142,
    "efficientnet-l2": 480_309_308,
    "efficientnet-lite0": 4_652_008,
    "efficientnet-lite1": 5_416_680,
    "efficientnet-lite2": 6_092_072,
    "efficientnet-lite3": 8_197_096,
    "efficientnet-lite4": 13_006_568,
    "efficientnetv2-rw-t": 13_649_388,
    "efficientnetv2-rw-s": 23_941_296,
    "efficientnetv2-rw-m": 53_236_442,
    "gc-efficientnetv2-rw-t": 13_677_713,
    "efficientnetv2-s-torchvision": 21_458_488,
    "efficientnetv2-m-torchvision": 54_139_356,
    "efficientnetv2-l-torchvision": 118_515_272,
    "efficientnet-b0-torchvision": 5_288_548,
    "efficientnet-b1-torchvision": 7_794_184,
    "efficientnet-b2-torchvision": 9_109_994,
    "efficientnet-b3-torchvision": 12_233_232,
    "efficientnet-b4-torchvision": 19_341_616,
    "efficientnet-b5-torchvision": 30_389_784,
    "efficientnet-b6-torchvision": 43_040_704,
    "efficientnet-b7-torchvision": 66_347_960,
}
OFFICIAL = [name for name in variants.list_variants() if name not in OF_OTHERS]
# The V1 of the official EfficientNetV2 code rounds as V2 does, that of the released V1
# weights does not lose more than a tenth of the channels: B3's first row differs.
V1_B3 = "efficientnet-b3"


@pytest.fixture(scope="module")
def official(reference):
    numbers = json.loads((reference / "params_flops.json").read_text())
    return {name: row for name, row in numbers.items() if not name.startswith("_")}


def count(name_or_variant, image_size=None):
    return profiling.profile(name_or_variant, image_size, measure=False)


def test_no_variant_escapes(official):
    assert set(official) | set(OF_OTHERS) == set(variants.list_variants())
    assert set(profiling.PUBLISHED) == set(variants.list_variants())


@pytest.mark.parametrize("name", OF_OTHERS)
def test_parameters_equal_the_publishers(name):
    assert count(name).num_trainable_params == OF_OTHERS[name]


@pytest.mark.parametrize("name", OFFICIAL)
def test_counts_equal_the_official_code(official, name):
    variant = variants.get_variant(name)
    if name == V1_B3:
        variant = dataclasses.replace(variant, min_filter_share=0.0)
    counted = count(variant)
    expected = official[name]
    assert counted.image_size == (expected["eval_isize"],) * 2
    assert counted.num_params == expected["total_params"]
    assert counted.num_trainable_params == expected["trainable_params"]
    assert counted.multiply_adds == expected["conv_dense_macs"]
    for size, other in expected.get("other_sizes_eval", {}).items():
        assert count(variant, int(size)).multiply_adds == other["conv_dense_macs"]


def test_v1_b3_has_the_channels_of_the_released_weights():
    # keras.applications.EfficientNetB3: 12,320,535 with 7 of its normalisation.
    assert count(V1_B3).num_params == 12_320_528
    assert count(V1_B3).num_trainable_params == 12_233_232


@pytest.mark.parametrize("name", variants.list_variants())
def test_counts_are_near_the_published_ones(name):
    counted = count(name)
    published = profiling.PUBLISHED[name]
    for size in filter(None, (published.paper, published.code)):
        # The paper's V2-S to L are of an earlier architecture; others are rounded.
        assert counted.num_trainable_params / 1e6 == pytest.approx(
            size.params, rel=0.05
        )
        assert counted.multiply_adds / 1e9 == pytest.approx(size.flops, rel=0.06)


@pytest.mark.parametrize(
    ("stages", "params", "flops"),
    [  # Tan and Le 2021, Table 3: millions, billions at 380 pixels.
        ((), 19.3, 4.5),
        ((1, 2, 3), 20.0, 7.5),
        ((1, 2, 3, 4, 5), 43.4, 21.3),
        ((1, 2, 3, 4, 5, 6, 7), 132.0, 34.4),
    ],
)
def test_fused_stages_cost_what_table_3_says(stages, params, flops):
    b4 = variants.fuse_stages(variants.get_variant("efficientnet-b4"), stages)
    counted = count(b4, 380)
    assert counted.num_params / 1e6 == pytest.approx(params, rel=0.02)
    assert counted.num_trainable_params / 1e6 == pytest.approx(params, rel=0.02)
    assert counted.multiply_adds / 1e9 == pytest.approx(flops, rel=0.09)


def test_fused_blocks_with_squeeze_excite_count_as_the_official_code_does(reference):
    path = reference / "table3_fused_ablation.json"
    runs = [
        run
        for run in json.loads(path.read_text())["runs"]
        if (run["label"], run["kernel"], run["se"]) == ("1-3", 3, "keep")
        and run["fused_stages"] == [1, 2, 3]
    ]
    counted = count(
        variants.fuse_stages(variants.get_variant("efficientnet-b4"), (1, 2, 3)), 380
    )
    assert [run["total_params"] for run in runs] == [counted.num_params]
    assert [run["conv_dense_macs"] for run in runs] == [counted.multiply_adds]


def test_stages_are_those_of_table_4():
    stages = count("efficientnetv2-s").stages
    names = ["stem", *(f"stage{i}" for i in range(1, 7)), "top"]
    assert [stage.name for stage in stages] == names
    assert [stage.num_blocks for stage in stages] == [1, 2, 4, 4, 6, 9, 15, 1]
    filters = [24, 24, 48, 64, 128, 160, 256, 1280]
    assert [stage.filters for stage in stages] == filters
    sides = [192, 192, 96, 48, 24, 24, 12, 12]
    assert [stage.output_size for stage in stages] == [(side, side) for side in sides]
    assert stages[1].operator == "Fused-MBConv1, k3x3"
    assert stages[4].operator == "MBConv4, k3x3, SE0.25"


def test_sides_are_halved_rounding_up_each_on_its_own():
    stages = count("efficientnetv2-b0", (33, 65)).stages
    assert stages[0].output_size == (17, 33)
    assert stages[-1].output_size == (2, 3)


def test_counts_do_not_depend_on_which_side_is_longer():
    assert count("efficientnetv2-b0", (64, 96)).multiply_adds == (
        count("efficientnetv2-b0", (96, 64)).multiply_adds
    )


@pytest.mark.parametrize("size", [0, -1, (224,), (224, 224, 3), (0, 224), 224.0, "224"])
def test_a_wrong_image_size_is_refused(size):
    with pytest.raises(ValueError, match="image_size must be a side of at least 1"):
        count("efficientnetv2-b0", size)


def test_a_wrong_batch_size_is_refused():
    with pytest.raises(ValueError, match="batch_size must be at least 1. Received: 0"):
        profiling.profile("efficientnetv2-b0", batch_size=0, measure=False)


def test_the_table_has_a_row_a_stage_and_totals():
    lines = profiling.format_table(count("efficientnetv2-b0")).splitlines()
    assert lines[0] == "efficientnetv2-b0, 224x224 pixels"
    assert lines[3].split()[0] == "stem"
    total = next(line for line in lines if line.startswith("total"))
    assert total.split() == ["total", "7,200,312", "7,139,704", "718.1", "-"]
    assert len(set(map(len, lines[2:12]))) == 1
