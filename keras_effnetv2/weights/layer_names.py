"""Tables of layer names by publisher of EfficientNet weights.

Sources: google/automl `efficientnetv2`, leondgarse/keras_efficientnet_v2,
timm `_efficientnet_blocks.py`, lukemelas/EfficientNet-PyTorch `model.py`, torchvision
`models/efficientnet.py`. The keras.applications family has our names with "_" for "/".
"""

LEONDGARSE = "leondgarse"
CHECKPOINT = "google/automl"
OBJECT_CHECKPOINT = "google/automl objects"
TIMM = "timm"
EFFICIENTNET_PYTORCH = "EfficientNet-PyTorch"
TORCHVISION = "torchvision"

Rows = tuple[tuple[str, ...], ...]
Table = tuple[dict[str, str], ...]

_TENSORFLOW = ("ours", LEONDGARSE, CHECKPOINT, OBJECT_CHECKPOINT)
_PYTORCH = (TIMM, EFFICIENTNET_PYTORCH, TORCHVISION)

_BN = "tpu_batch_normalization"


# Only timm has it.
_GLOBAL_CONTEXT = (
    ("gc/attend", "se.conv_attn"),
    ("gc/reduce", "se.mlp_scale.fc1"),
    ("gc/norm", "se.mlp_scale.norm"),
    ("gc/expand", "se.mlp_scale.fc2"),
)


def _table(tensorflow: Rows, pytorch: Rows) -> Table:
    """Each layer's names by publisher; ours under `"ours"`.

    Global context may take the place of squeeze-excite.
    """
    columns = _TENSORFLOW + _PYTORCH
    table = []
    for a, b in zip(tensorflow, pytorch, strict=True):
        table.append(dict(zip(columns, a + b, strict=True)))
        if a[0] == "se/expand":
            table += [
                dict.fromkeys(columns, ours) | {TIMM: timm}
                for ours, timm in _GLOBAL_CONTEXT
            ]
    return tuple(table)


# fmt: off
_SQUEEZE_EXCITE = (
    ("se/reduce", "se_1_conv", "se/conv2d",   "_se/_se_reduce"),
    ("se/expand", "se_2_conv", "se/conv2d_1", "_se/_se_expand"),
)

EXPANDED_MBCONV = _table(
    (
        ("expand_conv",  "sortcut_conv", "conv2d",           "_expand_conv"),
        ("expand_bn",    "sortcut_bn",   _BN,                "_norm0"),
        ("dwconv2",      "MB_dw_",       "depthwise_conv2d", "_depthwise_conv"),
        ("bn",           "MB_dw_bn",     f"{_BN}_1",         "_norm1"),
        *_SQUEEZE_EXCITE,
        ("project_conv", "MB_pw_conv",   "conv2d_1",         "_project_conv"),
        ("project_bn",   "MB_pw_bn",     f"{_BN}_2",         "_norm2"),
    ),
    (
        ("conv_pw",        "_expand_conv",    "0.0"),
        ("bn1",            "_bn0",            "0.1"),
        ("conv_dw",        "_depthwise_conv", "1.0"),
        ("bn2",            "_bn1",            "1.1"),
        ("se.conv_reduce", "_se_reduce",      "2.fc1"),
        ("se.conv_expand", "_se_expand",      "2.fc2"),
        ("conv_pwl",       "_project_conv",   "3.0"),
        ("bn3",            "_bn2",            "3.1"),
    ),
)
PLAIN_MBCONV = _table(
    (
        ("dwconv2",      "MB_dw_",       "depthwise_conv2d", "_depthwise_conv"),
        ("bn",           "MB_dw_bn",     _BN,                "_norm1"),
        *_SQUEEZE_EXCITE,
        ("project_conv", "MB_pw_conv",   "conv2d",           "_project_conv"),
        ("project_bn",   "MB_pw_bn",     f"{_BN}_1",         "_norm2"),
    ),
    (
        ("conv_dw",        "_depthwise_conv", "0.0"),
        ("bn1",            "_bn1",            "0.1"),
        ("se.conv_reduce", "_se_reduce",      "1.fc1"),
        ("se.conv_expand", "_se_expand",      "1.fc2"),
        ("conv_pw",        "_project_conv",   "2.0"),
        ("bn2",            "_bn2",            "2.1"),
    ),
)
# EfficientNet-PyTorch has no fused blocks, torchvision none with squeeze-excite: for
# those, the names are our choice.
EXPANDED_FUSED_MBCONV = _table(
    (
        ("expand_conv",  "sortcut_conv", "conv2d",           "_expand_conv"),
        ("expand_bn",    "sortcut_bn",   _BN,                "_norm0"),
        *_SQUEEZE_EXCITE,
        ("project_conv", "MB_pw_conv",   "conv2d_1",         "_project_conv"),
        ("project_bn",   "MB_pw_bn",     f"{_BN}_1",         "_norm1"),
    ),
    (
        ("conv_exp",       "_expand_conv",    "0.0"),
        ("bn1",            "_bn0",            "0.1"),
        ("se.conv_reduce", "_se_reduce",      "se.fc1"),
        ("se.conv_expand", "_se_expand",      "se.fc2"),
        ("conv_pwl",       "_project_conv",   "1.0"),
        ("bn2",            "_bn2",            "1.1"),
    ),
)
PLAIN_FUSED_MBCONV = _table(
    (
        *_SQUEEZE_EXCITE,
        ("project_conv", "fu_conv",      "conv2d",           "_project_conv"),
        ("project_bn",   "fu_bn",        _BN,                "_norm1"),
    ),
    (
        ("se.conv_reduce", "_se_reduce",      "se.fc1"),
        ("se.conv_expand", "_se_expand",      "se.fc2"),
        ("conv",           "_project_conv",   "0.0"),
        ("bn1",            "_bn2",            "0.1"),
    ),
)
STEM = _table(
    (
        ("stem_conv",   "stem_conv",   "stem/conv2d", "_stem/_conv_stem"),
        ("stem_bn",     "stem_bn",     f"stem/{_BN}", "_stem/_norm"),
    ),
    (
        ("conv_stem",  "_conv_stem", "features.0.0"),
        ("bn1",        "_bn0",       "features.0.1"),
    ),
)
# Torchvision counts the top among the stages.
TOP = _table(
    (
        ("top_conv",    "post_conv",   "head/conv2d", "_head/_conv_head"),
        ("top_bn",      "post_bn",     f"head/{_BN}", "_head/_norm"),
        ("predictions", "predictions", "head/dense",  "_fc"),
    ),
    (
        ("conv_head",  "_conv_head", "features.{top}.0"),
        ("bn2",        "_bn1",       "features.{top}.1"),
        ("classifier", "_fc",        "classifier.1"),
    ),
)
# fmt: on
