"""TF Hub modules as Keras 3 layers (TF Hub's own layer is for Keras 2)."""

import os
import pathlib
import shutil
import tempfile
import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf

from keras_effnetv2.backends import require_backend
from keras_effnetv2.errors import InputError
from keras_effnetv2.export.tf_hub import handles
from keras_effnetv2.export.tf_hub.module_archives import unpack
from keras_effnetv2.private_apis import in_safe_mode


@keras.saving.register_keras_serializable("keras_effnetv2")
class HubLayer(keras.layers.Layer):
    """A reusable SavedModel as a Keras 3 layer on TensorFlow, frozen or trainable.

    Input and output are the module's: for those of `export.hub`, images `(batch,
    height, width, channels)` in [0, 1] to logits or features `(batch, channels)`.
    Modules compute in the dtypes that they were saved with.

    The layer's weights are the module's own `variables`; with `trainable`, its
    `trainable_variables` are trained, `regularization_losses` are added to the loss,
    and it is called with the model's `training`. Otherwise it is always called for
    inference and nothing in it changes. Changing `trainable` later needs a new
    `compile`.

    A `.keras` file contains the weights but not the module, which is loaded from
    `handle` again. A module can run any TensorFlow operation, so such files are loaded
    only with `safe_mode=False`.

    Reference: https://www.tensorflow.org/hub/reusable_saved_models.

    Args:
        handle: the module: a folder, also in a bucket (`gs://`), an archive
            (`.tar.gz`), or the URL of an archive: https, or http for this machine.
        trainable: whether to fine-tune it.
        arguments: more arguments of the module, by name.
        dtype: type that floating-point inputs are cast to. It does not follow the
            global policy, as modules do not.
        **kwargs: as for `keras.layers.Layer`.

    Raises:
        ValueError: there is no module, it cannot be called or trained, its URL or its
            archive is not safe, or Keras's backend is not TensorFlow.
    """

    def __init__(
        self,
        handle: str | os.PathLike,
        trainable: bool = False,
        arguments: Mapping[str, Any] | None = None,
        dtype: Any = "float32",
        **kwargs: Any,
    ) -> None:
        require_backend("Modules of TF Hub run on", "tensorflow")
        super().__init__(trainable=trainable, dtype=dtype, **kwargs)
        self.handle = os.fspath(handle)
        self.arguments = dict(arguments or {})
        self._module = self._load()
        self._has_training = "training" in handles.parameters(self._module)
        trained = list(getattr(self._module, "trainable_variables", ()))
        if trainable and not trained:
            raise InputError(
                f"The module {self.handle} has no trainable variables. Pass "
                "trainable=False, or export it from a model that is not frozen."
            )
        self._track(trained)
        self.built = True

    def _load(self) -> Any:
        path = handles.resolve(self.handle)
        if os.path.isfile(path):
            archive, path = path, tempfile.mkdtemp()
            # Not before: a module may read its assets at any time.
            weakref.finalize(self, shutil.rmtree, path, ignore_errors=True)
            unpack(pathlib.Path(archive), pathlib.Path(path))
        return handles.load(path, self.handle)

    def _track(self, trained: list[tf.Variable]) -> None:
        """Makes the module's variables weights of this layer."""
        others = {id(x): x for x in getattr(self._module, "variables", ())}
        for variable in trained:
            others.pop(id(variable), None)
        with keras.name_scope(self.name):
            self._module_weights = [_as_weight(x, True) for x in trained]
            self._module_weights += [_as_weight(x, False) for x in others.values()]
        for weight in self._module_weights:
            weight.trainable = weight.trainable and self.trainable
        losses = getattr(self._module, "regularization_losses", ())
        if trained and losses:
            self._module_weights[0].regularizer = _ModuleLosses(losses)

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """The module's output, for training if the layer is `trainable`."""
        arguments = dict(self.arguments)
        if self._has_training:
            arguments["training"] = bool(training and self.trainable)
        return self._module(inputs, **arguments)

    def compute_output_spec(self, *args: Any, **kwargs: Any) -> Any:
        """Shapes and dtypes of the outputs, from the module."""
        # The base class takes the layer's dtype for that of its outputs.
        return keras.Operation.compute_output_spec(self, *args, **kwargs)

    def compute_output_shape(self, input_shape: tuple) -> Any:
        """Shape, or a structure of shapes, for one input of the layer's dtype."""
        inputs = keras.KerasTensor(input_shape, self.compute_dtype)
        return keras.tree.map_structure(
            lambda output: output.shape, self.compute_output_spec(inputs)
        )

    def get_config(self) -> dict[str, Any]:
        """Arguments of the constructor."""
        return {
            **super().get_config(),
            "handle": self.handle,
            "arguments": dict(self.arguments),
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "HubLayer":
        """A layer from `get_config`, unless Keras is in safe mode.

        Raises:
            ValueError: Keras is in safe mode.
        """
        if in_safe_mode():
            raise InputError(
                f"This model loads a TF Hub module, {config['handle']!r}, which can "
                "run any TensorFlow operation. If you trust it, pass safe_mode=False "
                "to keras.saving.load_model."
            )
        return cls(**config)


class _ModuleLosses(keras.regularizers.Regularizer):
    """Losses of a whole module, as the regularizer of one of its weights.

    Keras adds regularizers of trainable weights to the loss of the model, only once,
    however often a layer is called.
    """

    def __init__(self, losses: Sequence[Callable[[], tf.Tensor]]) -> None:
        self._losses = losses

    def __call__(self, _: Any) -> tf.Tensor:
        return tf.add_n([loss() for loss in self._losses])


def _as_weight(variable: tf.Variable, trainable: bool) -> keras.Variable:
    """A Keras variable that shares the variable of a module, not a copy."""
    weight = keras.Variable(
        variable,
        dtype=variable.dtype.name,
        trainable=trainable,
        autocast=False,
        name=variable.name.partition(":")[0].replace("/", "_"),
    )
    if weight.value is not variable:
        raise RuntimeError("Keras has copied a variable, which would not be trained.")
    return weight
