"""Layers of EfficientNetV2, for its models and for anybody's functional model.

Images are channels-last everywhere. Stock Keras and `keras.ops` throughout, but for
TensorFlow's sake: `BatchNorm` calls its fused kernel where it can and sums over
replicas, and SiLU and convolutions have gradients of their own.
"""

from keras_effnetv2.layers.activations import FastActivation
from keras_effnetv2.layers.batch_norm import BatchNorm
from keras_effnetv2.layers.blocks import FusedMBConv, MBConv
from keras_effnetv2.layers.global_context import GlobalContext
from keras_effnetv2.layers.pixels import PixelNormalization
from keras_effnetv2.layers.squeeze_excite import SqueezeExcite
from keras_effnetv2.layers.stochastic_depth import StochasticDepth

__all__ = [
    "BatchNorm",
    "FastActivation",
    "FusedMBConv",
    "GlobalContext",
    "MBConv",
    "PixelNormalization",
    "SqueezeExcite",
    "StochasticDepth",
]
