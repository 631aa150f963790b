"""Layers of EfficientNetV2, for its models and for your own functional models.

Images are channels-last everywhere. Layers use stock Keras and `keras.ops`, except on
TensorFlow: there `BatchNorm` calls the fused kernel where possible and sums over
replicas, and SiLU and convolutions have custom gradients.
"""

from keras_effnetv2.layers.activations import FastActivation
from keras_effnetv2.layers.blocks import FusedMBConv, MBConv
from keras_effnetv2.layers.global_context import GlobalContext
from keras_effnetv2.layers.inputs.pixels import PixelNormalization
from keras_effnetv2.layers.normalization.batch_norm import BatchNorm
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
