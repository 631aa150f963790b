"""The layers of a network that have weights, counted from its rows."""

from typing import NamedTuple

from keras_effnetv2.networks.architecture import MBCONV, Block


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
    kernel_size, inputs = block.kernel_size, block.input_filters
    expanded = int(inputs * block.expand_ratio)
    squeeze_excite = _squeeze_excite(block, expanded)
    if block.operator == MBCONV:
        expand = [_conv(1, inputs, expanded)] if block.expand_ratio > 1 else []
        depthwise = LayerCount(kernel_size**2 * expanded, expanded, block.strides)
        project = _conv(1, expanded, block.filters)
        return [*expand, depthwise, *squeeze_excite, project]
    if block.expand_ratio == 1:
        fused = _conv(kernel_size, inputs, block.filters, block.strides)
        return [*squeeze_excite, fused]
    fused = _conv(kernel_size, inputs, expanded, block.strides)
    return [fused, *squeeze_excite, _conv(1, expanded, block.filters)]


def _conv(kernel_size: int, inputs: int, filters: int, strides: int = 1) -> LayerCount:
    return LayerCount(kernel_size**2 * inputs * filters, filters, strides)


def _squeeze_excite(block: Block, filters: int) -> list[LayerCount]:
    """On `filters` channels; its width goes by the channels that enter the block."""
    if not block.se_ratio:
        return []
    squeezed = max(1, int(block.input_filters * block.se_ratio))
    kernel = filters * squeezed
    return [
        LayerCount(kernel, squeezed, pooled=True),
        LayerCount(kernel, filters, pooled=True),
    ]
