"""The first batch is looked at, and a contradiction warned about once."""

import dataclasses
import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_effnetv2 import create_model, preprocess_input
from keras_effnetv2.layers.inputs.first_look import FirstLook, range_problem, watch
from keras_effnetv2.networks.functional import find_normalization
from tests.tiny_networks import NANO, pixels

PIXELS, UNIT = pixels(), pixels() / 255
# What looks is before the blocks: one will do.
ONE_BLOCK = dataclasses.replace(NANO, blocks=NANO.blocks[:1])


def small():
    model = create_model(ONE_BLOCK, classes=3)
    model.compile("sgd", "sparse_categorical_crossentropy")
    return model


@pytest.fixture(name="model")
def fixture_model():
    return small()


def warnings_of(action):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        action()
    return [str(w.message) for w in caught if "This model" in str(w.message)]


@pytest.mark.parametrize(
    "action",
    [
        lambda model, x: model(x),
        lambda model, x: model.predict(x, verbose=0),
        lambda model, x: model.predict(tf.constant(x), verbose=0),
        lambda model, x: model.evaluate(x, np.zeros(2), verbose=0),
        lambda model, x: model.fit(x=x, y=np.zeros(2), verbose=0),
        lambda model, x: model.predict([x], verbose=0),
        lambda model, x: model.predict({"images": x}, verbose=0),
        lambda model, x: model.fit(
            tf.data.Dataset.from_tensor_slices((x, np.zeros(2))).batch(1), verbose=0
        ),
        lambda model, x: model.predict(
            tf.data.Dataset.from_tensor_slices(x).batch(1), verbose=0
        ),
        lambda model, x: model.predict(
            tf.data.Dataset.from_tensor_slices({"images": x}).batch(1), verbose=0
        ),
    ],
)
def test_scaled_images_warn_once_and_pixels_never(model, action):
    first = warnings_of(lambda: action(model, UNIT))
    assert len(first) == 1
    assert "values from 0 to 1" in first[0]
    assert not warnings_of(lambda: action(model, UNIT))
    fresh = small()
    assert not warnings_of(lambda: action(fresh, PIXELS))


def test_zeros_that_a_model_is_tried_with_are_no_images(model):
    assert not warnings_of(lambda: model(np.zeros_like(PIXELS)))
    assert not warnings_of(lambda: model.predict(np.zeros_like(PIXELS), verbose=0))
    assert len(warnings_of(lambda: model(UNIT))) == 1


class Subclassed(keras.Model):
    def __init__(self, network):
        super().__init__()
        self.network = network

    def call(self, x):
        return self.network(x)


def functional(network, before=None):
    inputs = keras.Input((40, 40, 3))
    x = inputs if before is None else before(inputs)
    return keras.Model(inputs, keras.layers.Dense(2)(network(x)))


def cut(network):
    return keras.Model(network.input, network.layers[-2].output)


AROUND = {
    "sequential": lambda network: keras.Sequential([network, keras.layers.Dense(2)]),
    "functional": functional,
    "subclassed": Subclassed,
    "cut": cut,
}
TRAINED = {
    "fit": lambda model, x, y: model.fit(x, y, verbose=0),
    "fit a dataset": lambda model, x, y: model.fit(
        tf.data.Dataset.from_tensor_slices((x, y)).batch(1), verbose=0
    ),
    "predict": lambda model, x, y: model.predict(x, verbose=0),
    "evaluate": lambda model, x, y: model.evaluate(x, y, verbose=0),
    "call": lambda model, x, y: model(x),
    "train_on_batch": lambda model, x, y: model.train_on_batch(x, y),
}


@pytest.mark.parametrize(
    ("around", "action"),
    [*(("sequential", x) for x in TRAINED), *((x, "fit") for x in AROUND)],
)
def test_a_network_in_another_model_is_looked_at_once(around, action):
    model = AROUND[around](small())
    model.compile("sgd", "mse")
    targets = np.zeros(model(np.zeros_like(PIXELS)).shape)
    act = TRAINED[action]
    assert len(warnings_of(lambda: act(model, UNIT, targets))) == 1
    assert not warnings_of(lambda: act(model, UNIT, targets))


def test_what_comes_after_a_users_own_rescaling_is_looked_at():
    rescaling = keras.layers.Rescaling(1 / 255)
    model = functional(small(), rescaling)
    assert len(warnings_of(lambda: model.predict(PIXELS, verbose=0))) == 1
    inputs = rescaling(keras.Input((40, 40, 3)))
    built_on = create_model(ONE_BLOCK, classes=3, input_tensor=inputs)
    assert len(warnings_of(lambda: built_on.predict(PIXELS, verbose=0))) == 1


def test_no_look_stays_in_what_is_exported(tmp_path):
    model = functional(small())
    model.predict(np.zeros_like(PIXELS), verbose=0)  # After which a look is due.
    model.export(tmp_path, verbose=False)
    served = tf.saved_model.load(tmp_path).signatures["serving_default"]
    graph = served.graph.as_graph_def()
    nodes = [graph.node, *(each.node_def for each in graph.library.function)]
    assert not [x.op for each in nodes for x in each if "PyFunc" in x.op]


def test_after_the_look_calls_and_datasets_are_left_as_they_are(model):
    model(PIXELS)
    data = tf.data.Dataset.from_tensors(UNIT)
    look = find_normalization(model).first_look
    assert look.is_over
    assert watch(data, look, is_distributed=False) is data


def test_a_loaded_model_is_called_as_before_and_warns(model, tmp_path):
    model.save(tmp_path / "m.keras")
    loaded = keras.models.load_model(tmp_path / "m.keras")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        scores = loaded(PIXELS)
    np.testing.assert_allclose(scores, model(PIXELS), atol=1e-6)
    again = keras.models.load_model(tmp_path / "m.keras")
    assert len(warnings_of(lambda: again(UNIT))) == 1


def test_a_model_written_by_keras_3_10_has_one_input_and_one_output(model):
    config = model.get_config()
    for end in ("input_layers", "output_layers"):
        config[end] = [config[end]] if len(config[end]) == 3 else config[end]
    loaded = type(model).from_config(config)
    assert loaded.input.shape == model.input.shape
    assert loaded.output.shape == model.output.shape


def test_the_warning_points_at_the_call(model):
    with pytest.warns(UserWarning, match="from 0 to 255") as caught:
        model.predict(UNIT, verbose=0)
    assert [w.filename for w in caught] == [__file__]


class Batches(keras.utils.PyDataset):
    """Reads files by number, so that a slice for a number is an error."""

    def __len__(self):
        return 2

    def __getitem__(self, index):
        if not isinstance(index, int):
            raise FileNotFoundError(f"{index}.png")
        return PIXELS, np.zeros(2)


@pytest.mark.filterwarnings("ignore:Your input ran out of data:UserWarning")
def test_what_is_no_array_is_left_alone(model):
    model.fit(Batches(), verbose=0)
    model.predict(((PIXELS,) for _ in range(2)), verbose=0)
    inputs = keras.Input((40, 40, 3))
    assert keras.Model(inputs, model(inputs)).output.shape == (None, 3)


@pytest.mark.parametrize("value", ["file.jpg", True])
@pytest.mark.parametrize("kind", [np.array, tf.data.Dataset.from_tensor_slices])
def test_what_is_no_number_is_left_for_another_batch(kind, value):
    data, look = kind([value, value]), FirstLook(expects_pixels=True)
    assert watch(data, look, is_distributed=False) is data
    assert not look.is_over


def test_a_watched_dataset_gives_the_same_elements(model):
    labels = np.arange(2)
    data = tf.data.Dataset.from_tensor_slices((UNIT, labels)).batch(1)
    with pytest.warns(UserWarning, match="from 0 to 255"):
        by_data = model.predict(data, verbose=0)
    np.testing.assert_allclose(by_data, model.predict(UNIT, verbose=0), atol=1e-6)


def test_pixels_for_a_model_of_normalised_images_warn():
    model = create_model(ONE_BLOCK, include_preprocessing=False, classes=2)
    with pytest.warns(UserWarning, match="include_preprocessing=False"):
        model.predict(PIXELS, verbose=0)
    data = tf.data.Dataset.from_tensors(PIXELS.astype("uint8"))
    fresh = create_model(ONE_BLOCK, include_preprocessing=False, classes=2)
    with pytest.warns(UserWarning, match="include_preprocessing=False"):
        fresh.predict(data, verbose=0)
    normalised = preprocess_input(PIXELS, mode=model.preprocessing)
    fresh = create_model(ONE_BLOCK, include_preprocessing=False, classes=2)
    assert not warnings_of(lambda: fresh.predict(normalised, verbose=0))


@pytest.mark.parametrize(
    ("minimum", "maximum", "expects_pixels", "problem"),
    [
        (0, 255, True, None),
        (-40, 290, True, None),  # Bicubic resizing overshoots.
        (0, 0, True, None),  # A black image.
        (3, 90, True, None),
        (0, 1, True, "normalised already"),
        (-1, 1, True, "normalised already"),
        (-2.1, 2.6, True, "normalised already"),
        (0, 65535, True, "16-bit"),
        (-2.1, 2.6, False, None),
        (0, 1, False, None),
        (0, 255, False, "preprocess_input"),
    ],
)
def test_ranges(minimum, maximum, expects_pixels, problem):
    found = range_problem(minimum, maximum, expects_pixels)
    assert found is None if problem is None else problem in found


def test_a_users_model_around_ours_still_trains():
    base = create_model(ONE_BLOCK, include_top=False, pooling="avg")
    model = keras.Sequential([base, keras.layers.Dense(2)])
    model.compile("sgd", "mse")
    model.fit(PIXELS, np.zeros((2, 2)), verbose=0)
