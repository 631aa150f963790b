"""What the two blocks of EfficientNetV2 share."""

from collections.abc import Sequence
from typing import Any

import keras

from keras_effnetv2.errors import InputError
from keras_effnetv2.layers.activations import Activation
from keras_effnetv2.layers.convolutions import Conv2D
from keras_effnetv2.layers.global_context import GlobalContext
from keras_effnetv2.layers.inputs.layout import check_channels_last
from keras_effnetv2.layers.normalization.batch_norm import BatchNorm
from keras_effnetv2.layers.normalization.norm_groups import activated, expanded, gated
from keras_effnetv2.layers.rematerialization import rematerialize
from keras_effnetv2.layers.squeeze_excite import CONV_INITIALIZER, SqueezeExcite
from keras_effnetv2.layers.stochastic_depth import StochasticDepth
from keras_effnetv2.private_apis import sublayers

# Names of sublayers: convolution -> the batch norm after it.
_PAIRS = {"expand_conv": "expand_bn", "dwconv2": "bn", "project_conv": "project_bn"}
# Value of `attention` -> the layer that `se_ratio` belongs to, and its name.
_ATTENTIONS = {
    "squeeze_excite": (SqueezeExcite, "se"),
    "global_context": (GlobalContext, "gc"),
}


class BaseBlock(keras.layers.Layer):
    """What MBConv and Fused-MBConv share: arguments, shortcut, rematerialisation."""

    _default_se_ratio = 0.0

    # Of blocks that have an expansion.
    expand_conv: Conv2D
    expand_bn: keras.layers.Layer

    def __init__(
        self,
        filters: int,
        kernel_size: int = 3,
        strides: int = 1,
        expand_ratio: float = 4,
        se_ratio: float | None = None,
        activation: Activation = "swish",
        drop_path_rate: float = 0.0,
        bn_momentum: float = 0.9,
        bn_epsilon: float = 1e-3,
        bn_synchronized: bool | int = False,
        remat: bool = False,
        use_batch_norm: bool = True,
        padding: str = "same",
        attention: str = "squeeze_excite",
        always_expand: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if filters < 1 or kernel_size < 1 or strides < 1 or expand_ratio < 1:
            raise InputError(
                "filters, kernel_size, strides and expand_ratio must be at least 1. "
                f"Received: filters={filters}, kernel_size={kernel_size}, "
                f"strides={strides}, expand_ratio={expand_ratio}."
            )
        se_ratio = self._default_se_ratio if se_ratio is None else se_ratio
        if not 0 <= se_ratio <= 1:
            raise InputError(f"se_ratio must be in [0, 1]. Received: {se_ratio!r}.")
        _check_choice("padding", padding, ("same", "symmetric"))
        _check_choice("attention", attention, tuple(_ATTENTIONS))
        self.filters = filters
        self.kernel_size = kernel_size
        self.strides = strides
        self.expand_ratio = expand_ratio
        self.se_ratio = se_ratio
        self.activation = keras.activations.get(activation)
        self.bn_momentum = bn_momentum
        self.bn_epsilon = bn_epsilon
        self.bn_synchronized = bn_synchronized
        self.remat = remat
        self.use_batch_norm = use_batch_norm
        self.padding = padding
        self.attention = attention
        self.always_expand = always_expand
        self.has_expansion = expand_ratio > 1 or always_expand
        self.stochastic_depth = StochasticDepth(
            drop_path_rate, dtype=self.dtype_policy, name="stochastic_depth"
        )
        self.frozen_sublayers = ()

    def build(self, input_shape: tuple) -> None:
        """Makes the sublayers for `(batch, height, width, channels)`."""
        check_channels_last(self, input_shape)
        input_filters = input_shape[-1]
        self.has_shortcut = self.strides == 1 and input_filters == self.filters
        self._build_branch(input_filters, int(input_filters * self.expand_ratio))
        for layer in self.sublayers():
            layer.trainable = self.trainable and layer.name not in self.frozen_sublayers

    def _build_branch(self, input_filters: int, hidden_filters: int) -> None:
        """Makes and builds the sublayers."""
        raise NotImplementedError

    def _branch(self, x: Any, training: bool | None) -> Any:
        """The block without its shortcut."""
        raise NotImplementedError

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """`(batch, height / strides, width / strides, filters)`, rounded up."""
        x = self._branch(inputs, training)
        if not self.has_shortcut:
            return x
        return self.stochastic_depth(x, training=training) + inputs

    def _expanded(self, x: Any, training: bool | None) -> Any:
        """`x` through the expansion, its batch norm and the activation."""
        return expanded(x, self.expand_conv, self.expand_bn, self.activation, training)

    def _normalized(
        self,
        x: Any,
        norm: keras.layers.Layer,
        layers: Sequence[keras.layers.Layer],
        training: bool | None,
    ) -> Any:
        """Norm, activation and layers; `remat` keeps only `x` for the gradient."""

        def run(x: Any) -> Any:
            rest = list(layers)
            if rest and type(rest[0]) is SqueezeExcite:  # Others have other means.
                x = gated(x, norm, rest.pop(0), self.activation, training)
            else:
                x = activated(x, norm, self.activation, training)
            for layer in rest:
                x = layer(x)
            return x

        if self.remat and training:
            return rematerialize(run, [norm, *layers], x)
        return run(x)

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        """`(batch, height / strides, width / strides, filters)`, rounded up."""
        batch, *sides, _ = input_shape
        sides = [side and -(-side // self.strides) for side in sides]
        return (batch, *sides, self.filters)

    def _conv(
        self, inputs: int, filters: int, kernel_size: int, strides: int, name: str
    ) -> Conv2D:
        layer = Conv2D(
            filters,
            kernel_size,
            strides,
            padding=self.padding,
            use_bias=not self.use_batch_norm,
            data_format="channels_last",
            kernel_initializer=CONV_INITIALIZER,
            dtype=self.dtype_policy,
            name=name,
        )
        layer.build((None, None, None, inputs))
        return layer

    def _batch_norm(self, filters: int, name: str) -> keras.layers.Layer:
        if not self.use_batch_norm:
            return keras.layers.Identity(dtype=self.dtype_policy, name=name)
        layer = BatchNorm(
            momentum=self.bn_momentum,
            epsilon=self.bn_epsilon,
            synchronized=self.bn_synchronized,
            dtype=self.dtype_policy,
            name=name,
        )
        layer.build((None, None, None, filters))
        return layer

    def _gates(self, input_filters: int, filters: int) -> SqueezeExcite:
        kind, name = _ATTENTIONS[self.attention]
        layer = kind(
            max(1, int(input_filters * self.se_ratio)),
            self.activation,
            dtype=self.dtype_policy,
            name=name,
        )
        layer.build((None, None, None, filters))
        return layer

    def conv_norm_pairs(self) -> list[tuple[keras.layers.Layer, keras.layers.Layer]]:
        """Each convolution that a batch norm follows, with that batch norm."""
        parts = {layer.name: layer for layer in self.sublayers()}
        return [(parts[a], parts[b]) for a, b in _PAIRS.items() if a in parts]

    def sublayers(self) -> list[keras.layers.Layer]:
        """The layers that the block holds."""
        return sublayers(self)

    def get_config(self) -> dict[str, Any]:
        """Arguments of the constructor, and which sublayers are frozen."""
        return {
            **super().get_config(),
            "filters": self.filters,
            "kernel_size": self.kernel_size,
            "strides": self.strides,
            "expand_ratio": self.expand_ratio,
            "se_ratio": self.se_ratio,
            "activation": keras.activations.serialize(self.activation),
            "drop_path_rate": self.stochastic_depth.rate,
            "bn_momentum": self.bn_momentum,
            "bn_epsilon": self.bn_epsilon,
            "bn_synchronized": self.bn_synchronized,
            "remat": self.remat,
            "use_batch_norm": self.use_batch_norm,
            "padding": self.padding,
            "attention": self.attention,
            "always_expand": self.always_expand,
            "frozen": [layer.name for layer in self.sublayers() if not layer.trainable],
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "BaseBlock":
        """A layer from `get_config`, frozen where the saved one was."""
        config = dict(config)
        frozen = config.pop("frozen", ())
        layer = super().from_config(config)
        layer.frozen_sublayers = tuple(frozen)
        return layer


def _check_choice(name: str, value: Any, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise InputError(f"{name} must be one of {choices}. Received: {value!r}.")
