"""Layers of EfficientNetV2, for its models and for anybody's functional model.

Images are channels-last everywhere. Stock Keras and `keras.ops` throughout; the one
exception is `BatchNorm`, which calls TensorFlow's fused kernel where it can and sums
over replicas.
"""

from keras_effnetv2.layers.batch_norm import BatchNorm
from keras_effnetv2.layers.blocks import FusedMBConv, MBConv
from keras_effnetv2.layers.pixels import PixelNormalization
from keras_effnetv2.layers.squeeze_excite import SqueezeExcite
from keras_effnetv2.layers.stochastic_depth import StochasticDepth

__all__ = [
    "BatchNorm",
    "FusedMBConv",
    "MBConv",
    "PixelNormalization",
    "SqueezeExcite",
    "StochasticDepth",
]
