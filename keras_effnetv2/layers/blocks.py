"""The two blocks that EfficientNetV2 is made of.

Reference: Tan and Le 2021, https://arxiv.org/abs/2104.00298, Figure 2 and Table 4.
"""

from typing import Any

import keras

from keras_effnetv2.layers.base_block import BaseBlock
from keras_effnetv2.layers.convolutions import DepthwiseConv
from keras_effnetv2.layers.squeeze_excite import CONV_INITIALIZER


@keras.saving.register_keras_serializable("keras_effnetv2")
class MBConv(BaseBlock):
    """1x1 expansion, depthwise convolution, squeeze-excite, 1x1 projection.

    Input is `(batch, height, width, channels)`, output `(batch, height / strides,
    width / strides, filters)`, rounded up. A shortcut is added if strides are 1 and
    input and output have the same number of channels.

    Reference: Tan and Le 2021, https://arxiv.org/abs/2104.00298, Figure 2.

    Args:
        filters: output channels.
        kernel_size: side of the kernel.
        strides: 1 or 2.
        expand_ratio: hidden channels per input channel, at least 1; with 1 there is no
            expansion, but see `always_expand`.
        se_ratio: squeeze-excite channels per block *input* channel; 0 for none. None:
            the paper's, 0.25 in MBConv and 0 in Fused-MBConv.
        activation: any Keras activation.
        drop_path_rate: probability that the branch is dropped, in blocks with a
            shortcut (see `StochasticDepth`).
        bn_momentum: momentum of the batch norms' moving statistics.
        bn_epsilon: value added to the batch norms' variances.
        bn_synchronized: True to share batch statistics over all replicas, or the size
            of the groups that share them; see `BatchNorm`.
        remat: keep only the outputs of convolutions for the gradient and recompute
            batch norms, activations and squeeze-excite: the same results with less
            memory and more time.
        use_batch_norm: False to have biases in the convolutions instead, as in the
            models of `export.fold_batch_norm`.
        padding: padding of the convolution with strides: `"same"`, or PyTorch's
            `"symmetric"`, with as many pixels on both sides.
        attention: layer that `se_ratio` applies to, `"squeeze_excite"` or
            `"global_context"`.
        always_expand: True to have the expanding convolution even with `expand_ratio`
            1.

    Raises:
        ValueError: a number out of range.
    """

    _default_se_ratio = 0.25

    def _build_branch(self, input_filters: int, hidden_filters: int) -> None:
        if self.has_expansion:
            self.expand_conv = self._conv(
                input_filters, hidden_filters, 1, 1, "expand_conv"
            )
            self.expand_bn = self._batch_norm(hidden_filters, "expand_bn")
        self.dwconv2 = DepthwiseConv(
            self.kernel_size,
            self.strides,
            padding=self.padding,
            use_bias=not self.use_batch_norm,
            data_format="channels_last",
            depthwise_initializer=CONV_INITIALIZER,
            dtype=self.dtype_policy,
            name="dwconv2",
        )
        self.dwconv2.build((None, None, None, hidden_filters))
        self.bn = self._batch_norm(hidden_filters, "bn")
        if self.se_ratio:
            self.se = self._gates(input_filters, hidden_filters)
        self.project_conv = self._conv(
            hidden_filters, self.filters, 1, 1, "project_conv"
        )
        self.project_bn = self._batch_norm(self.filters, "project_bn")

    def _branch(self, x: Any, training: bool | None) -> Any:
        if self.has_expansion:
            x = self.expand_conv(x)
            x = self._normalized(x, self.expand_bn, [self.dwconv2], training)
        else:
            x = self.dwconv2(x)
        gates = [self.se] if self.se_ratio else []
        x = self._normalized(x, self.bn, [*gates, self.project_conv], training)
        return self.project_bn(x, training=training)


@keras.saving.register_keras_serializable("keras_effnetv2")
class FusedMBConv(BaseBlock):
    """One full convolution for expansion and depthwise, squeeze-excite, projection.

    Without expansion (`expand_ratio=1`) a single activated convolution remains. Input,
    output, arguments and errors are those of `MBConv`; `se_ratio` is 0 by default.
    """

    def _build_branch(self, input_filters: int, hidden_filters: int) -> None:
        kernel_size, strides = self.kernel_size, self.strides
        if self.has_expansion:
            self.expand_conv = self._conv(
                input_filters, hidden_filters, kernel_size, strides, "expand_conv"
            )
            self.expand_bn = self._batch_norm(hidden_filters, "expand_bn")
            kernel_size, strides = 1, 1
        if self.se_ratio:
            self.se = self._gates(input_filters, hidden_filters)
        self.project_conv = self._conv(
            hidden_filters, self.filters, kernel_size, strides, "project_conv"
        )
        self.project_bn = self._batch_norm(self.filters, "project_bn")

    def _branch(self, x: Any, training: bool | None) -> Any:
        gates = [self.se] if self.se_ratio else []
        if self.has_expansion:
            layers = [*gates, self.project_conv]
            x = self._normalized(self.expand_conv(x), self.expand_bn, layers, training)
            return self.project_bn(x, training=training)
        for layer in [*gates, self.project_conv]:
            x = layer(x)
        # Without expansion the projection is the only convolution, and activated.
        return self._normalized(x, self.project_bn, [], training)
