"""Series: coefficients, the paper's two changes, and how near the released ones are."""

import dataclasses

import pytest

from keras_effnetv2 import profiling
from keras_effnetv2.models import create_model
from keras_effnetv2.networks.block_list import layout
from keras_effnetv2.networks.variants import get_variant
from keras_effnetv2.search import scaling
from keras_effnetv2.search.costs.series import count_costs
from keras_effnetv2.search.sampling.space import Space
from keras_effnetv2.search.scaling import SERIES, Scale, scale, scale_series

S = get_variant("efficientnetv2-s")
SMALL, MEDIUM, LARGE, EXTRA = scale_series(S)

# Member -> layers; parameters (M) and multiply-adds (B) at 480 pixels, ours and how far
# the released network's are away: the table in scaling's docstring.
RELEASED = {
    "m": ([3, 5, 5, 8, 14, 22], 40.7, -0.25, 23.7, -0.04),
    "l": ([4, 7, 7, 11, 22, 32], 91.7, -0.23, 55.7, -0.01),
    "xl": ([4, 8, 8, 12, 27, 39], 130.2, -0.37, 75.7, -0.08),
}


def layers(variant):
    return [spec.num_repeats for spec in variant.blocks]


@pytest.mark.parametrize("member", [MEDIUM, LARGE, EXTRA], ids=lambda x: x.name)
def test_the_series_of_s_is_as_near_the_released_one_as_the_docstring_says(member):
    suffix = member.name.rpartition("-")[2]
    rows, params, params_away, flops, flops_away = RELEASED[suffix]
    ours = profiling.profile(member, 480, measure=False)
    theirs = profiling.profile(f"efficientnetv2-{suffix}", 480, measure=False)
    assert layers(member) == rows
    counts = ours.num_trainable_params, ours.multiply_adds
    assert counts[0] / 1e6 == pytest.approx(params, abs=0.05)
    assert counts[1] / 1e9 == pytest.approx(flops, abs=0.05)
    away = counts[0] / theirs.num_trainable_params - 1
    assert away == pytest.approx(params_away, abs=0.005)
    assert counts[1] / theirs.multiply_adds - 1 == pytest.approx(flops_away, abs=0.005)


@pytest.mark.parametrize(
    ("member", "most"), [(MEDIUM, 0.17), (LARGE, 0.17), (EXTRA, 0.25)]
)
def test_channels_come_near_the_released_ones(member, most):
    published = get_variant(member.name.replace("-s-", "-"))
    assert len(published.blocks) == len(member.blocks) + 1
    for ours, theirs in zip(member.blocks, published.blocks, strict=False):
        assert ours.filters == pytest.approx(theirs.filters, rel=most)
    assert member.top_filters == published.top_filters == 1280
    assert member.dropout_rate == published.dropout_rate


def test_the_first_of_the_series_is_the_network_itself():
    assert dataclasses.replace(SMALL, name=S.name) == S


def test_inference_is_at_480_pixels_at_most():
    assert [x.eval_size for x in (SMALL, MEDIUM, LARGE, EXTRA)] == [384, 480, 480, 480]
    # Of training, the same share as before: paper, about 20% less.
    assert [x.train_size for x in (SMALL, MEDIUM, LARGE, EXTRA)] == [300, 376, 376, 376]
    b6 = get_variant("efficientnet-b6")
    assert scale(b6, SERIES[0]).eval_size == 480
    assert scale(b6, SERIES[0], max_eval_size=600) == (
        dataclasses.replace(Space.of(b6).backbone, name="efficientnet-b6-s")
    )
    assert scale(S, Scale("x", 1, 1, 2), max_eval_size=501).eval_size == 501


def test_late_stages_get_more_layers_step_by_step():
    bare = [dataclasses.replace(by, late_layers=0) for by in SERIES]
    for by, more in zip(bare, SERIES, strict=True):
        before, after = layers(scale(S, by)), layers(scale(S, more))
        difference = [b - a for a, b in zip(before, after, strict=True)]
        assert difference == [0, 0, 0, 0, more.late_layers, more.late_layers]
    assert [by.late_layers for by in SERIES] == [0, 3, 6, 9]


def test_late_stages_can_be_chosen():
    by = Scale("x", 1, 1, 1, late_layers=4)
    assert layers(scale(S, by, late_stages=[4])) == [2, 4, 4, 10, 9, 15]
    assert layers(scale(S, by, late_stages=())) == layers(S)
    with pytest.raises(ValueError, match=r"has stages 1 to 6. Received.*\[0, 7\]"):
        scale(S, by, late_stages=[0, 7])


def test_layers_are_rounded_up_and_not_by_the_error_of_a_float():
    by = Scale("x", 1, 2.2 / 1.8, 1)
    assert layers(scale(S, by)) == [3, 5, 5, 8, 11, 19]
    row = dataclasses.replace(S.blocks[0], num_repeats=45)
    assert 45 * by.depth > 55
    assert layers(scale(dataclasses.replace(S, blocks=(row,)), by)) == [55]


def test_compound_scaling_is_that_of_efficientnet():
    by = scaling.compound(1, "one")
    assert (by.width, by.depth, by.size) == (1.1, 1.2, 1.15)
    costs = count_costs(
        [
            scale(S, by, max_eval_size=10_000)
            for by in (
                scaling.compound(0, "a"),
                scaling.compound(1, "b"),
                scaling.compound(2, "c"),
            )
        ]
    )
    ratios = [x.multiply_adds / costs[0].multiply_adds for x in costs]
    # 1.2 * 1.1**2 * 1.15**2 is 1.92; rounding up of layers adds to it.
    assert ratios[1] == pytest.approx(2, rel=0.15)
    assert ratios[2] == pytest.approx(4, rel=0.15)


def test_coefficients_are_multiplied_out_before():
    b0, b3 = (get_variant(f"efficientnetv2-b{i}") for i in (0, 3))
    scaled = scale(b3, SERIES[0])
    assert dataclasses.replace(scaled, name=b3.name) != b3
    assert layout(scaled) == layout(b3)
    assert scale(b0, Scale("x", 1.2, 1, 1)).stem_filters == 40


def test_small_sizes_stay_multiples_of_8():
    small = dataclasses.replace(S, train_size=28, eval_size=32)
    member = scale(small, SERIES[1])
    assert (member.train_size, member.eval_size) == (32, 40)


def test_dropout_ends_at_a_half():
    strong = dataclasses.replace(S, dropout_rate=0.45)
    assert scale(strong, SERIES[3]).dropout_rate == 0.5
    stronger = dataclasses.replace(S, dropout_rate=0.6)
    assert scale(stronger, SERIES[3]).dropout_rate == 0.6


@pytest.mark.parametrize("field", ["width", "depth", "size"])
def test_impossible_scales_are_refused(field):
    with pytest.raises(ValueError, match=f"{field} must be above 0"):
        dataclasses.replace(SERIES[0], **{field: 0})
    with pytest.raises(ValueError, match="late_layers must be 0 or more"):
        dataclasses.replace(SERIES[0], late_layers=-1)
    with pytest.raises(ValueError, match="max_eval_size must be 1 or more"):
        scale(S, SERIES[0], max_eval_size=0)


def test_a_member_of_a_found_network_builds():
    space = Space.of("efficientnetv2-b0", layers=[1])
    found = space.variant(
        {name: choices[0] for name, choices in space.decisions.items()}
    )
    member = scale(found, dataclasses.replace(SERIES[1], late_layers=1))
    model = create_model(member, classes=3)
    assert model.name == "found-m"
    assert len([x for x in model.layers if x.name.startswith("block")]) == len(
        layout(member)
    )
