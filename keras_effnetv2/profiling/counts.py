"""The layers of a network that have weights, counted from its rows."""

import math
from typing import NamedTuple

from keras_effnetv2.networks.architecture import Block, kernel_shapes, spatial_layer


class LayerCount(NamedTuple):
    """A convolution and its batch norm, or a `pooled` layer: on 1x1, with a bias."""

    kernel: int  # Number of its weights.
    filters: int
    strides: int = 1
    pooled: bool = False

    @property
    def num_params(self) -> int:
        """Kernel and bias, or kernel and batch norm's four vectors."""
        return self.kernel + self.filters * (1 if self.pooled else 4)

    @property
    def num_trainable_params(self) -> int:
        """All but batch norm's two moving statistics."""
        return self.num_params - (0 if self.pooled else 2 * self.filters)


def stem_layers(filters: int) -> list[LayerCount]:
    """Of the stem on RGB images; `filters` are its output channels."""
    return [_conv(3, 3, filters, strides=2)]


def top_layers(input_filters: int, filters: int, classes: int) -> list[LayerCount]:
    """The last convolution, and the classifier on its pooled map."""
    dense = LayerCount(filters * classes, classes, pooled=True)
    return [_conv(1, input_filters, filters), dense]


def block_layers(block: Block) -> list[LayerCount]:
    """Of one block, in order."""
    spatial = spatial_layer(block)
    return [
        LayerCount(
            math.prod(shape),
            filters=shape[2] if name == "dwconv2" else shape[3],
            strides=block.strides if name == spatial else 1,
            pooled=name.startswith("se/"),
        )
        for name, shape in kernel_shapes(block).items()
    ]


def _conv(kernel_size: int, inputs: int, filters: int, strides: int = 1) -> LayerCount:
    return LayerCount(kernel_size**2 * inputs * filters, filters, strides)
