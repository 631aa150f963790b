"""What is used of other packages' private parts is as it was; names what is not."""

import ast
import gc
import pathlib
import weakref

import keras
import numpy as np
import pytest

import keras_effnetv2
from keras_effnetv2 import private_apis
from keras_effnetv2.layers import MBConv
from tests import forked

PACKAGE = pathlib.Path(keras_effnetv2.__file__).parent
# Of named tuples, which are public all the same.
PUBLIC = {"_asdict", "_replace", "_fields"}
# Methods that a class of ours could override.
PRIVATE_OF_KERAS = {
    name
    for kind in (
        keras.Model,
        keras.layers.BatchNormalization,
        keras.layers.DepthwiseConv2D,
        keras.optimizers.AdamW,
        keras.optimizers.LossScaleOptimizer,
        keras.callbacks.Callback,
    )
    for name in dir(kind)
    if name.startswith("_") and not name.startswith("__")
}


def small():
    images = keras.Input((4, 4, 3))
    x = MBConv(8, name="block")(images)
    return keras.Model(images, keras.layers.Dense(2, name="dense")(x))


def test_producer():
    model = small()
    layer, (source,) = private_apis.producer(model.output)
    assert layer.name == "dense"
    block, (images,) = private_apis.producer(source)
    assert block.name == "block"
    assert private_apis.producer(images)[1] == []


def test_layers():
    model = small()
    (block,) = (x for x in private_apis.sublayers(model) if x.name == "block")
    inner = private_apis.sublayers(block)
    assert {x.name for x in inner} > {"bn", "expand_conv"}
    found = {id(x) for x in private_apis.all_layers(model)}
    assert found > {id(x) for x in (model, block, *inner)}


@pytest.mark.parametrize(
    "optimizer",
    [keras.optimizers.Adam(), keras.optimizers.RMSprop(momentum=0.9)],
    ids=lambda optimizer: optimizer.name,
)
def test_slots(optimizer):
    variables = [keras.Variable(np.ones(n, "float32")) for n in (2, 3)]
    optimizer.build(variables)
    assert private_apis.index_of(optimizer, variables[1]) == 1
    for slot in private_apis.slots(optimizer, "momentums", "velocities"):
        assert [x.shape for x in slot] == [(2,), (3,)]


def test_gradients_are_summed():
    class Summed(private_apis.GradientsAreSummed, keras.optimizers.SGD):
        pass

    replaced = private_apis.GradientsAreSummed._all_reduce_sum_gradients
    assert replaced.__name__ in PRIVATE_OF_KERAS
    assert getattr(Summed, replaced.__name__) is replaced


def test_prebuilt_models_are_not_built():
    replaced = private_apis.Prebuilt._maybe_symbolic_build
    assert replaced.__name__ in PRIVATE_OF_KERAS
    assert getattr(keras.Model, replaced.__name__) is not replaced


def test_first_epoch_of_backup(tmp_path):
    class Stop(Exception):
        pass

    class StopInSecond(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 1:
                raise Stop

    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    data = np.zeros((4, 2)), np.zeros((4, 1))
    seen = []
    note = keras.callbacks.LambdaCallback(
        on_train_begin=lambda logs: seen.append(
            private_apis.first_epoch_of_backup(model)
        )
    )
    for callbacks in ([StopInSecond()], [note]):
        backup = keras.callbacks.BackupAndRestore(tmp_path)
        try:
            model.fit(*data, epochs=3, verbose=0, callbacks=[backup, *callbacks])
        except Stop:
            continue
    assert seen == [1]
    private_apis.forget_first_epoch_of_backup(model)
    assert private_apis.first_epoch_of_backup(model) is None


def test_traced_model():
    class Noting(keras.layers.Layer):
        def call(self, inputs):
            traced.append(private_apis.traced_model())
            return inputs

    traced = []
    model = keras.Sequential([keras.Input((2,)), Noting()])
    model.predict(np.zeros((2, 2)), verbose=0)
    assert traced[0] is None
    assert traced[-1] is model


def test_inside_a_call():
    class Noting(keras.layers.Layer):
        def call(self, inputs):
            noted.append(private_apis.is_inside_a_call())
            return inputs

    noted = []
    model = keras.Sequential([keras.Input((2,)), Noting()])
    model(np.zeros((1, 2)))
    with keras.StatelessScope():
        noted.append(private_apis.is_inside_a_call())
    assert noted == [True] * 3  # The first as Keras builds the model.
    assert not private_apis.is_inside_a_call()


def test_graphs_that_were_traced_for_a_while_are_freed():
    def traced():
        """A graph that has a custom gradient of each block."""
        import tensorflow as tf

        model = small()

        @tf.function
        def gradients(images):
            with tf.GradientTape() as tape:
                outputs = model(images, training=True)
            return tape.gradient(outputs, model.trainable_variables)

        function = gradients.get_concrete_function(tf.zeros((1, 4, 4, 3)))
        return weakref.ref(function.graph)

    kept = traced()
    with private_apis.traced_for_a_while():
        freed = traced()
    gc.collect()
    assert kept() is not None, "TensorFlow forgets by itself: this can go"
    assert freed() is None


def test_lite_schema():
    assert private_apis.lite_schema().MetadataT().name is None


def test_in_safe_mode():
    assert not private_apis.in_safe_mode()
    with keras.src.saving.serialization_lib.SafeModeScope(True):
        assert private_apis.in_safe_mode()


@pytest.mark.long
def test_is_op_determinism_enabled(tmp_path):
    # In a process of its own: it cannot be taken back.
    script = tmp_path / "enabling.py"
    script.write_text(
        "import tensorflow as tf\n"
        "from keras_effnetv2.private_apis import is_op_determinism_enabled as ask\n"
        "print(ask(), end=' ')\n"
        "tf.config.experimental.enable_op_determinism()\n"
        "print(ask())"
    )
    assert "False True" in forked.output([script], tmp_path)


def test_with_integer_ends():
    import tensorflow as tf

    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([np.ones((1, 4), "float32")],)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    contents = private_apis.with_integer_ends(converter.convert(), tf.int8, tf.uint8)
    interpreter = tf.lite.Interpreter(model_content=contents)
    assert interpreter.get_input_details()[0]["dtype"] == np.int8
    assert interpreter.get_output_details()[0]["dtype"] == np.uint8


@pytest.mark.parametrize("is_file", [False, True])
def test_trials_in_their_storage(tmp_path, is_file):
    optuna = pytest.importorskip("optuna")
    database = f"sqlite:///{tmp_path}/a.db" if is_file else None
    study = optuna.create_study(storage=database)
    trial, storage = study.ask(), private_apis.TrialStorage(study)
    assert storage.attribute(trial, "claim") is None
    storage.set_attribute(trial, "claim", {"worker": 1})
    storage.set_user_attribute(trial, "reason", "none")
    storage.set_state(trial, optuna.trial.TrialState.WAITING)
    (stored,) = study.trials
    assert stored.state.name == "WAITING" and stored.user_attrs["reason"] == "none"
    assert storage.attribute(stored, "claim") == {"worker": 1}
    again = study.ask()
    assert again.number == trial.number
    storage.set_state(again, optuna.trial.TrialState.FAIL)
    storage.close()
    assert study.trials[0].state.name == "FAIL"


def private_uses(path):
    """Lines that use what another module or package calls private."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Attribute) and node.attr.startswith("_"):
            is_own = isinstance(node.value, ast.Name) and node.value.id in {
                "self",
                "cls",
            }
            if not (is_own or node.attr.startswith("__") or node.attr in PUBLIC):
                yield node.lineno
        elif (
            isinstance(node, ast.FunctionDef)
            and node.name in PRIVATE_OF_KERAS
            or isinstance(node, ast.ImportFrom)
            and {"src", "python"} & set(str(node.module).split("."))
        ):
            yield node.lineno


@pytest.mark.parametrize(
    "path",
    [x for x in PACKAGE.rglob("*.py") if x.name != "private_apis.py"],
    ids=lambda path: str(path.relative_to(PACKAGE)),
)
def test_no_other_file_uses_private_parts(path):
    assert not list(private_uses(path))
