"""Networks: a `Variant` becomes a functional Keras model with a layer a block.

Reference: Tan and Le 2021, https://arxiv.org/abs/2104.00298.
"""

import dataclasses
import itertools
import os
from collections.abc import Iterator
from typing import Any, NamedTuple

import keras

from keras_effnetv2.errors import InputError
from keras_effnetv2.layers import BatchNorm, FusedMBConv, MBConv, PixelNormalization
from keras_effnetv2.layers.activations import Activation, FastActivation
from keras_effnetv2.layers.convolutions import Conv2D
from keras_effnetv2.layers.first_look import watch
from keras_effnetv2.layers.squeeze_excite import CONV_INITIALIZER
from keras_effnetv2.networks.architecture import MBCONV, Block, Variant, layout
from keras_effnetv2.networks.tracing import (
    variables_outside_of_graphs,
    without_autograph,
)
from keras_effnetv2.preprocessing import Preprocessing, write_record

# Uniform within 1 / sqrt(classes) of 0, as the released code has it.
_DENSE_INITIALIZER = {
    "class_name": "VarianceScaling",
    "config": {"scale": 1 / 3, "mode": "fan_out", "distribution": "uniform"},
}


@keras.saving.register_keras_serializable("keras_effnetv2")
class EfficientNet(keras.Model):
    """A functional model that knows how its images are made, and checks the first ones.

    Built by `create_model`; a functional `keras.Model` in every other respect. The
    first batch that `fit`, `evaluate`, `predict` or an eager call gives it is looked
    at, and a range of values that contradicts the preprocessing warns once. So it is
    where the network is part of another model, on TensorFlow; not in functions that XLA
    compiles, on several devices, or in a `tf.function` of your own.
    """

    @property
    def preprocessing(self) -> Preprocessing:
        """How pixels become inputs and outputs become labels."""
        return find_normalization(self).preprocessing

    @classmethod
    def from_config(cls, config: dict, custom_objects: dict | None = None) -> Any:
        """As `keras.Model.from_config`."""
        # Keras 3.10 makes one tensor a list (github.com/keras-team/keras/issues/21328).
        config = dict(config)
        for end in ("input_layers", "output_layers"):
            if isinstance(config.get(end), list) and len(config[end]) == 1:
                (config[end],) = config[end]
        return super().from_config(config, custom_objects)

    @without_autograph
    def __call__(self, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        """Runs the network."""
        return super().__call__(inputs, *args, **kwargs)

    def fit(self, x: Any = None, *args: Any, **kwargs: Any) -> Any:
        """As `keras.Model.fit`."""
        return super().fit(self._watched(x), *args, **kwargs)

    def evaluate(self, x: Any = None, *args: Any, **kwargs: Any) -> Any:
        """As `keras.Model.evaluate`."""
        return super().evaluate(self._watched(x), *args, **kwargs)

    def predict(self, x: Any, *args: Any, **kwargs: Any) -> Any:
        """As `keras.Model.predict`."""
        return super().predict(self._watched(x), *args, **kwargs)

    def make_train_function(self, force: bool = False) -> Any:
        """As `keras.Model.make_train_function`, which `fit` and `train_on_batch` call.

        On TensorFlow Keras makes the optimizer's variables while it traces the first
        step, as conditions in its graph, and then has to trace it once more.
        """
        if self.optimizer is not None and not self.optimizer.built:
            self.optimizer.build(self.trainable_variables)
        return super().make_train_function(force)

    def compute_metrics(
        self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None
    ) -> dict[str, Any]:
        """As `keras.Model.compute_metrics`.

        For metrics what `make_train_function` does for the optimizer; which ones there
        are, Keras only knows from a batch.
        """
        with variables_outside_of_graphs():
            for metric in self.metrics:
                if not getattr(metric, "built", True):
                    metric.build(y, y_pred)
        return super().compute_metrics(x, y, y_pred, sample_weight)

    def save_weights(self, filepath: Any, *args: Any, **kwargs: Any) -> None:
        """As `keras.Model.save_weights`; `.weights.h5` files carry the record too."""
        super().save_weights(filepath, *args, **kwargs)
        if str(filepath).endswith(".weights.h5") and os.path.isfile(filepath):
            write_record(filepath, self.preprocessing)

    def _watched(self, data: Any) -> Any:
        normalization = find_normalization(self)
        # On a user's input_tensor the contract holds after the user's own layers.
        if data is None or normalization.input is not self.input:
            return data
        strategy = getattr(self, "distribute_strategy", None)  # TensorFlow's only.
        is_distributed = strategy is not None and strategy.num_replicas_in_sync > 1
        return watch(data, normalization.first_look, is_distributed)


# What .h5 files of whole models call it: Keras leaves the package out there.
keras.saving.get_custom_objects().setdefault("EfficientNet", EfficientNet)


def walk_layers(model: keras.Model) -> Iterator[keras.layers.Layer]:
    """The layers of `model` and of the models inside it."""
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from walk_layers(layer)
        else:
            yield layer


def find_normalization(model: keras.Model) -> PixelNormalization:
    """The layer that carries the preprocessing, also in a model within the model.

    Raises:
        ValueError: there is none.
    """
    for layer in walk_layers(model):
        if isinstance(layer, PixelNormalization):
            return layer
    raise InputError(
        f"The model {model.name!r} does not say how its images are made. "
        "Expected a model of keras_effnetv2, or one built on it."
    )


class BlockOptions(NamedTuple):
    """Arguments that every block of a network shares."""

    activation: Activation
    bn_momentum: float
    bn_epsilon: float
    bn_synchronized: bool | int
    remat: bool


def build(
    variant: Variant,
    images: Any,
    preprocessing: Preprocessing,
    *,
    include_top: bool,
    include_preprocessing: bool,
    classes: int,
    classifier_activation: Activation,
    pooling: str | None,
    name: str | None,
    options: BlockOptions,
) -> EfficientNet:
    """The network of `variant` on the symbolic `images`, with random weights.

    Args:
        variant: rows and coefficients.
        images: symbolic tensor `(batch, height, width, channels)`; the model's inputs
            are those it comes from.
        preprocessing: the record that the model carries.
        include_top: end in pooling, dropout and classifier.
        include_preprocessing: the model takes pixels 0..255.
        classes: width of the classifier.
        classifier_activation: of the classifier; `"auto"` is the record's.
        pooling: without classifier: None, `"avg"` or `"max"`.
        name: of the model.
        options: shared by the blocks.
    """
    if include_top and classes == 1:
        _refuse_constant(classifier_activation)
        preprocessing = dataclasses.replace(preprocessing, activation="sigmoid")
    x = PixelNormalization(
        preprocessing,
        enabled=include_preprocessing,
        dtype=_full_precision(),
        name="preprocessing",
    )(images)
    stem_filters = variant.round_filters(variant.stem_filters)
    x = _conv_bn_activation(x, stem_filters, 3, 2, "stem", options)
    for block in layout(variant):
        x = _block(block, options)(x)
    top_filters = variant.round_filters(variant.top_filters)
    x = _conv_bn_activation(x, top_filters, 1, 1, "top", options)
    if include_top:
        if classifier_activation == "auto":
            classifier_activation = preprocessing.activation
        if preprocessing.num_labels not in (None, classes):
            raise InputError(
                f"The preprocessing names {preprocessing.num_labels} labels. "
                f"Received: classes={classes}."
            )
        x = _classifier(x, variant.dropout_rate, classes, classifier_activation)
    elif pooling:
        x = _pool(x, pooling)
    sources = keras.utils.get_source_inputs(images)
    inputs = sources[0] if len(sources) == 1 else sources
    return EfficientNet(inputs, x, name=name or variant.name)


def _refuse_constant(activation: Activation) -> None:
    if activation == "auto":
        return
    function = keras.activations.get(activation)
    name = getattr(function, "__name__", type(function).__name__.lower())
    if name.endswith(("softmax", "sparsemax")):
        raise InputError(
            f"{name} of a single class is the same for every image. Received: "
            f"classes=1, classifier_activation={activation!r}. Pass 'sigmoid' or None "
            "(logits), or classes=2."
        )


def _classifier(
    x: Any, dropout_rate: float, classes: int, activation: Activation
) -> Any:
    dtype = _full_precision()
    x = keras.layers.Dropout(dropout_rate, dtype=dtype, name="top_dropout")(
        _pool(x, "avg")
    )
    return keras.layers.Dense(
        int(classes),  # Keras refuses NumPy's integers.
        activation=activation,
        kernel_initializer=_DENSE_INITIALIZER,
        dtype=dtype,
        name="predictions",
    )(x)


def _pool(x: Any, kind: str) -> Any:
    layers = keras.layers
    pools = {"avg": layers.GlobalAveragePooling2D, "max": layers.GlobalMaxPooling2D}
    return pools[kind](
        data_format="channels_last", dtype=_full_precision(), name=f"{kind}_pool"
    )(x)


def _full_precision() -> str | None:
    """Float32 under mixed precision, whose scores would otherwise lose digits."""
    policy = keras.config.dtype_policy()
    return "float32" if policy.compute_dtype != policy.variable_dtype else None


def _conv_bn_activation(
    x: Any,
    filters: int,
    kernel_size: int,
    strides: int,
    name: str,
    options: BlockOptions,
) -> Any:
    x = Conv2D(
        filters,
        kernel_size,
        strides,
        padding="same",
        use_bias=False,
        data_format="channels_last",
        kernel_initializer=CONV_INITIALIZER,
        name=f"{name}_conv",
    )(x)
    x = BatchNorm(
        momentum=options.bn_momentum,
        epsilon=options.bn_epsilon,
        synchronized=options.bn_synchronized,
        name=f"{name}_bn",
    )(x)
    return FastActivation(options.activation, name=f"{name}_activation")(x)


def _block(block: Block, options: BlockOptions) -> keras.layers.Layer:
    layer = MBConv if block.operator == MBCONV else FusedMBConv
    return layer(
        filters=block.filters,
        kernel_size=block.kernel_size,
        strides=block.strides,
        expand_ratio=block.expand_ratio,
        se_ratio=block.se_ratio,
        drop_path_rate=block.drop_path_rate,
        name=block.name,
        **options._asdict(),
    )


def named_variables(model: keras.Model) -> dict[str, Any]:
    """Weights of `model` by the names that weight files are mapped to.

    A name is the path from the model's layer on: `block1a/expand_conv/kernel`. Layers
    of a user's input_tensor have none: they come before the network's first layer.
    """
    variables = {}
    layers = itertools.dropwhile(
        lambda layer: not isinstance(layer, PixelNormalization), model.layers
    )
    for layer in layers:
        for variable in layer.weights:
            _, _, rest = variable.path.rpartition(f"{layer.name}/")
            variables[f"{layer.name}/{rest}"] = variable
    return variables
