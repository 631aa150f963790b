"""All private APIs of other packages that are used here, as no public ones will do.

One function per need. Tested with Keras 3.10 to 3.15, TensorFlow 2.18 to 2.21 and
Optuna 4.3 to 5.0; tests/package/test_private_apis.py names the function that a new
version breaks.
"""

import contextlib
import inspect
import sys
import types
from collections.abc import Iterator, Sequence
from typing import Any

import keras

# The function that Keras's loops trace on TensorFlow, and its module.
_TRACED_STEP = ("one_step_on_data", "keras.src.backend.tensorflow.trainer")


def producer(tensor: Any) -> tuple[Any, list[Any]]:
    """The layer that makes a symbolic tensor, and the tensors that it takes.

    Without it, neither the heads of classifiers nor their heat maps can be found.
    """
    layer, node_index, _ = tensor._keras_history
    return layer, layer._inbound_nodes[node_index].input_tensors


def all_layers(model: Any) -> list[keras.layers.Layer]:
    """`model` and the layers in it, at any depth."""
    return model._flatten_layers()


def sublayers(layer: Any) -> list[keras.layers.Layer]:
    """The layers that a layer holds itself.

    `vars(layer)` shows none on PyTorch. Without it, neither freezing nor folding
    reaches the layers of blocks.
    """
    return list(layer._flatten_layers(include_self=False, recursive=False))


def index_of(optimizer: keras.optimizers.Optimizer, variable: Any) -> int:
    """The index of a variable among those of an optimizer, and of its slots.

    Without it, no optimizer of ours can update.
    """
    return optimizer._get_variable_index(variable)


def slots(optimizer: keras.optimizers.Optimizer, *names: str) -> list[Sequence[Any]]:
    """Slots of all variables, by name, such as `"momentums"` or `"velocities"`."""
    return [getattr(optimizer, f"_{name}") for name in names]


class GradientsAreSummed(keras.optimizers.Optimizer):
    """Mixin for an optimizer whose gradients are already summed over the replicas.

    Without it, Keras sums them a second time.
    """

    def _all_reduce_sum_gradients(self, grads_and_vars: Any) -> Any:
        return grads_and_vars


class Prebuilt(keras.Model):
    """A model that is built before `fit`, which need not trace it to build it.

    Without it, Keras concatenates the batches of all workers, which fails with several.
    """

    def _maybe_symbolic_build(self, iterator: Any = None, data_batch: Any = None):
        pass


def first_epoch_of_backup(model: keras.Model) -> int | None:
    """The epoch at which `BackupAndRestore` makes the next `fit` start, if any."""
    return model._initial_epoch


def forget_first_epoch_of_backup(model: keras.Model) -> None:
    """Lets `fit` begin where it is told to.

    Without it, stages after a backup start at an epoch that is already over.
    """
    model._initial_epoch = None


def traced_model() -> keras.Model | None:
    """The model whose step in Keras's loops is being traced, on one device.

    Without it, values in a wrong range go unnoticed where a network is part of another
    model.
    """
    frame = inspect.currentframe()
    while frame is not None:
        name, module = frame.f_code.co_name, frame.f_globals.get("__name__")
        if (name, module) == _TRACED_STEP:
            return frame.f_locals.get("self")
        frame = frame.f_back
    return None


def is_inside_a_call() -> bool:
    """Whether the current call comes from a layer or a stateless function.

    Without it, networks that are part of other models would be traced separately.
    """
    from keras.src.backend.common import global_state

    scopes = ("current_call_ctx", "stateless_scope", "symbolic_scope")
    return any(global_state.get_global_attribute(x) is not None for x in scopes)


def in_safe_mode() -> bool:
    """Whether Keras is loading a file in safe mode, which must run no foreign code.

    Without it, `HubLayer` would run the module that a stranger's file names.
    """
    from keras.src.saving import serialization_lib

    return bool(serialization_lib.in_safe_mode())


def with_integer_ends(contents: bytes, input_type: Any, output_type: Any) -> bytes:
    """A LiteRT model in int8 whose input and output are no longer in float.

    Without it, models in which some layers stay in float keep float inputs and outputs.

    Raises:
        ValueError: the model's input or output is not quantized.
    """
    from tensorflow.lite.python import util

    return bytes(util.modify_model_io_type(contents, input_type, output_type))


def is_op_determinism_enabled() -> bool:
    """Whether `tf.config.experimental.enable_op_determinism` has been called.

    Without it, TensorFlow makes parallel parts of datasets sequential, with a message
    for each.
    """
    from tensorflow.python.framework import config

    return bool(config.is_op_determinism_enabled())


@contextlib.contextmanager
def traced_for_a_while() -> Iterator[None]:
    """Frees the graphs that are traced in the block, once nothing refers to them.

    TensorFlow registers the gradient of every custom gradient in a graph and never
    forgets it, nor the graph. Without it, a search needs more memory with each trial.
    Models that are built in the block can still be traced again, but graphs traced in
    it give no gradients.
    """
    before = set(_registered_gradients())
    try:
        yield
    finally:
        registry = _registered_gradients()
        for name in registry.keys() - before:
            if name.startswith("CustomGradient-"):
                del registry[name]


def _registered_gradients() -> dict[str, Any]:
    ops = sys.modules.get("tensorflow.python.framework.ops")
    return ops.gradient_registry._registry if ops else {}


def mirrored_strategy(devices: Sequence[str]) -> Any:
    """A `tf.distribute.MirroredStrategy` that shares no collective operations.

    TensorFlow counts them from the same number in every strategy. Without it, training
    fails in a process that has used a strategy of its own on the same devices.
    """
    import tensorflow as tf

    class Mirrored(tf.distribute.MirroredStrategy):
        """One with its own numbers."""

        _collective_key_base = 1_000_000

    return Mirrored(devices)


def lite_schema() -> types.ModuleType:
    """The classes of LiteRT files.

    Without it, models carry no metadata of their inputs, outputs and classes.
    """
    from tensorflow.lite.python import schema_py_generated

    return schema_py_generated


class TrialStorage:
    """The trials of a study in Optuna's storage, which is not for users of the library.

    Without it, workers could not claim trials of a shared study, nor give them back.

    Args:
        study: an `optuna.Study`.
    """

    def __init__(self, study: Any) -> None:
        self._storage = study._storage

    def attribute(self, trial: Any, name: str) -> Any:
        """An attribute that Optuna does not show to users, as stored now; or None."""
        return self._storage.get_trial(trial._trial_id).system_attrs.get(name)

    def set_attribute(self, trial: Any, name: str, value: Any) -> None:
        """Stores such an attribute, which is JSON, of a trial that is not finished."""
        self._storage.set_trial_system_attr(trial._trial_id, name, value)

    def set_user_attribute(self, trial: Any, name: str, value: Any) -> None:
        """Stores an attribute for users of a trial that another process began."""
        self._storage.set_trial_user_attr(trial._trial_id, name, value)

    def set_state(self, trial: Any, state: Any) -> None:
        """Sets the state of a trial that is not finished, back to waiting for one."""
        self._storage.set_trial_state_values(trial._trial_id, state=state)

    def close(self) -> None:
        """Ends the calling thread's connection to a database."""
        self._storage.remove_session()
