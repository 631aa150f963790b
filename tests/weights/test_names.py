"""Names and shapes of all arrays, here and elsewhere."""

import pytest

from keras_effnetv2.models import create_model
from keras_effnetv2.networks.functional import named_variables
from keras_effnetv2.networks.variants import VARIANTS, fuse_stages, get_variant
from keras_effnetv2.weights import names
from tests.tiny_networks import tiny
from tests.weights.weight_files import CLASSES, TINY

# Spelled out from the publishers' files, for efficientnetv2-b0. In its fifth stage,
# block5b is the ninth block of all and the second of its stage.
V2_EXAMPLES = {
    names.APPLICATIONS: {
        "stem_conv/kernel": "stem_conv/kernel",
        "block1a/project_bn/gamma": "block1a_project_bn/gamma",
        "block5b/dwconv2/kernel": "block5b_dwconv2/kernel",
        "block5b/se/reduce/bias": "block5b_se_reduce/bias",
        "predictions/bias": "predictions/bias",
    },
    names.SEBASTIAN_SZ: {
        "block2b/expand_conv/kernel": "block2-02_expand_conv/kernel",
        "block5b/se/expand/kernel": "block5-02_se_expand/kernel",
        "top_bn/beta": "top_bn/beta",
    },
    names.LEONDGARSE: {
        "block1a/project_conv/kernel": "stack_0_block0_fu_conv/kernel",
        "block1a/project_bn/beta": "stack_0_block0_fu_bn/beta",
        "block2b/expand_conv/kernel": "stack_1_block1_sortcut_conv/kernel",
        "block2b/project_bn/gamma": "stack_1_block1_MB_pw_bn/gamma",
        "block5b/expand_bn/gamma": "stack_4_block1_sortcut_bn/gamma",
        "block5b/dwconv2/kernel": "stack_4_block1_MB_dw_/kernel",
        "block5b/bn/moving_mean": "stack_4_block1_MB_dw_bn/moving_mean",
        "block5b/se/reduce/kernel": "stack_4_block1_se_1_conv/kernel",
        "block5b/se/expand/bias": "stack_4_block1_se_2_conv/bias",
        "block5b/project_conv/kernel": "stack_4_block1_MB_pw_conv/kernel",
        "top_conv/kernel": "post_conv/kernel",
        "top_bn/gamma": "post_bn/gamma",
    },
    names.CHECKPOINT: {
        "stem_bn/gamma": "stem/tpu_batch_normalization/gamma",
        "block1a/project_conv/kernel": "blocks_0/conv2d/kernel",
        "block2b/project_bn/beta": "blocks_2/tpu_batch_normalization_1/beta",
        "block5b/dwconv2/kernel": "blocks_9/depthwise_conv2d/depthwise_kernel",
        "block5b/se/expand/bias": "blocks_9/se/conv2d_1/bias",
        "block5b/project_bn/gamma": "blocks_9/tpu_batch_normalization_2/gamma",
        "top_conv/kernel": "head/conv2d/kernel",
        "predictions/kernel": "head/dense/kernel",
    },
    names.OBJECT_CHECKPOINT: {
        "stem_conv/kernel": "_stem/_conv_stem/kernel",
        "block1a/project_bn/gamma": "_blocks/0/_norm1/gamma",
        "block2b/project_bn/gamma": "_blocks/2/_norm1/gamma",
        "block5b/bn/gamma": "_blocks/9/_norm1/gamma",
        "block5b/se/reduce/bias": "_blocks/9/_se/_se_reduce/bias",
        "predictions/kernel": "_fc/kernel",
    },
    names.TIMM: {
        "stem_conv/kernel": "conv_stem.weight",
        "stem_bn/gamma": "bn1.weight",
        "block1a/project_conv/kernel": "blocks.0.0.conv.weight",
        "block1a/project_bn/moving_variance": "blocks.0.0.bn1.running_var",
        "block2b/expand_conv/kernel": "blocks.1.1.conv_exp.weight",
        "block2b/project_conv/kernel": "blocks.1.1.conv_pwl.weight",
        "block5b/dwconv2/kernel": "blocks.4.1.conv_dw.weight",
        "block5b/project_bn/beta": "blocks.4.1.bn3.bias",
        "block5b/se/reduce/bias": "blocks.4.1.se.conv_reduce.bias",
        "top_bn/moving_mean": "bn2.running_mean",
        "predictions/kernel": "classifier.weight",
    },
    names.OWN: {
        "stem_conv/kernel": "stem_conv/kernel",
        "block5b/se/reduce/bias": "block5b/se/reduce/bias",
    },
    names.APPLICATIONS_UNNAMED: {
        "stem_conv/kernel": "conv2d/kernel",
        "stem_bn/gamma": "batch_normalization/gamma",
        "block1a/project_conv/kernel": "conv2d_1/kernel",
        "block4a/dwconv2/kernel": "depthwise_conv2d/kernel",
        "predictions/bias": "dense/bias",
    },
}
# Of efficientnet-b0, whose first block does not expand.
V1_EXAMPLES = {
    names.APPLICATIONS_V1: {
        "block1a/dwconv2/kernel": "block1a_dwconv/kernel",
        "block1a/project_conv/kernel": "block1a_project_conv/kernel",
    },
    names.LEONDGARSE: {"block1a/dwconv2/kernel": "stack_0_block0_MB_dw_/kernel"},
    names.CHECKPOINT: {
        "block1a/bn/gamma": "blocks_0/tpu_batch_normalization/gamma",
        "block1a/project_conv/kernel": "blocks_0/conv2d/kernel",
        "block1a/project_bn/gamma": "blocks_0/tpu_batch_normalization_1/gamma",
    },
    names.OBJECT_CHECKPOINT: {"block1a/project_bn/beta": "_blocks/0/_norm2/beta"},
    names.TIMM: {
        "block1a/dwconv2/kernel": "blocks.0.0.conv_dw.weight",
        "block1a/bn/gamma": "blocks.0.0.bn1.weight",
        "block1a/project_conv/kernel": "blocks.0.0.conv_pw.weight",
        "block1a/project_bn/gamma": "blocks.0.0.bn2.weight",
    },
}


@pytest.mark.parametrize("naming", V2_EXAMPLES)
def test_v2_names_are_the_publishers(naming):
    found = names.file_names(get_variant("efficientnetv2-b0"), naming)
    assert V2_EXAMPLES[naming].items() <= found.items()


@pytest.mark.parametrize("naming", V1_EXAMPLES)
def test_v1_names_are_the_publishers(naming):
    found = names.file_names(get_variant("efficientnet-b0"), naming)
    assert V1_EXAMPLES[naming].items() <= found.items()


def test_sebastian_numbers_the_32nd_block_of_xl():
    found = names.file_names(get_variant("efficientnetv2-xl"), names.SEBASTIAN_SZ)
    assert found["block6af/bn/gamma"] == "block6-32_bn/gamma"


@pytest.mark.parametrize("naming", names.NAMINGS)
@pytest.mark.parametrize("variant", VARIANTS.values(), ids=lambda x: x.name)
def test_no_two_arrays_share_a_name(variant, naming):
    found = names.file_names(variant, naming)
    assert found.keys() == names.canonical_shapes(variant, 1000).keys()
    assert len(set(found.values())) == len(found)


@pytest.mark.parametrize(
    "variant",
    [TINY, tiny("tiny-v1b0"), fuse_stages(tiny("tiny-v1b0"), (1, 2, 3))],
    ids=["V2", "V1", "fused with squeeze-excite"],
)
def test_shapes_are_those_of_the_network(variant):
    variables = named_variables(create_model(variant, classes=CLASSES))
    shapes = {name: tuple(v.shape) for name, v in variables.items()}
    expected = names.canonical_shapes(variant, CLASSES)
    assert shapes == expected
    assert list(expected)[0] == "stem_conv/kernel"
    assert list(expected)[-1] == "predictions/bias"


def test_without_classifier_and_with_more_channels():
    model = create_model(
        TINY,
        include_top=False,
        input_shape=(None, None, 5),
        include_preprocessing=False,
    )
    shapes = {name: tuple(v.shape) for name, v in named_variables(model).items()}
    assert shapes == names.canonical_shapes(TINY, None, input_channels=5)
    assert "predictions/kernel" not in shapes and "top_bn/gamma" in shapes
