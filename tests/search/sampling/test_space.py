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
)
from keras_effnetv2.networks.block_list import layout
from keras_effnetv2.networks.variant_files import read_variant, write_variant
from keras_effnetv2.search.sampling.space import Space
from tests.search.points import FIELDS, point_of


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
def test_points_become_networks_of_the_backbones_channels(backbone):
    space = Space.of(backbone)
    rng = np.random.default_rng(1)
    for _ in range(20):
        point = space.random(rng)
        variant = space.variant(json.loads(json.dumps(point)))
        assert variant.name == "found"
        pairs = zip(variant.blocks, space.backbone.blocks, strict=True)
        for stage, (spec, before) in enumerate(pairs, start=1):
            for field in FIELDS:
                assert getattr(spec, field) == point[f"stage{stage}/{field}"]
            assert (spec.filters, spec.strides) == (before.filters, before.strides)
            has_none = spec.operator != MBCONV or "lite" in backbone
            assert spec.se_ratio == (0 if has_none else 0.25)


@pytest.mark.parametrize("name", variants.list_variants())
def test_every_network_is_in_its_own_space(name):
    """What released networks are is among the choices around them."""
    space = Space.of(name)
    point = point_of(space.backbone)
    found = space.variant(point, name)
    assert layout(found) == layout(variants.get_variant(name))
    assert found == space.backbone == apply_coefficients(space.backbone)


def test_b1_lies_in_the_space_of_b0():
    space = Space.of("efficientnetv2-b0")
    b1 = variants.get_variant("efficientnetv2-b1")
    point = point_of(apply_coefficients(b1))
    assert layout(space.variant(point)) == layout(b1)


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
        ({"layers": [1, 200]}, "It has 1,200 blocks; the maximum is 1,000"),
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
    point = point_of(space.backbone)
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
    point = point_of(space.backbone) | {"stage1/kernel_size": np.int64(5)}
    found = point_of(space.variant(point))
    assert json.loads(json.dumps(found)) == found
    assert found["stage1/kernel_size"] == 5


def test_a_random_point_builds():
    space = tiny(layers=[1, 2])
    variant = space.variant(space.random(np.random.default_rng(5)), "drawn")
    model = create_model(variant, classes=3, input_shape=(32, 32, 3))
    assert model.name == "drawn"
    assert model.output_shape == (None, 3)
