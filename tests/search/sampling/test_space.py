"""Spaces: what there is to choose, points and variants, and what is refused."""

import json

import numpy as np
import pytest

from keras_effnetv2.models import create_model
from keras_effnetv2.networks import variants
from keras_effnetv2.networks.architecture import (
    FUSED_MBCONV,
    MBCONV,
    apply_coefficients,
    layout,
)
from keras_effnetv2.networks.variant_files import read_variant, write_variant
from keras_effnetv2.search.sampling.space import Space

# Published variants that lie in the space of a backbone. B1 has B0's channels and a
# layer more in each stage; all others have channels or stages of their own.
INHABITANTS = {
    "efficientnetv2-b0": {"efficientnetv2-b0", "efficientnetv2-b1"},
    "efficientnet-b0": {"efficientnet-b0", "efficientnet-b1"},
} | {
    name: {name}
    for name in variants.list_variants()
    if not name.endswith(("-b0", "-b1"))
}


def tiny(**choices):
    """Small enough to count by hand."""
    return Space.of("efficientnetv2-b0", **choices)


def test_a_stage_chooses_operator_kernel_expansion_and_layers():
    decisions = Space.of("efficientnet-b4").decisions
    assert len(decisions) == 7 * 4
    assert list(decisions)[:4] == [
        "stage1/operator",
        "stage1/kernel_size",
        "stage1/expand_ratio",
        "stage1/num_repeats",
    ]
    assert decisions["stage7/operator"] == (MBCONV, FUSED_MBCONV)
    assert decisions["stage7/kernel_size"] == (3, 5)
    assert decisions["stage7/expand_ratio"] == (1, 4, 6)
    # B4 has 2, 4, 4, 6, 6, 8 and 2 layers.
    most = [decisions[f"stage{stage}/num_repeats"][-1] for stage in range(1, 8)]
    assert most == [3, 5, 5, 8, 8, 10, 3]
    assert decisions["stage1/num_repeats"] == (1, 2, 3)


def test_the_size_is_the_number_of_points():
    layers = 3 * 5 * 5 * 8 * 8 * 10 * 3
    assert Space.of("efficientnet-b4").size == 12**7 * layers
    assert tiny(
        kernels=[3], operators=[MBCONV], expansions=[4], layers=[1, 2]
    ).size == (2**6)


def test_every_point_of_a_small_space_is_drawn_equally_often():
    space = tiny(
        operators=MBCONV,
        kernels=[3],
        expansions=[1, 6],
        layers={1: [1, 2]} | {stage: [2] for stage in range(2, 7)},
    )
    assert space.size == 2**6 * 2
    rng = np.random.default_rng(0)
    draws = [tuple(space.random(rng).values()) for _ in range(6400)]
    counts = [draws.count(draw) for draw in set(draws)]
    assert len(counts) == space.size
    assert min(counts) > 20 and max(counts) < 90  # 50 expected, deviation 7.


def test_draws_follow_the_seed():
    space = Space.of("efficientnetv2-s")
    first, second = (space.random(np.random.default_rng(3)) for _ in range(2))
    assert first == second


@pytest.mark.parametrize("backbone", variants.list_variants())
def test_points_become_networks_and_points_again(backbone):
    space = Space.of(backbone)
    rng = np.random.default_rng(1)
    for _ in range(20):
        point = space.random(rng)
        variant = space.variant(json.loads(json.dumps(point)))
        assert space.point(variant) == point
        assert variant.name == "found"
        for spec, before in zip(variant.blocks, space.backbone.blocks, strict=True):
            assert (spec.filters, spec.strides) == (before.filters, before.strides)
            assert spec.se_ratio == (0.25 if spec.operator == MBCONV else 0)


@pytest.mark.parametrize("backbone", INHABITANTS)
def test_published_variants_lie_where_their_channels_are(backbone):
    space, found = Space.of(backbone), set()
    for name in variants.list_variants():
        try:
            point = space.point(name)
        except ValueError:
            continue
        found.add(name)
        assert layout(space.variant(point)) == layout(variants.get_variant(name))
    assert found == INHABITANTS[backbone]


@pytest.mark.parametrize("name", variants.list_variants())
def test_the_backbone_maps_to_itself_multiplied_out(name):
    space = Space.of(name)
    assert space.variant(space.point(name), name) == space.backbone
    assert layout(space.backbone) == layout(variants.get_variant(name))
    assert apply_coefficients(space.backbone) == space.backbone


@pytest.mark.parametrize(
    ("variant", "message"),
    [
        ("efficientnetv2-m", "it has 7 stages, not 6"),
        ("efficientnetv2-s", "its stem_filters is 24, not 32; stage1 has filters 24"),
        ("efficientnetv2-b2", "its top_filters is 1408, not 1280"),
        ("efficientnetv2-b3", "stage6 has filters 232, not 192"),
    ],
)
def test_a_variant_outside_is_told_in_what(variant, message):
    with pytest.raises(ValueError, match=message):
        Space.of("efficientnetv2-b0").point(variant)


def test_fused_networks_of_table_3_keep_squeeze_excite_which_no_point_does():
    b4 = variants.get_variant("efficientnet-b4")
    fused = variants.fuse_stages(b4, [1, 2, 3])
    with pytest.raises(ValueError, match=r"stage1 has se_ratio 0.25, not 0.0; stage2"):
        Space.of(b4).point(fused)


def test_a_restricted_space_says_which_choice_it_lacks():
    space = tiny(operators=[FUSED_MBCONV], expansions=[1, 4])
    with pytest.raises(ValueError, match=r"stage4 has operator 'mbconv', not 'fused"):
        space.point("efficientnetv2-b0")


def test_layers_are_set_for_all_stages_or_for_some():
    repeats = [f"stage{stage}/num_repeats" for stage in range(1, 7)]
    decisions = tiny(layers=[2, 4, 2]).decisions
    assert {decisions[name] for name in repeats} == {(2, 4)}
    decisions = tiny(layers={2: range(1, 3)}).decisions
    assert decisions["stage2/num_repeats"] == (1, 2)
    assert decisions["stage1/num_repeats"] == (1, 2)
    assert decisions["stage6/num_repeats"] == tuple(range(1, 11))


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ({"operators": []}, "operators must be some of"),
        ({"operators": ["conv"]}, r"Received: \('conv',\)"),
        ({"kernels": []}, "kernels must be odd whole numbers.*Received: none"),
        ({"kernels": [3, 4]}, "kernels must be odd"),
        ({"expansions": ()}, "expansions must be whole numbers"),
        ({"expansions": [0]}, "expansions must be whole numbers"),
        ({"expansions": [True]}, "expansions must be whole numbers"),
        ({"expansions": [1.5]}, "expansions must be whole numbers"),
        ({"layers": []}, "layers must be whole numbers"),
        ({"layers": {2: []}}, r"layers\[2\] must be whole numbers"),
        ({"layers": {7: [1]}}, r"has stages 1 to 6. Received: layers of \[7\]"),
    ],
)
def test_impossible_choices_are_refused(choices, message):
    with pytest.raises(ValueError, match=message):
        tiny(**choices)


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ({"kernels": [3, 17]}, "kernel_size must be a whole number from 1 to 15.*17"),
        ({"expansions": [32]}, "expand_ratio must be a number from 1 to 16.*32"),
        ({"layers": [1001]}, "num_repeats must be a whole number from 1 to 1000"),
        ({"layers": [1, 200]}, "It has 1,200 blocks; 1,000 are the most"),
    ],
)
def test_what_variant_files_refuse_no_space_has(choices, message):
    with pytest.raises(ValueError, match=f"The largest network of .*{message}"):
        tiny(**choices)


def test_every_network_of_the_largest_space_can_be_a_file(tmp_path):
    space = tiny(kernels=[15], expansions=[16], layers=[166])
    variant = space.variant(space.random(np.random.default_rng(0)))
    write_variant(variant, tmp_path / "found.json")
    assert read_variant(tmp_path / "found.json") == variant


def test_points_that_are_not_of_the_space_are_refused():
    space = tiny()
    point = space.point("efficientnetv2-b0")
    with pytest.raises(ValueError, match=r"Unknown: \['stage9/operator'\]"):
        space.variant(point | {"stage9/operator": MBCONV})
    with pytest.raises(ValueError, match="stage1/kernel_size must be one of.*7"):
        space.variant(point | {"stage1/kernel_size": 7})
    with pytest.raises(ValueError, match="stage1/num_repeats must be one of.*True"):
        space.variant(point | {"stage1/num_repeats": True})
    del point["stage2/operator"]
    with pytest.raises(ValueError, match=r"Missing: \['stage2/operator'\]"):
        space.variant(point)


def test_choices_come_back_as_plain_types():
    space = tiny(kernels=np.array([3, 5]))
    point = space.point("efficientnetv2-b0") | {"stage1/kernel_size": np.int64(5)}
    found = space.point(space.variant(point))
    assert json.loads(json.dumps(found)) == found
    assert found["stage1/kernel_size"] == 5


def test_a_random_point_builds():
    space = tiny(layers=[1, 2])
    variant = space.variant(space.random(np.random.default_rng(5)), "drawn")
    model = create_model(variant, classes=3, input_shape=(32, 32, 3))
    assert model.name == "drawn"
    assert model.output_shape == (None, 3)
