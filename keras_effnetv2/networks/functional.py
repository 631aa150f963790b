"""Functional models that carry their preprocessing, and access to their layers."""

import itertools
import os
from collections.abc import Iterator
from typing import Any

import keras

from keras_effnetv2.errors import InputError
from keras_effnetv2.layers import PixelNormalization
from keras_effnetv2.layers.inputs.first_look import watch
from keras_effnetv2.networks.fast_calls import (
    EagerCalls,
    is_eager_inference,
    is_one_batch,
    predict_one_batch,
)
from keras_effnetv2.networks.tracing import (
    variables_outside_of_graphs,
    without_autograph,
)
from keras_effnetv2.preprocessing import Preprocessing, write_record


@keras.saving.register_keras_serializable("keras_effnetv2")
class EfficientNet(keras.Model):
    """A functional model that carries its preprocessing, and checks the first images.

    Built by `create_model`; a functional `keras.Model` in every other respect. The
    first batch from `fit`, `evaluate`, `predict` or an eager call is checked, and a
    range of values that contradicts the preprocessing gives one warning. On TensorFlow
    this also works if the network is part of another model, but not in functions that
    XLA compiles, on several devices, or in a `tf.function` of your own.

    On TensorFlow, eager calls run as a graph from the third call on, which is ten times
    as fast and may round differently. The graph reads the variables, so new weights
    take effect. `predict` runs a single batch without making a dataset of it.
    """

    _eager_calls: EagerCalls | None = None

    def __repr__(self) -> str:
        try:
            record = find_normalization(self)
        except ValueError:
            return super().__repr__()
        return f"<EfficientNet {self.name}: {_describe(self, record)}>"

    @property
    def preprocessing(self) -> Preprocessing:
        """How pixels become inputs and outputs become labels."""
        return find_normalization(self).preprocessing

    @classmethod
    def from_config(cls, config: dict, custom_objects: dict | None = None) -> Any:
        """As `keras.Model.from_config`."""
        # Keras 3.10 turns one tensor into a list
        # (github.com/keras-team/keras/issues/21328).
        config = dict(config)
        for end in ("input_layers", "output_layers"):
            if isinstance(config.get(end), list) and len(config[end]) == 1:
                (config[end],) = config[end]
        return super().from_config(config, custom_objects)

    @without_autograph
    def __call__(self, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        """Runs the network."""
        call = super().__call__
        if not is_eager_inference(inputs, args, kwargs):
            return call(inputs, *args, **kwargs)
        watched(self, inputs)
        if self._eager_calls is None:
            self._eager_calls = EagerCalls(self)
        return self._eager_calls.run(call, inputs)

    def fit(self, x: Any = None, *args: Any, **kwargs: Any) -> Any:
        """As `keras.Model.fit`."""
        return super().fit(watched(self, x), *args, **kwargs)

    def evaluate(self, x: Any = None, *args: Any, **kwargs: Any) -> Any:
        """As `keras.Model.evaluate`."""
        return super().evaluate(watched(self, x), *args, **kwargs)

    def predict(
        self,
        x: Any,
        batch_size: int | None = None,
        verbose: str | int = "auto",
        steps: int | None = None,
        callbacks: Any = None,
    ) -> Any:
        """As `keras.Model.predict`."""
        x = watched(self, x)
        if is_one_batch(self, x, batch_size, steps):
            return predict_one_batch(self, x, verbose, callbacks)
        return super().predict(x, batch_size, verbose, steps, callbacks)

    def make_train_function(self, force: bool = False) -> Any:
        """As `keras.Model.make_train_function`, which `fit` and `train_on_batch` call.

        On TensorFlow, Keras creates the optimizer's variables while it traces the first
        step, as conditions in its graph, and then has to trace it again.
        """
        if self.optimizer is not None and not self.optimizer.built:
            self.optimizer.build(self.trainable_variables)
        return super().make_train_function(force)

    def compute_metrics(
        self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None
    ) -> dict[str, Any]:
        """As `keras.Model.compute_metrics`.

        It does for metrics what `make_train_function` does for the optimizer; only a
        batch tells Keras which metrics there are.
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


# Its name in .h5 files of whole models, where Keras leaves the package out.
keras.saving.get_custom_objects()["EfficientNet"] = EfficientNet


def walk_layers(model: keras.Model) -> Iterator[keras.layers.Layer]:
    """The layers of `model` and of nested models."""
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from walk_layers(layer)
        else:
            yield layer


def find_normalization(model: keras.Model) -> PixelNormalization:
    """The layer that carries the preprocessing, also in nested models.

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


def _describe(model: keras.Model, normalization: PixelNormalization) -> str:
    """Inputs, outputs and preprocessing of a network, in one line."""
    record = normalization.preprocessing
    size = "x".join(str(x or record.image_size) for x in normalization.input.shape[1:3])
    mean, std = (_vector(values) for values in (record.mean, record.std))
    where = "inside" if normalization.enabled else "by preprocess_input"
    labels = f"{record.num_labels or 'no'} labels"
    if isinstance(record.labels, str):
        labels = record.labels
    return (
        f"images {size} of pixels 0..255, (x - {mean}) / {std} {where}, "
        f"{record.interpolation}, crop {record.crop}, {labels}, "
        f"outputs {model.output_shape}"
    )


def _vector(values: tuple[float, ...]) -> str:
    """A value, or one per channel in brackets."""
    text = ", ".join(f"{value:g}" for value in values)
    return text if len(values) == 1 else f"({text})"


def watched(model: keras.Model, data: Any) -> Any:
    """`data` for a model, checked once; see `first_look.watch`."""
    normalization = find_normalization(model)
    # On a user's input_tensor the contract holds after the user's own layers.
    if data is None or normalization.input is not model.input:
        return data
    strategy = getattr(model, "distribute_strategy", None)  # TensorFlow's only.
    is_distributed = strategy is not None and strategy.num_replicas_in_sync > 1
    return watch(data, normalization.first_look, is_distributed)


def named_variables(model: keras.Model) -> dict[str, Any]:
    """Weights of `model` by the names that weight files are mapped to.

    A name is the path within the model: `block1a/expand_conv/kernel`. Layers of a
    user's input_tensor have none: they come before the network's first layer.
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
