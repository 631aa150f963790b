"""The layers of a network that have weights, counted from its rows."""

import math
from typing import NamedTuple

from keras_effnetv2.networks.block_list import Block, kernel_shapes, spatial_layer


class LayerCount(NamedTuple):
    """A convolution with its bias or the norm after it; on 1x1 maps if `pooled`."""

    kernel: int  # Number of its weights.
    filters: int
    strides: int = 1
    pooled: bool = False
    vectors: int = 4  # A bias has 1, a batch norm 4.
    fixed_vectors: int = 2  # Of those: a batch norm's moving statistics.

    @property
    def num_params(self) -> int:
        """Parameters of kernel and vectors."""
        return self.kernel + self.filters * self.vectors

    @property
    def num_trainable_params(self) -> int:
        """Parameters without batch norm's two moving statistics."""
        return self.num_params - self.filters * self.fixed_vectors


def stem_layers(filters: int) -> list[LayerCount]:
    """Layers of the stem on RGB images; `filters` are its output channels."""
    return [_conv(3, 3, filters, strides=2)]


def top_layers(input_filters: int, filters: int, classes: int) -> list[LayerCount]:
    """The last convolution, and the classifier on its pooled map."""
    dense = _biased(filters * classes, classes)
    return [_conv(1, input_filters, filters), dense]


def block_layers(block: Block) -> list[LayerCount]:
    """Layers of one block, in order."""
    spatial = spatial_layer(block)
    return [
        _gate(name, shape)
        if "/" in name
        else LayerCount(
            math.prod(shape),
            filters=shape[2] if name == "dwconv2" else shape[3],
            strides=block.strides if name == spatial else 1,
        )
        for name, shape in kernel_shapes(block).items()
    ]


def _gate(name: str, shape: tuple[int, ...]) -> LayerCount:
    """Layers of squeeze-excite, or of global context, which has a norm inside."""
    vectors = 3 if name == "gc/reduce" else 1
    return _biased(math.prod(shape), shape[3], name != "gc/attend", vectors)


def _biased(
    kernel: int, filters: int, pooled: bool = True, vectors: int = 1
) -> LayerCount:
    return LayerCount(kernel, filters, 1, pooled, vectors, fixed_vectors=0)


def _conv(kernel_size: int, inputs: int, filters: int, strides: int = 1) -> LayerCount:
    return LayerCount(kernel_size**2 * inputs * filters, filters, strides)
