"""Our layers pass the checks that Keras runs on its own.

Serialization, shapes and dtypes of symbolic and eager calls, a step of training, and
mixed precision, of each set of arguments.
"""

import keras
import numpy as np
import pytest

from keras_effnetv2 import layers
from keras_effnetv2.layers.convolutions import Conv2D, DepthwiseConv

# Needs what Keras's own tests need; a private module, too.
testing = pytest.importorskip("keras.src.testing")

RECORDS = {
    "rgb": {"mean": (120.0, 110.0, 100.0), "std": (60.0, 50.0, 40.0)},
    "one": {"mean": (127.5,), "std": (127.5,)},
}
LATE = {"interpolation": "bilinear", "crop": "squash", "image_size": 32}
BATCH = (2, 8, 8, 4)

# Layer, its arguments, and the shape of its input and output.
# fmt: off
CASES = [
    (layers.MBConv, {"filters": 4}, BATCH, BATCH),
    (layers.MBConv, {"filters": 6, "strides": 2, "kernel_size": 5},
     BATCH, (2, 4, 4, 6)),
    (layers.MBConv, {"filters": 4, "expand_ratio": 1, "se_ratio": 0}, BATCH, BATCH),
    (layers.MBConv, {"filters": 4, "drop_path_rate": 0.5, "remat": True}, BATCH, BATCH),
    (layers.MBConv, {"filters": 4, "use_batch_norm": False}, BATCH, BATCH),
    (layers.MBConv, {"filters": 3, "activation": "relu6"}, (2, 7, 5, 4), (2, 7, 5, 3)),
    (layers.FusedMBConv, {"filters": 4}, BATCH, BATCH),
    (layers.FusedMBConv, {"filters": 6, "strides": 2}, (2, 7, 5, 4), (2, 4, 3, 6)),
    (layers.FusedMBConv, {"filters": 4, "expand_ratio": 1}, BATCH, BATCH),
    (layers.FusedMBConv, {"filters": 4, "se_ratio": 0.25, "remat": True}, BATCH, BATCH),
    (layers.MBConv, {"filters": 6, "strides": 2, "padding": "symmetric",
                     "attention": "global_context"}, BATCH, (2, 4, 4, 6)),
    (layers.FusedMBConv, {"filters": 4, "expand_ratio": 1, "always_expand": True,
                          "padding": "symmetric", "remat": True}, BATCH, BATCH),
    (layers.GlobalContext, {"filters": 2}, BATCH, BATCH),
    (layers.GlobalContext, {"filters": 1, "activation": "relu"}, BATCH, BATCH),
    (layers.SqueezeExcite, {"filters": 2}, BATCH, BATCH),
    (layers.SqueezeExcite, {"filters": 1, "activation": "relu"}, BATCH, BATCH),
    (layers.StochasticDepth, {"rate": 0.0}, BATCH, BATCH),
    (layers.StochasticDepth, {"rate": 0.5, "seed": 3}, (2, 3), (2, 3)),
    (layers.FastActivation, {"activation": "silu"}, BATCH, BATCH),
    (layers.FastActivation, {"activation": "relu"}, (2, 3), (2, 3)),
    (layers.BatchNorm, {}, BATCH, BATCH),
    (layers.BatchNorm, {"synchronized": 2, "momentum": 0.9}, BATCH, BATCH),
    (layers.BatchNorm, {"axis": 1, "scale": False}, BATCH, BATCH),
    (layers.BatchNorm, {"center": False, "epsilon": 1e-5}, (2, 3), (2, 3)),
    (Conv2D, {"filters": 6, "kernel_size": 1}, BATCH, (2, 8, 8, 6)),
    (Conv2D, {"filters": 6, "kernel_size": 3, "strides": 2, "activation": "silu"},
     BATCH, (2, 3, 3, 6)),
    (Conv2D, {"filters": 6, "kernel_size": 3, "dilation_rate": 2, "groups": 2},
     BATCH, (2, 4, 4, 6)),
    (Conv2D, {"filters": 6, "kernel_size": 5, "strides": 2, "padding": "symmetric"},
     BATCH, (2, 4, 4, 6)),
    (DepthwiseConv, {"kernel_size": 3, "strides": 2, "padding": "symmetric"},
     (2, 7, 8, 4), (2, 4, 4, 4)),
    (DepthwiseConv, {"kernel_size": 3, "strides": 2, "use_bias": False},
     BATCH, (2, 3, 3, 4)),
    (DepthwiseConv, {"kernel_size": 3, "activation": "relu", "depth_multiplier": 2},
     BATCH, (2, 6, 6, 8)),
    (DepthwiseConv, {"kernel_size": 3, "dilation_rate": 2}, BATCH, (2, 4, 4, 4)),
]
# fmt: on


@pytest.fixture(name="harness")
def fixture_harness():
    case = testing.TestCase()
    case.setUp()
    yield case
    case.doCleanups()
    keras.utils.clear_session()


def name_of(value):
    return value.__name__ if isinstance(value, type) else None


@pytest.mark.parametrize(
    "policy", ["float32", pytest.param("bfloat16", marks=pytest.mark.slow)]
)
@pytest.mark.parametrize(
    ("layer", "arguments", "inputs", "outputs"), CASES, ids=name_of
)
def test_layers_pass_keras_checks(harness, layer, arguments, inputs, outputs, policy):
    harness.run_layer_test(
        layer,
        init_kwargs={**arguments, "dtype": policy},
        input_shape=inputs,
        expected_output_shape=outputs,
        expected_output_dtype=policy,
        expected_num_losses=0,
        run_mixed_precision_check=policy == "float32",
    )


@pytest.mark.parametrize("dtype", ["uint8", "int32", "int64", "bool", "float32"])
@pytest.mark.parametrize("enabled", [True, False])
@pytest.mark.parametrize("record", RECORDS)
def test_pixels_of_any_dtype_pass_keras_checks(harness, record, enabled, dtype):
    pixels = np.zeros((2, 8, 8, 3), dtype)  # Zeros wrap where integers are unsigned.
    given = {**RECORDS[record], **LATE}
    mean, std = (np.float32(given[key]) for key in ("mean", "std"))
    expected = (pixels.astype("float32") - mean) / std if enabled else pixels
    harness.run_layer_test(
        layers.PixelNormalization,
        init_kwargs={"preprocessing": given, "enabled": enabled},
        input_data=keras.ops.convert_to_tensor(pixels, dtype),
        expected_output=keras.ops.convert_to_tensor(expected, "float32"),
        expected_output_dtype="float32",
    )
